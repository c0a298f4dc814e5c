"""Text for a person: how wide it is, and how times are said. Pure."""

import re
import time
import unicodedata

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw]?)")


def width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """As much of the text as fits, with a mark at the end if something is missing."""
    if width(text) <= columns:
        return text
    room = max(0, columns - 1)
    kept = ""
    for char in text:
        room -= _columns(char)
        if room < 0:
            break
        kept += char
    return kept + "~" if columns > 0 else ""


def padded(text: str, columns: int) -> str:
    """The text, cut or filled to exactly this many columns."""
    text = cut(text, columns)
    return text + " " * (columns - width(text))


def span(seconds: float) -> str:
    """A span of time in at most four columns: 12s, 5m, 3h, 2d."""
    seconds = max(0.0, seconds)
    for unit, least in (("d", 172_800), ("h", 7200), ("m", 120)):
        if seconds >= least:
            return f"{int(seconds / _UNITS[unit])}{unit}"
    return f"{int(seconds)}s"


def parse_span(text: str) -> float:
    """Seconds in "90", "90s", "5m", "3h", "2d" or "1w". Raises ValueError."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError("must be a number and s, m, h, d or w")
    return float(match[1]) * _UNITS[match[2] or "s"]


def moment(wall: float) -> str:
    """A moment in local time, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))
