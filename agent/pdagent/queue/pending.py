"""Pending events: what is in a file of the spool, understood within bounds.

Pure: it is handed names and bytes. Whoever wrote the bytes may mean harm, so what it can cost to
understand them is bounded beforehand:

- The first and the last bytes tell what can't be an event, or is only the beginning of one.
- Memory: JSON of a few bytes can be an object of hundreds. `_weight` estimates the objects from the
  text, never too low, and what weighs too much is not parsed.
- Depth: `_depth` finds it before the parser goes there. For each level the parser takes 300 bytes
  of its thread's stack, which the thread keeps.
- What stays in memory is the bytes and a few short texts. The parsed body never does: it is made
  anew for whoever asks for it.

The time of one parse grows with its bytes, and no other thread runs meanwhile. From `HEAVY_BYTES`
on that matters to others. `daemon.reading` decides who reads such events, and how often.
"""

import json
import re
from dataclasses import dataclass
from itertools import accumulate

from pdagent import api
from pdagent.encoding import DEPTH_MOST, shorten
from pdagent.event import BadEvent, encode
from pdagent.queue.envelope import form_of
from pdagent.threads import importing

# The old agent's limit. What is larger than PagerDuty's limit is cut before it is sent.
EVENT_BYTES_MOST = 4 * 1024 * 1024
HEAVY_BYTES = 65_536
# More than any body within PagerDuty's limit can weigh (30 MB, of nothing but empty lists).
WEIGHT_MOST = 32 * 1024 * 1024
# What CPython on 64 bits takes at most for each of these, with the place that holds it.
_WEIGHTS = ((b"{", 128), (b"[", 112), (b",", 40), (b":", 48))
_TEXT_WEIGHT = 80
# A text in JSON. The pattern never backtracks, and a text without an end reaches to the body's end.
# Otherwise a body of quotes would take hours, and each escape in it 100 bytes.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.?+[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
# For each bracket, what it adds to the depth, and one more, since a byte can't be negative.
_STEPS = bytes.maketrans(b"{[}]", b"\2\2\0\0")
_NO_STEPS = bytes(set(range(256)) - set(b"{[}]"))
_SHOWN_CHARS = 300


class Hostile(Exception):
    """This entry can't be an event; the text says why."""


class Incomplete(Hostile):
    """It can't be an event now, but may be the beginning of one that a script is writing."""


class Unfinished(Exception):
    """The event's file still has a name in tmp/. `pending` is the event all the same."""

    def __init__(self, pending: "Pending") -> None:
        super().__init__()
        self.pending = pending


@dataclass(frozen=True, slots=True)
class Pending:
    """A pending event, read. `key` is the integration key in its body. Events of one key and one
    `chain` have to keep their order. `version` is the API that the body was written for: "v2",
    "change" or "v1", or the form of an envelope. `dedup_key` and `summary` are cut to what a person
    can read."""

    name: str
    data: bytes
    key: str
    chain: str
    version: str
    action: str
    dedup_key: str | None
    summary: str

    @property
    def body(self) -> dict[str, object]:
        """The body, parsed anew."""
        body: dict[str, object] = json.loads(self.data)
        return body


def understand(name: str, data: bytes, fitting: bool = False) -> Pending:
    """The event in the contents of a file. With `fitting`, a body over PagerDuty's limit is cut to
    it. Raises Hostile, Incomplete."""
    body = parsed(data)
    field = key_field(body)
    if field not in body:
        raise Hostile(f"it has neither a {api.V2_KEY} nor a {api.V1_KEY}")
    if fitting and len(data) > api.BODY_BYTES:
        try:
            data = encode(body)
        except (BadEvent, RecursionError) as error:
            raise Hostile("it can't be cut down to what PagerDuty takes") from error
    version = "v1"
    if field == api.V2_KEY:
        version = form_of(body) or ("v2" if api.V2_ACTION in body else "change")
    key = body.get(api.V2_DEDUP_KEY) or body.get(api.V1_DEDUP_KEY)
    dedup_key = None if key is None else str(key)
    return Pending(
        name,
        data,
        str(body[field]),
        chain_of(dedup_key, name),
        version,
        _cut(body.get(api.V2_ACTION) or body.get(api.V1_ACTION) or form_of(body) or "change"),
        dedup_key and _cut(dedup_key),
        summary(body),
    )


