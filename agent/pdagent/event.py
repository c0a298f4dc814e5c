"""Events, and the JSON bodies that PagerDuty's Events API takes.

Pure: knows PagerDuty's schema and limits; does not know files, HTTP or configuration. Imported by
every `pd-send`, so built-in modules only.
"""

import time

from pdagent import api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

Body = dict[str, object]

MARK = "... [truncated]"
# What identifies an event or steers PagerDuty: cutting it would make another event of it. (In
# details, these names mean nothing.)
_KEPT_WHOLE = (
    *("agent", "severity", "timestamp", "client_url"),
    *api.V2_FIELDS,
    *api.V1_FIELDS,
)
# Lists of links and images, in v2 and in v1. PagerDuty refuses what else is in them.
_LISTS = (*api.ADDRESSES, "contexts")
_ADDRESSES = ("href", "src")
ADDRESS_CHARS = 2048  # what an address may have whatever else is cut


class BadEvent(ValueError):
    """The event can't be made or understood; the text says why, for a person."""


class Event:
    """One event as a front door describes it, before it becomes a body.

    `action` is one of `api.ACTIONS`, or "change". Texts may hold anything that a command line can,
    lone surrogates included. `links` are pairs (href, text), `images` are (src, href, alt); a part
    is "" where there is none. `events_api` is None where the configuration's counts.
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
        # PagerDuty wants a payload with every trigger; with the others it is the sender's note
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
            "source": self.source or "unknown",
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
    if value is not None:
        body[field] = value


def _filled(**fields: str) -> Body:
    return {name: value for name, value in fields.items() if value}


KEY_CHARS = 32  # what PagerDuty's integration keys have, letters and digits
# The spool's file names carry the key, so a key must be able to be part of one.
KEY_BYTES = 128
KEY_NAME_CHARS = 30  # fewer than a key has: a key is never taken for a name and shown
# What copying and editing leave around a key: blanks, line ends, quotes, a byte order mark.
_AROUND_KEY = " \t\r\n\"'`\u2018\u2019\u201c\u201d\u00a0\u200b\ufeff"


def is_key_name(text: str) -> bool:
    """Whether this is how an integration key is called: `@`, then letters, digits and `-_.`"""
    name = text[1:].replace("-", "x").replace(".", "x").replace("_", "x")
    return text[:1] == "@" and len(name) <= KEY_NAME_CHARS and name.isascii() and name.isalnum()


def bare_key(text: str) -> str:
    """An integration key without what is around it, and no part of it."""
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


def shorten(text: str, limit: int) -> str:
    """`text`, or as much of it as fits into `limit` characters with a visible mark at its end."""
    if len(text) <= limit:
        return text
    return text[: max(0, limit - len(MARK))] + MARK[:limit]


def shorten_key(key: str | None) -> str | None:
    """A dedup key that PagerDuty takes: in Unicode, and within its limit. Two keys that differ only
    in what has to go must stay two, so a digest of the whole key takes its place."""
    if key is None or (len(key) <= api.DEDUP_KEY_CHARS and not _has_surrogates(key)):
        return key
    # FNV-1a, 128 bits, since hashlib is not among what the frozen pd-send can import this early:
    # nobody has anything to gain from two keys that are taken for one
    number = 0x6C62272E07BB014262B821756295C58D
    for byte in key.encode("utf-8", "surrogatepass"):
        number = (number ^ byte) * 0x0000000001000000000000000000013B % (1 << 128)
    digest = f"{number:032x}"
    begin = key[: api.DEDUP_KEY_CHARS - len(digest) - 1]
    # what is seen of the key must not be cut a second time
    return "".join(["\ufffd" if _is_surrogate(c) else c for c in begin]) + "~" + digest


def _has_surrogates(text: str) -> bool:
    """Whether bytes that were not UTF-8 are in the text. JSON can't say which they were."""
    return not text.isascii() and True in [_is_surrogate(char) for char in text]


def _is_surrogate(char: str) -> bool:
    return 0xD800 <= ord(char) <= 0xDFFF


