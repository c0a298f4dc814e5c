"""What PagerDuty takes for an event, and the words it refuses one with. Pure.

The fields and limits are those of PagerDuty's documentation (docs/events-API-v2, docs/events-API-v1
in github.com/PagerDuty/developer-docs; reference/events-v1 and reference/events-v2 in
github.com/PagerDuty/api-schema). It gives `status`, `message`, `JSON parse error` and the words for
a key of the wrong length in v2. Users' reports show `Service key is the wrong length (should be 32
characters)`, `Description is missing or blank`, `'payload.severity' is missing or blank` and
`Invalid routing key`. The other reasons are ours, worded after these.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MAX_BODY = 512_000
MAX_SUMMARY = 1024
MAX_DEDUP_KEY = 255

V2 = "/v2/enqueue"
CHANGE = "/v2/change/enqueue"
V1 = "/generic/2010-04-15/create_event.json"
HEARTBEAT = "/agent/2014-03-14/heartbeat"

ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "error", "warning", "info")

Event = Mapping[str, object]


@dataclass(frozen=True)
class Fields:
    """What the two generations of the API call the same thing."""

    key: str
    action: str
    dedup_key: str
    success: int
    throttled: int
    unrecognised: str


DIALECTS = {
    V2: Fields("routing_key", "event_action", "dedup_key", 202, 429, "Unrecognized object"),
    CHANGE: Fields("routing_key", "event_action", "dedup_key", 202, 429, "Unrecognized object"),
    V1: Fields("service_key", "event_type", "incident_key", 200, 403, "unrecognized object"),
}


def text(event: Event, name: str) -> str | None:
    """A field's value if it is a string that says something."""
    value = event.get(name)
    return value if isinstance(value, str) and value.strip() else None


def summary(event: Event) -> str:
    """What the event says happened, in either dialect."""
    payload = event.get("payload")
    found = text(payload, "summary") if isinstance(payload, dict) else text(event, "description")
    return found or ""


def faults(path: str, event: Event, strict_keys: bool) -> list[str]:
    """Every reason why PagerDuty would refuse this event, none if it would not."""
    check = {V2: _v2, CHANGE: _change, V1: _v1}[path]
    return [*_key(path, event, strict_keys), *check(event)]


def _key(path: str, event: Event, strict: bool) -> Iterator[str]:
    name = DIALECTS[path].key
    key = text(event, name)
    if key is None:
        yield "Service key is missing or blank" if path == V1 else f"'{name}' is missing or blank"
    elif strict and len(key) != 32:
        yield (
            "Service key is the wrong length (should be 32 characters)"
            if path == V1
            else f"Length of '{name}' is incorrect (should be 32 characters)"
        )


def _v2(event: Event) -> Iterator[str]:
    action = text(event, "event_action")
    if action is None:
        yield "'event_action' is missing or blank"
    elif action not in ACTIONS:
        yield f"'event_action' is invalid (must be one of: {', '.join(ACTIONS)})"
    yield from _length(event, "dedup_key", "'dedup_key'", MAX_DEDUP_KEY)
    if action == "trigger":
        yield from _payload(event, ("summary", "source", "severity"))
    elif action in ACTIONS and text(event, "dedup_key") is None:
        yield "'dedup_key' is missing or blank"
    for name, required in (("links", "href"), ("images", "src")):
        yield from _list(event, name, required)


def _change(event: Event) -> Iterator[str]:
    yield from _payload(event, ("summary",))
    yield from _list(event, "links", "href")


def _v1(event: Event) -> Iterator[str]:
    action = text(event, "event_type")
    if action is None:
        yield "Event type is missing or blank"
    elif action not in ACTIONS:
        yield f"Event type is invalid (must be one of: {', '.join(ACTIONS)})"
    yield from _length(event, "incident_key", "Incident key", MAX_DEDUP_KEY)
    if action == "trigger" and text(event, "description") is None:
        yield "Description is missing or blank"
    elif action in ACTIONS[1:] and text(event, "incident_key") is None:
        yield "Incident key is missing or blank"
    yield from _length(event, "description", "Description", MAX_SUMMARY)


def _payload(event: Event, required: tuple[str, ...]) -> Iterator[str]:
    payload = event.get("payload")
    if not isinstance(payload, dict):
        yield "'payload' is missing or blank"
        return
    for name in required:
        if text(payload, name) is None:
            yield f"'payload.{name}' is missing or blank"
    yield from _length(payload, "summary", "'payload.summary'", MAX_SUMMARY)
    severity = text(payload, "severity")
    if severity is not None and severity not in SEVERITIES:
        yield f"'payload.severity' is invalid (must be one of: {', '.join(SEVERITIES)})"
    if not isinstance(payload.get("custom_details", {}), dict | str):
        yield "'payload.custom_details' is invalid (must be an object)"


def _length(event: Event, name: str, label: str, limit: int) -> Iterator[str]:
    value = event.get(name)
    if isinstance(value, str) and len(value) > limit:
        yield f"Length of {label} is incorrect (should be at most {limit} characters)"
    elif not isinstance(value, str | None):
        yield f"{label} is invalid (must be a string)"


def _list(event: Event, name: str, required: str) -> Iterator[str]:
    items = event.get(name, [])
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and text(item, required) for item in items
    ):
        yield f"'{name}' is invalid (must be a list of objects with '{required}')"