def key_field(body: dict[str, object]) -> str:
    """The field of a body that holds its integration key."""
    return api.V2_KEY if api.V2_KEY in body else api.V1_KEY


def chain_of(dedup_key: str | None, name: str) -> str:
    """What events that must keep their order have in common: their dedup key. An event without one
    is a chain of its own. The text is kept in memory for each event that waits, so it is short
    however long the dedup key is."""
    if not dedup_key:
        return name
    if len(dedup_key) <= api.DEDUP_KEY_CHARS:
        return f"={dedup_key}"
    with importing:
        from hashlib import sha256  # an idle daemon does without

    digest = sha256(dedup_key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"={dedup_key[:100]}~{digest}"


def parsed(data: bytes, depth: int = DEPTH_MOST) -> dict[str, object]:
    """The JSON object in hostile bytes, of so many levels at most. Raises Hostile, Incomplete."""
    if not data:
        raise Incomplete("it is empty")
    if len(data) > EVENT_BYTES_MOST:
        raise Hostile(f"it is larger than {EVENT_BYTES_MOST} bytes")
    start, end = data[:64].lstrip()[:1], data[-64:].rstrip()[-1:]
    if start == b"[":
        raise Hostile("it is not a JSON object")
    if start and start != b"{":
        raise Hostile("it is not JSON: it does not begin with '{'")
    if end != b"}":
        raise Incomplete("it is not JSON: it does not end with '}'")
    if not is_light(data):
        raise Hostile("it has too many parts")
    if _depth(data, depth) > depth:
        raise Hostile("it is nested too deep")
    try:
        body = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Incomplete("it is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise Incomplete(f"it is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Hostile("it is not a JSON object")
    return body


def is_light(data: bytes) -> bool:
    """Whether JSON in UTF-8 may be parsed, for what it takes up then."""
    return len(data) <= HEAVY_BYTES or _weight(data) <= WEIGHT_MOST


def _weight(data: bytes) -> int:
    """Bytes that the parsed body takes up, at most."""
    widest = 1 if data.isascii() else 4  # bytes in memory for each character of a text
    # Each text has two quotes, and at least one of them has no backslash before it.
    quotes = data.count(b'"')
    texts = min(quotes // 2, quotes - data.count(b'\\"'))
    light = 2 * widest * len(data) + _TEXT_WEIGHT * texts
    found = light + _structure(data)
    if found > WEIGHT_MOST >= light:  # count again without the texts, whose brackets weigh nothing
        found = light + _structure(_TEXT.sub(b"", data))
    return found


def _structure(data: bytes) -> int:
    return sum(weight * data.count(part) for part, weight in _WEIGHTS)


def _depth(data: bytes, enough: int) -> int:
    """How deep lists and objects lie in each other, at most. Below `enough` this is a guess."""
    deepest = data.count(b"{") + data.count(b"[")
    if deepest <= enough:
        return deepest
    steps = _TEXT.sub(b"", data).translate(_STEPS, _NO_STEPS)
    return max(accumulate(steps, lambda depth, step: depth + step - 1, initial=0))


def summary(body: dict[str, object]) -> str:
    """What a body says that it is about, cut for a person to read."""
    payload = body.get("payload")
    found = payload.get("summary") if isinstance(payload, dict) else None
    return _cut(found or body.get("description") or "", api.SUMMARY_CHARS)


def _cut(value: object, chars: int = _SHOWN_CHARS) -> str:
    return shorten(value if isinstance(value, str) else str(value), chars)
