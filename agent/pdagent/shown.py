"""What may be shown: text of unknown origin as one safe line, and integration keys masked.

Anyone may write anything into an event, an answer or a file's name. A terminal obeys control
characters, a line break forges a line of the log, and PagerDuty's answer may quote a key. So all
text from outside passes through this module before it is shown, logged or told. Pure; built-in
modules only.
"""

import time

from pdagent.event import is_key_name

SHORT_CHARS = 8  # of a key so short that none of it is shown


def masked(key: str) -> str:
    """An integration key as logs may show it: its last four characters. The name of a key is shown
    whole."""
    if is_key_name(key):
        return key
    return "*" + printable(key[-4:] if len(key) > SHORT_CHARS else "")


def masked_name(name: str) -> str:
    """A spool file's name as logs may show it, whether it is an event's or not."""
    head, underscore, rest = name.removesuffix(".txt").partition("_")
    if len(head) >= 20 and head.isalnum():  # a key in the place of a time
        return masked(head)
    return printable(head)[:40] + (underscore and "_" + masked(rest))


def redacted(text: str, key: str) -> str:
    """Somebody else's words, with the key masked where they quote it. A short one, which PagerDuty
    has never given, would be found within many words ("test" in "latest"): it is masked where it
    stands alone."""
    if not key:
        return text
    if len(key) > SHORT_CHARS:
        return text.replace(key, masked(key))
    import re  # for a short one only

    alone = rf"(?<![^\W_]){re.escape(key)}(?![^\W_])"
    return re.sub(alone, lambda _: masked(key), text)


def printable(text: str, instead: str = "?") -> str:
    """Text of unknown origin as one line of the same length. `instead` takes the place of
    characters that can't be printed."""
    return (
        text if text.isprintable() else "".join([c if c.isprintable() else instead for c in text])
    )


def escaped(text: str) -> str:
    """Text as one line that no terminal takes for a command or shows from right to left. Characters
    that can't be printed are written as in JSON."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _code(c) for c in text)


def hour(wall: float | None, now: float) -> str:
    """A moment in local time: "14:05" today, with its date on another day."""
    there, here = time.localtime(wall or 0.0), time.localtime(now)
    return time.strftime("%H:%M" if there[:3] == here[:3] else "%Y-%m-%d %H:%M", there)


def _code(char: str) -> str:
    number = ord(char)
    if number > 0xFFFF:
        number -= 0x10000
        return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char) or f"\\u{number:04x}"
