"""Marks: what stands behind an expectation's identity in the name of its file in `expected/`.

Without a mark, the expectation never lapsed. Each mark is followed by a place in the queue, in
microseconds since the epoch: the place of the last trigger, or of the last resolve. Pure.
"""

from pdagent.queue.names import key_of, stamp
from pdagent.spool import NAME_TRIES

LAPSING = ".lapsing-"  # its trigger is about to get this place
LAPSED = ".lapsed-"  # its trigger is in the queue
RENEWED = ".renewed-"  # it is renewed since, and its resolve is in the queue


def has_lapsed(name: str) -> bool:
    """Whether this name, or mark, is of one that has lapsed."""
    return LAPSING in name or LAPSED in name


def rank(name: str) -> tuple[bool, int]:
    """Sorts the names of one expectation's files. The first is the file of the last renewal."""
    return has_lapsed(name), -marked(name.partition(".")[2])


def marked(mark: str) -> int:
    """The place in a mark, 0 if there is none."""
    _, _, place = mark.partition("-")
    return int(place) if place.isdecimal() else 0


def behind(mark: str, place: int) -> int:
    """A place behind the event of the mark: `place`, if that is behind it. The event may be at one
    of the NAME_TRIES places from the mark's on, since its own may have been taken."""
    return max(place, marked(mark) + NAME_TRIES)


def place_of(name: str, mark: str, now: int) -> int:
    """Where in the queue the resolve belongs that follows from the renewal `name`: at the time when
    the renewal was accepted, but behind the trigger. `now` is in microseconds since the epoch."""
    return behind(mark, now if key_of(name) is None else min(now, stamp(name)))
