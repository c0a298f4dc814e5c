"""Events, and the JSON bodies that PagerDuty's Events API takes.

This module is pure: it knows PagerDuty's schema, and not files, HTTP or configuration. Every
`pd-send` imports it, so it imports built-in modules only.
"""

import time

from pdagent import api
from pdagent.encoding import Body, dumps, room_left, shorten, shorten_key, unless_blank

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class BadEvent(ValueError):
    """The event can't be made or understood; the text says why, for a person."""


class Event:
    """One event as a front door describes it, before it becomes a body.

    `action` is one of `api.ACTIONS`, or "change". Texts may hold anything that a command line can,
    also lone surrogates. `links` are pairs (href, text), `images` are (src, href, alt); a part is
    "" if it was not given. `events_api` is None if the configuration decides.
    """

    __slots__ = (
        "action",
        "agent_id",
        "client",
        "client_url",
        "component",
        "dedup_key",
        "description",
        "details",
        "event_class",
        "events_api",
        "group",
        "images",
        "key",
        "links",
        "queued_by",
        "severity",
        "source",
    )

    def __init__(
        self,
        key: str,
        action: str,
        description: str | None = None,
        dedup_key: str | None = None,
        details: "Mapping[str, object] | None" = None,
        client: str | None = None,
        client_url: str | None = None,
        source: str | None = None,
        severity: str | None = None,
        component: str | None = None,
        group: str | None = None,
        event_class: str | None = None,
        links: tuple[tuple[str, str], ...] = (),
        images: tuple[tuple[str, str, str], ...] = (),
        queued_by: str = "pd-send",
        agent_id: str | None = None,
        events_api: str | None = None,
    ) -> None:
        self.key = key
        self.action = action
        self.description = description
        self.dedup_key = dedup_key
        self.details = details or {}
        self.client = client
        self.client_url = client_url
        self.source = source
        self.severity = severity
        self.component = component
        self.group = group
        self.event_class = event_class
        self.links = links
        self.images = images
        self.queued_by = queued_by
        self.agent_id = agent_id
        self.events_api = events_api

    def body(self, version: str, clock_ns: int) -> bytes:
        """The body to post, as Events API `version` ("v1" or "v2") wants it; `clock_ns` is the
        moment of enqueue, in nanoseconds since the epoch."""
        if self.action == "change":
            return encode(self._change(clock_ns))
        return encode(self._v1(clock_ns) if version == "v1" else self._v2(clock_ns))

    def _v2(self, clock_ns: int) -> Body:
        body: Body = {api.V2_KEY: self.key, api.V2_ACTION: self.action}
        put(body, api.V2_DEDUP_KEY, shorten_key(self.dedup_key))
        put(body, "client", self.client)
        put(body, "client_url", self.client_url)
        if self.links:
            body["links"] = [_filled(href=href, text=text) for href, text in self.links]
        if self.images:
            body["images"] = [_filled(src=s, href=h, alt=alt) for s, h, alt in self.images]
        # PagerDuty wants a payload with every trigger. Another event has one if its sender adds a
        # description or details.
        if self.action == "trigger" or self.description or self.details:
            payload = self._payload(clock_ns)
            payload["severity"] = self.severity or api.DEFAULT_SEVERITY
            put(payload, "component", self.component)
            put(payload, "group", self.group)
            put(payload, "class", self.event_class)
            body["payload"] = payload
        return body

    def _change(self, clock_ns: int) -> Body:
        body: Body = {api.V2_KEY: self.key, "payload": self._payload(clock_ns)}
        if self.links:
            body["links"] = [_filled(href=href, text=text) for href, text in self.links]
        return body

    def _payload(self, clock_ns: int) -> Body:
        payload: Body = {
            "summary": shorten(self.description or self.dedup_key or "", api.SUMMARY_CHARS),
            "source": unless_blank(self.source) or "unknown",
            "timestamp": timestamp(clock_ns, milliseconds=True),
        }
        if self.details:
            payload["custom_details"] = dict(self.details)
        return payload

    def _v1(self, clock_ns: int) -> Body:
        body: Body = {
            api.V1_KEY: self.key,
            api.V1_ACTION: self.action,
            "details": dict(self.details),
            "agent": {
                "agent_id": self.agent_id,
                "queued_at": timestamp(clock_ns),
                "queued_by": self.queued_by,
            },
        }
        put(body, api.V1_DEDUP_KEY, shorten_key(self.dedup_key))
        if self.description is not None:
            body["description"] = shorten(self.description, api.SUMMARY_CHARS)
        put(body, "client", self.client)
        put(body, "client_url", self.client_url)
        return body


