"""Intake: events that come as finished bodies, through `pd-send --json` and the local endpoint.

An event that PagerDuty is sure to refuse is refused here, in PagerDuty's words, while somebody is
there to read them. Texts that are too long are cut as in every event. What is not well-formed is
put right if its meaning is clear. Pure: this module knows PagerDuty's schema. It does not know
where a body comes from or where it goes.
"""

import json
from collections.abc import Callable

from pdagent import api
from pdagent.encoding import Body, shorten, shorten_key, whole_number
from pdagent.event import BadEvent, check_key, encode, generated_dedup_key, timestamp
from pdagent.queue.envelope import MARK
from pdagent.serve.dialects import DIALECTS, Dialect, Kind, text_of
from pdagent.serve.moments import iso


class NotJson(ValueError):
    """The body is not a JSON object."""


class Invalid(ValueError):
    """PagerDuty would refuse the body; `errors` says why, in its words."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class Intake:
    """An event that came as a body, checked and cut to PagerDuty's limits. `remarks` say what was
    put right in it."""

    events_api = None  # the version is the body's own, whatever is configured

    def __init__(
        self, body: Body, key: str, action: str, dedup_key: str | None, remarks: list[str]
    ) -> None:
        self._body: Body | None = body
        self._data = b""
        self.key = key
        self.action = action
        self.dedup_key = dedup_key
        self.remarks = remarks

    def body(self, version: str, clock_ns: int) -> bytes:  # noqa: ARG002  (it has its version)
        """The body to post. An event without a time gets `clock_ns`, the moment of enqueue: it is
        the time that PagerDuty would give an event that arrived at once. It is made once, and the
        parsed body is not kept, which can take 25 times as much memory. Raises BadEvent."""
        if self._body is not None:
            payload = self._body.get("payload")
            if isinstance(payload, dict) and not payload.get("timestamp"):
                payload["timestamp"] = timestamp(clock_ns, milliseconds=True)
            self._data = encode(self._body)
            self._body = None
        return self._data


def read(
    data: bytes,
    kind: Kind,
    random: Callable[[int], bytes],
    key: Callable[[], str] | None = None,
    may_parse: Callable[[bytes], bool] = lambda _: True,
) -> Intake:
    """The event in a body. `random` gives bytes for a dedup key, where a trigger has none; `key` an
    integration key, where the body has none. `may_parse` is asked with the body in UTF-8. Raises
    NotJson, Invalid, BadEvent."""
    body = _object(data, may_parse)
    dialect = DIALECTS[kind]
    if key is not None and text_of(body, dialect.key) is None:
        body[dialect.key] = key()
    remarks = _put_right(body, dialect)
    errors = [*dialect.faults(body)]
    if errors:
        raise Invalid(errors)
    found = check_key(str(body[dialect.key]))
    body[dialect.key] = found
    payload = body.get("payload")
    texts = payload if kind != "v1" else body
    if isinstance(texts, dict) and isinstance(texts.get(dialect.summary), str):
        texts[dialect.summary] = shorten(texts[dialect.summary], api.SUMMARY_CHARS)
    if kind == "change":
        return Intake(body, found, "change", None, remarks)
    dedup_key = shorten_key(text_of(body, dialect.dedup_key)) or generated_dedup_key(random(16))
    body[dialect.dedup_key] = dedup_key
    return Intake(body, found, str(body[dialect.action]), dedup_key, remarks)


def _object(data: bytes, may_parse: Callable[[bytes], bool]) -> Body:
    """The JSON object in a body. A text may have line ends in it, and bytes that are not UTF-8, as
    for `pd-sensu`. Raises NotJson, BadEvent."""
    try:
        text = data.decode(json.detect_encoding(data), "surrogateescape")
    except (ValueError, LookupError) as error:  # we have no codec for UTF-32
        raise NotJson(str(error)) from error
    if not may_parse(text.encode("utf-8", "surrogatepass")):
        raise BadEvent("it has too many parts")
    try:
        # NaN and Infinity, which are not JSON, become texts.
        body = json.loads(
            text.strip(" \t\r\n\0"), strict=False, parse_constant=str, parse_int=whole_number
        )
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error
    if not isinstance(body, dict):
        raise NotJson("not a JSON object")
    return body


def _put_right(body: Body, dialect: Dialect) -> list[str]:
    """Changes what PagerDuty would refuse although its meaning is clear. Returns what the sender
    should know about the changes."""
    remarks = []
    number = body.get(dialect.dedup_key)
    if isinstance(number, int | float) and not isinstance(number, bool):
        body[dialect.dedup_key] = str(number)
    if not dialect.action and body.pop("images", None):
        remarks.append("images are left out: a change event has links only")
    if not dialect.action and not body.get(api.V2_ACTION):
        body.pop(api.V2_ACTION, None)
    # By these fields the daemon would take the body for an event of another kind.
    for name in ({api.V2_KEY, MARK} - {dialect.key}) & body.keys():
        del body[name]
        remarks.append(f"{name} is left out: it belongs to events of another kind")
    for name, required in api.ADDRESSES.items():
        items = body.get(name)
        if isinstance(items, list):
            body[name] = kept = [item for item in items if not _lacks(item, required)]
            if len(kept) < len(items):
                remarks.append(f"{name} without {required} are left out")
        elif not items:
            body.pop(name, None)
    payload = body.get("payload")
    if isinstance(payload, dict):
        remarks += _payload_put_right(payload)
    return remarks


def _payload_put_right(payload: Body) -> list[str]:
    remarks = []
    if payload.get("timestamp"):
        payload["timestamp"] = iso(payload["timestamp"])
        if payload["timestamp"] is None:
            remarks.append("payload.timestamp can't be read as a time; the present one is sent")
    details = payload.get("custom_details", "")
    if details is None:
        del payload["custom_details"]
    elif not isinstance(details, dict | str):
        payload["custom_details"] = {"custom_details": details}
        remarks.append("payload.custom_details is no object; it is sent as a field of one")
    return remarks


def _lacks(item: object, required: str) -> bool:
    return isinstance(item, dict) and not str(item.get(required) or "").strip()
