"""Names: what the name of an event's file says. `spool` makes names; only this module reads them.

Pure: it knows no directory. Anyone may have given a file any name, so the first question is always
whether a name is an event's at all: `key_of`. `stamp` and `order` take only names that are.
"""

import re

_NAME = re.compile(r"([0-9]{1,20})_([^/\0]*)\.txt")
NUMBERS = 10**20  # the number of a name is below it, since it has at most 20 digits


def key_of(name: str) -> str | None:
    """The integration key in an event's file name; None: not an event's name."""
    match = _NAME.fullmatch(name)
    return match[2] if match else None


def stamp(name: str) -> int:
    """When the event was accepted, in microseconds since the epoch, as its name has it."""
    return int(name.partition("_")[0])


def order(name: str) -> tuple[int, str]:
    """Sorts events' file names into queue order."""
    # Numbers are compared, not texts: "9_K.txt" (of a clock in 1970, or of a script) is older than
    # "1795402356123456_K.txt".
    return stamp(name), name


def place(name: str) -> tuple[int, str]:
    """As `order`, but for any name. Names that are not events' come first."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), name) if match else (0, name)
