"""Texts and JSON as PagerDuty takes them.

Every `pd-send` imports this module, so it imports built-in modules only.
"""

from pdagent import api

Body = dict[str, object]  # a JSON object

MARK = "... [truncated]"
# How deep lists and objects lie in each other, at most. No honest event is nested deeper, and the
# daemon reads nothing that is: `queue.pending`.
DEPTH_MOST = 500


def shorten(text: str, limit: int) -> str:
    """`text`, or as much of it as fits into `limit` characters with a visible mark at its end."""
    if len(text) <= limit:
        return text
    return text[: max(0, limit - len(MARK))] + MARK[:limit]


def unless_blank(text: str | None) -> str:
    """The text, "" where it is blank. PagerDuty refuses a whole event for some blank values, and in
    a script the variable that is handed over may be empty."""
    return text if text and not text.isspace() else ""


def shorten_key(key: str | None) -> str | None:
    """A dedup key that PagerDuty takes: in Unicode, and within its limit. A digest of the whole key
    takes the place of what is left out, so that two keys that differ there stay two."""
    if key is None or (len(key) <= api.DEDUP_KEY_CHARS and not _has_surrogates(key)):
        return key
    # This is FNV-1a with 128 bits, since the frozen pd-send can't import hashlib this early. It
    # need not be safe: nobody gains anything from two keys that are taken for one.
    number = 0x6C62272E07BB014262B821756295C58D
    for byte in key.encode("utf-8", "surrogatepass"):
        number = (number ^ byte) * 0x0000000001000000000000000000013B % (1 << 128)
    digest = f"{number:032x}"
    begin = key[: api.DEDUP_KEY_CHARS - len(digest) - 1]
    # The key is whole Unicode and short enough now, so it is not changed a second time.
    return "".join(["\ufffd" if _is_surrogate(c) else c for c in begin]) + "~" + digest


def _has_surrogates(text: str) -> bool:
    """Whether there are bytes in the text that were not UTF-8. JSON has no way to write them."""
    return not text.isascii() and True in [_is_surrogate(char) for char in text]


def _is_surrogate(char: str) -> bool:
    return 0xD800 <= ord(char) <= 0xDFFF


# A number with more digits becomes a text. int() refuses some numbers. Of those that it takes
# before Python has quite started, it refuses some in the daemon, which reads the body again.
_DIGITS = 300


def whole_number(text: str) -> int | str:
    """The value of a whole number in JSON."""
    return int(text) if len(text) <= _DIGITS else text


def room_left(value: object, room: int) -> int:
    """How much of `room` the JSON text of a value leaves, at most; less than 0 if it can't fit. It
    looks no further than the room reaches, whatever there is. Escapes are not counted."""
    if isinstance(value, str):
        return room - len(value) - 2
    room -= 1
    if isinstance(value, dict):
        for name, item in value.items():
            if room < 0:
                break
            room = room_left(item, room - len(name) - 4)
    elif isinstance(value, list):
        for item in value:
            if room < 0:
                break
            room = room_left(item, room - 1)
    return room


def dumps(value: object, depth: int = DEPTH_MOST) -> str:
    """JSON text of strings, numbers, booleans, None, lists and dicts with string keys. Raises
    RecursionError if it is more than `depth` levels deep.

    Our own, since the json package would cost every pd-send more than all the rest.
    """
    if isinstance(value, str):
        return _quoted(value)
    if not depth and isinstance(value, dict | list):
        raise RecursionError
    if isinstance(value, dict):
        items = [f"{_quoted(k)}:{dumps(value[k], depth - 1)}" for k in sorted(value)]
        return "{" + ",".join(items) + "}"
    if isinstance(value, list):
        return "[" + ",".join([dumps(item, depth - 1) for item in value]) + "]"
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
