"""Dialects: how each version of the Events API names things, and how it says what is wrong.

The words are PagerDuty's where its documentation or reports of its users show them. The Events API
of the tests says where they are from.
"""

from collections.abc import Iterator
from typing import Literal

from pdagent import api
from pdagent.encoding import Body

Kind = Literal["v2", "change", "v1"]


class Dialect:
    """The names of one version's fields. `action` and `dedup_key` are "" where the version has
    none."""

    def __init__(self, key: str, action: str, dedup_key: str, summary: str, named: dict[str, str]):
        self.key = key
        self.action = action
        self.dedup_key = dedup_key
        self.summary = summary
        self._named = named

    def faults(self, body: Body) -> Iterator[str]:
        """The reasons for which PagerDuty would refuse the body."""
        yield from self._missing(body, self.key)
        if self.action:
            yield from self._action_faults(body)
        else:
            if api.V2_ACTION in body:
                # It would wake nobody, and its sender means somebody to be woken.
                yield f"{self._name(api.V2_ACTION)} is invalid (a change event has none)"
            yield from self._payload_faults(body, ("summary",))
        for name in api.ADDRESSES:
            yield from _list_faults(body, name)

    def _action_faults(self, body: Body) -> Iterator[str]:
        action = text_of(body, self.action)
        yield from self._missing(body, self.action)
        if action is not None and action not in api.ACTIONS:
            yield f"{self._name(self.action)} is invalid (must be one of: {', '.join(api.ACTIONS)})"
        if not isinstance(body.get(self.dedup_key), str | None):
            yield f"{self._name(self.dedup_key)} is invalid (must be a string)"
        elif action in ("acknowledge", "resolve"):
            yield from self._missing(body, self.dedup_key)
        if action == "trigger" and self.summary in self._named:
            yield from self._missing(body, self.summary)
        elif not isinstance(body.get(self.summary), str | None) and self.summary in self._named:
            yield f"{self._name(self.summary)} is invalid (must be a string)"
        elif action == "trigger":
            yield from self._payload_faults(body, ("summary", "source", "severity"))

    def _payload_faults(self, body: Body, required: tuple[str, ...]) -> Iterator[str]:
        payload = body.get("payload")
        if not isinstance(payload, dict):
            yield "'payload' is missing or blank"
            return
        for name in required:
            yield from self._missing(payload, name, "payload.")
        severity = text_of(payload, "severity")
        if severity is not None and severity not in api.SEVERITIES:
            yield f"'payload.severity' is invalid (must be one of: {', '.join(api.SEVERITIES)})"

    def _missing(self, fields: Body, name: str, within: str = "") -> Iterator[str]:
        if text_of(fields, name) is None:
            yield f"{self._name(within + name)} is missing or blank"

    def _name(self, field: str) -> str:
        return self._named.get(field, f"'{field}'")


DIALECTS: dict[Kind, Dialect] = {
    "v2": Dialect(*api.V2_FIELDS, "summary", {}),
    "change": Dialect(api.V2_KEY, "", "", "summary", {}),
    "v1": Dialect(
        *api.V1_FIELDS,
        "description",
        {name: name.replace("_", " ").capitalize() for name in (*api.V1_FIELDS, "description")},
    ),
}


def text_of(fields: Body, name: str) -> str | None:
    """A field's value if it is a text that is not blank."""
    value = fields.get(name)
    return value if isinstance(value, str) and value.strip() else None


def _list_faults(body: Body, name: str) -> Iterator[str]:
    items = body.get(name) or []
    required = api.ADDRESSES[name]
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and text_of(item, required) for item in items
    ):
        yield f"'{name}' is invalid (must be a list of objects with '{required}')"