def put(body: Body, field: str, value: object) -> None:
    """Adds a field to a body, unless its value is None."""
    if value is not None:
        body[field] = value


def _filled(**fields: str) -> Body:
    return {name: value for name, value in fields.items() if value}


KEY_CHARS = 32  # what PagerDuty's integration keys have, letters and digits
# The spool's file names carry the key, so a key must be able to be part of one.
KEY_BYTES = 128
KEY_NAME_CHARS = 30  # fewer than KEY_CHARS, so that no key is taken for a name and shown
# What copying and editing leave around a key: blanks, line ends, quotes, a byte order mark.
_AROUND_KEY = " \t\r\n\"'`\u2018\u2019\u201c\u201d\u00a0\u200b\ufeff"


def is_key_name(text: str) -> bool:
    """Whether this is the name of an integration key: `@`, then letters, digits and `-_.`"""
    name = text[1:].replace("-", "x").replace(".", "x").replace("_", "x")
    return text[:1] == "@" and len(name) <= KEY_NAME_CHARS and name.isascii() and name.isalnum()


def bare_key(text: str) -> str:
    """An integration key without the blanks, quotes and other signs that are around it."""
    return text.strip(_AROUND_KEY)


def check_key(text: str) -> str:
    """The integration key in `text`, if it can be one. Its length and letters are PagerDuty's to
    judge.

    Raises BadEvent. The text never holds the key itself.
    """
    key = bare_key(text)
    if not key:
        raise BadEvent("the integration key is empty")
    if "/" in key:
        raise BadEvent("an integration key can't contain '/'")
    if not key.isprintable():  # NUL, control characters, bytes that are not UTF-8
        raise BadEvent("the integration key contains characters that can't be printed")
    if len(key.encode()) > KEY_BYTES:
        raise BadEvent(f"the integration key is longer than {KEY_BYTES} bytes")
    return key


def generated_dedup_key(random: bytes) -> str:
    """A dedup key for a trigger that has none, from 16 random bytes."""
    return random.hex()


def timestamp(clock_ns: int, milliseconds: bool = False) -> str:
    """ISO 8601 in UTC: 2026-11-23T02:52:36Z, or 2026-11-23T02:52:36.123Z."""
    seconds, rest = divmod(clock_ns, 1_000_000_000)
    fraction = f".{rest // 1_000_000:03}" if milliseconds else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + fraction + "Z"


def encode(body: Body) -> bytes:
    """The bytes to post: compact JSON in ASCII with sorted keys, as the old agent wrote it.

    A body over PagerDuty's limit is cut until it fits: a page that says less is still a page.
    Raises BadEvent. In a frozen `pd-send` it raises ImportError where a body has to be cut, since
    that is rare and its code does not lie with the hot modules; `quick` then lets Python start.
    """
    try:
        # The JSON of what can't fit, which may take a minute, is not made in vain.
        if room_left(body, api.BODY_BYTES) < 0 or len(text := dumps(body)) > api.BODY_BYTES:
            from pdagent.cutting import cut_down

            text = cut_down(body, api.BODY_BYTES)
    except RecursionError as error:
        raise BadEvent("the event's details are nested too deep") from error
    if not text:
        raise BadEvent(f"the event can't be cut down to {api.BODY_BYTES} bytes")
    return text.encode("ascii")