def encode(body: Body) -> bytes:
    """The bytes to post: compact JSON in ASCII with sorted keys, as the old agent wrote it.

    A body over PagerDuty's limit loses the ends of its longest texts, then its later fields,
    until it fits: a page that says less is still a page. Raises BadEvent.
    """
    chars = items = 65_536
    cut = body
    try:
        # Text alone can be too long. Its JSON, up to six times as long, is not made in vain.
        while _text_chars(cut) > api.BODY_BYTES or len(text := dumps(cut)) > api.BODY_BYTES:
            chars //= 4
            items //= 4
            if not items:  # nested so deep that no cut helps
                raise BadEvent(f"the event can't be cut down to {api.BODY_BYTES} bytes")
            cut = _cut_body(body, chars, items)
    except RecursionError as error:
        raise BadEvent("the event's details are nested too deep") from error
    return text.encode("ascii")


def _text_chars(value: object) -> int:
    """How many characters the texts in a value have, names of fields included."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum([len(name) + _text_chars(item) for name, item in value.items()])
    return sum([_text_chars(item) for item in value]) if isinstance(value, list) else 0


def shrink(body: Body) -> bytes:
    """The body cut down well below the limit, for an API that finds it too large all the same."""
    return dumps(_cut_body(body, 256, 32)).encode("ascii")


def _cut_body(body: Body, chars: int, items: int) -> Body:
    """The body with all of its own fields, those of its payload included, and less in them."""
    cut: Body = {}
    for name, value in body.items():
        if name == "payload" and isinstance(value, dict):
            cut[name] = _cut_body(value, chars, items)
        elif name in _LISTS and isinstance(value, list):
            cut[name] = [_cut_link(item, chars) for item in value[:items] if _leads(item, chars)]
        elif name != "client_url" or _is_whole(value, chars):
            cut[name] = value if name in _KEPT_WHOLE else _cut(value, chars, items)
    return cut


def _is_whole(value: object, chars: int) -> bool:
    """Whether an address is short enough to stay: a part of one leads nowhere."""
    return not isinstance(value, str) or len(value) <= max(chars, ADDRESS_CHARS)


def _leads(link: object, chars: int) -> bool:
    """Whether a link or an image still is one after the cut."""
    return not isinstance(link, dict) or _is_whole(link.get("src", link.get("href")), chars)


def _cut_link(link: object, chars: int) -> object:
    if not isinstance(link, dict):
        return _cut(link, chars, 32)
    return {
        name: value if name in _ADDRESSES else _cut(value, chars, 32)
        for name, value in link.items()
        if name not in _ADDRESSES or _is_whole(value, chars)
    }


def _cut(value: object, chars: int, items: int) -> object:
    if isinstance(value, str):
        return shorten(value, max(chars, len(MARK)))
    if isinstance(value, dict):
        kept = sorted(value)[:items] if len(value) > items else value
        cut = {
            shorten(name, max(chars, len(MARK))): _cut(value[name], chars, items) for name in kept
        }
        if len(kept) < len(value):
            cut[MARK] = f"{len(value) - len(kept)} more fields"
        return cut
    if isinstance(value, list):
        rest = len(value) - items
        cut_list = [_cut(item, chars, items) for item in value[:items]]
        return [*cut_list, f"{MARK} {rest} more"] if rest > 0 else cut_list
    return value


def dumps(value: object) -> str:
    """JSON text of strings, numbers, booleans, None, lists and dicts with string keys.

    Our own, since the json package would cost every pd-send more than all the rest.
    """
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        return "{" + ",".join([f"{_quoted(k)}:{dumps(value[k])}" for k in sorted(value)]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([dumps(item) for item in value]) + "]"
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float) and value - value == 0:  # JSON has no infinity and no NaN
        return float.__repr__(value)
    return _quoted(str(value))


_PIECE = 4096
_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
    "\f": "\\f",
}


def _quoted(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    # In pieces: each character that has to be escaped is meanwhile a string of its own, 64 bytes.
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    return '"' + "".join([_escaped_all(piece) for piece in pieces]) + '"'


def _escaped_all(text: str) -> str:
    return "".join([c if " " <= c <= "~" and c not in '"\\' else _escaped(c) for c in text])


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if 0xD800 <= code < 0xE000:  # half of a pair: a byte of an argument that was not UTF-8
        code = 0xFFFD
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
