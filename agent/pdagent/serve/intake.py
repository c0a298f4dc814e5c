"""Intake: events that come as finished bodies, through `pd-send --json` and the local endpoint.

What PagerDuty is sure to refuse is refused here, in PagerDuty's words, while somebody is there to
read them. What is only too long is cut as every event's is. Pure: knows PagerDuty's schema; does
not know where a body came from or where it goes.

The words are PagerDuty's where its documentation or its users' reports show them; see the Events
API that the tests talk to.
"""

import json
from collections.abc import Callable, Iterator
from typing import Literal

from pdagent import api
from pdagent.event import (
    Body,
    check_key,
    encode,
    generated_dedup_key,
    shorten,
    shorten_key,
    timestamp,
)

Kind = Literal["v2", "change", "v1"]


class NotJson(ValueError):
    """The body is not a JSON object."""


class Invalid(ValueError):
    """PagerDuty would refuse the body; `errors` says why, in its words."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class Intake:
    """An event that came as a body, checked and cut to PagerDuty's limits."""

    events_api = None  # the version is the body's own, whatever is configured

    def __init__(self, body: Body, key: str, dedup_key: str | None) -> None:
        self._body = body
        self.key = key
        self.dedup_key = dedup_key

    def body(self, version: str, clock_ns: int) -> bytes:  # noqa: ARG002  (it has its version)
        """The body to post. `clock_ns` is the moment of enqueue, which PagerDuty would take for the
        event's own if it arrived at once. Raises BadEvent."""
        payload = self._body.get("payload")
        if isinstance(payload, dict) and not payload.get("timestamp"):
            payload["timestamp"] = timestamp(clock_ns, milliseconds=True)
        return encode(self._body)


def read(
    data: bytes,
    kind: Kind,
    random: Callable[[int], bytes],
    key: Callable[[], str] | None = None,
) -> Intake:
    """The event in a body. `random` gives bytes for a dedup key, where a trigger has none; `key` an
    integration key, where the body has none. Raises NotJson, Invalid, BadEvent."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error
    if not isinstance(body, dict):
        raise NotJson("not a JSON object")
    dialect = _DIALECTS[kind]
    if key is not None and _text(body, dialect.key) is None:
        body[dialect.key] = key()
    errors = [*dialect.faults(body)]
    if errors:
        raise Invalid(errors)
    found = check_key(str(body[dialect.key]))
    payload = body.get("payload")
    texts = payload if kind != "v1" else body
    if isinstance(texts, dict) and isinstance(texts.get(dialect.summary), str):
        texts[dialect.summary] = shorten(texts[dialect.summary], api.SUMMARY_CHARS)
    if kind == "change":
        return Intake(body, found, None)
    dedup_key = shorten_key(_text(body, dialect.dedup_key)) or generated_dedup_key(random(16))
    body[dialect.dedup_key] = dedup_key
    return Intake(body, found, dedup_key)


class _Dialect:
    """What a version of the API calls things, and how it says that they are wrong."""

    def __init__(self, key: str, action: str, dedup_key: str, summary: str, named: dict[str, str]):
        self.key = key
        self.action = action
        self.dedup_key = dedup_key
        self.summary = summary
        self._named = named

    def faults(self, body: Body) -> Iterator[str]:
        yield from self._missing(body, self.key)
        if self.action:
            yield from self._action_faults(body)
        else:
            yield from self._payload_faults(body, ("summary",))
        for name, required in (("links", "href"), ("images", "src")):
            yield from _list_faults(body, name, required)

    def _action_faults(self, body: Body) -> Iterator[str]:
        action = _text(body, self.action)
        yield from self._missing(body, self.action)
        if action is not None and action not in api.ACTIONS:
            yield f"{self._name(self.action)} is invalid (must be one of: {', '.join(api.ACTIONS)})"
        if not isinstance(body.get(self.dedup_key), str | None):
            yield f"{self._name(self.dedup_key)} is invalid (must be a string)"
        elif action in ("acknowledge", "resolve"):
            yield from self._missing(body, self.dedup_key)
        if action == "trigger" and self.summary in self._named:
            yield from self._missing(body, self.summary)
        elif action == "trigger":
            yield from self._payload_faults(body, ("summary", "source", "severity"))

    def _payload_faults(self, body: Body, required: tuple[str, ...]) -> Iterator[str]:
        payload = body.get("payload")
        if not isinstance(payload, dict):
            yield "'payload' is missing or blank"
            return
        for name in required:
            yield from self._missing(payload, name, "payload.")
        severity = _text(payload, "severity")
        if severity is not None and severity not in api.SEVERITIES:
            yield f"'payload.severity' is invalid (must be one of: {', '.join(api.SEVERITIES)})"

    def _missing(self, fields: Body, name: str, within: str = "") -> Iterator[str]:
        if _text(fields, name) is None:
            yield f"{self._name(within + name)} is missing or blank"

    def _name(self, field: str) -> str:
        return self._named.get(field, f"'{field}'")


_DIALECTS = {
    "v2": _Dialect("routing_key", "event_action", "dedup_key", "summary", {}),
    "change": _Dialect("routing_key", "", "", "summary", {}),
    "v1": _Dialect(
        "service_key",
        "event_type",
        "incident_key",
        "description",
        {
            "service_key": "Service key",
            "event_type": "Event type",
            "incident_key": "Incident key",
            "description": "Description",
        },
    ),
}


def _text(fields: Body, name: str) -> str | None:
    """A field's value if it is a text that says something."""
    value = fields.get(name)
    return value if isinstance(value, str) and value.strip() else None


def _list_faults(body: Body, name: str, required: str) -> Iterator[str]:
    items = body.get(name) or []
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and _text(item, required) for item in items
    ):
        yield f"'{name}' is invalid (must be a list of objects with '{required}')"
