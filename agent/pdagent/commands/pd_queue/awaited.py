"""What is expected, and until when, as `pd-queue` shows it."""

import argparse
import pwd
from collections.abc import Iterator
from dataclasses import dataclass

from pdagent.commands.pd_queue.documents import Document
from pdagent.commands.pd_queue.view import View
from pdagent.commands.text import cut, padded, span
from pdagent.queue.elapsed import Moment, due, present
from pdagent.queue.expected import Kept, counted, kept
from pdagent.queue.keys import matches_key
from pdagent.queue.pending import summary
from pdagent.queue.state import iso
from pdagent.shown import escaped, hour, masked, redacted

_KEY = 5  # at least: names of keys are shown whole
_DEDUP_KEY = 20
_USER = 10


@dataclass(frozen=True, slots=True)
class Awaited:
    """An expectation for a person. `until`: when it lapses, or lapsed, in seconds since the
    epoch."""

    owner: int
    key: str
    dedup_key: str
    summary: str
    term: float
    heard: float
    until: float
    lapsed: bool


def expectations(view: View, options: argparse.Namespace) -> list[Awaited]:
    """Those that the options of `list` select, the next to lapse first. Options that are about
    events alone select none."""
    about = (options.state, options.older, options.newer, options.reason)
    if options.events or any(each is not None for each in about):
        return []
    now = present()
    found = [awaited(each, now) for each in selected(view, options)]
    found.sort(key=lambda each: each.until)
    return found[: options.limit]


def selected(view: View, options: argparse.Namespace) -> Iterator[Kept]:
    """What is expected of a key, an incident and a user, each where it is given."""
    key, dedup_key = options.service_key, options.incident_key
    user = getattr(options, "user", None)
    for each in kept(view.root):
        found = each.expectation
        if (
            (key is None or matches_key(found.key, key, view.lane))
            and dedup_key in (None, found.dedup_key)
            and user in (None, each.owner)
        ):
            yield each


def awaited(each: Kept, now: Moment) -> Awaited:
    """An expectation that is kept, for a person."""
    found = each.expectation
    since, term = found.since, found.term
    until = now.wall + due(since, term, now)
    names = (each.owner, found.key, found.dedup_key, summary(found.trigger))
    return Awaited(*names, term, since.wall, until, each.lapsed)


def document(each: Awaited) -> Document:
    """The same for a program: docs/json.md."""
    return {
        "user": each.owner,
        "key": masked(each.key),
        "dedup_key": redacted(each.dedup_key, each.key),
        "summary": redacted(each.summary, each.key),
        "within": each.term,
        "last_heard": _time(each.heard),
        "until": _time(each.until),
        "lapsed": each.lapsed,
    }


def _time(wall: float) -> str:
    return iso(min(max(wall, 0.0), 253_402_300_799.0))  # anyone may have written any number


def counts(view: View) -> Document:
    """How many expectations there are, for `status`."""
    waiting, lapsed = counted(view.root)
    return {"waiting": waiting, "lapsed": lapsed}


def remark(view: View) -> str:
    """The same in words, "" where nothing is expected."""
    waiting, lapsed = counted(view.root)
    if not waiting and not lapsed:
        return ""
    text = f"Expected: {waiting + lapsed}"
    return f"{text}, {lapsed} lapsed. sudo pd-queue list shows them." if lapsed else f"{text}."


def table(view: View, found: list[Awaited], columns: int | None) -> Iterator[str]:
    """The expectations, line by line."""
    room = max(_KEY, max((len(masked(each.key)) for each in found), default=0))
    heading = f"EXPECTED BY       TERM STATE   {'USER':<{_USER}} {'KEY':<{room}} "
    yield f"{heading}{'DEDUP KEY':<{_DEDUP_KEY}} SUMMARY"[:columns] + "\n"
    for each in found:
        by = hour(min(max(each.until, 0.0), 32_503_680_000.0), view.wall)
        state = "lapsed" if each.lapsed else "waits"
        dedup_key = escaped(redacted(each.dedup_key, each.key))
        if columns is not None:
            dedup_key = padded(dedup_key, _DEDUP_KEY)
        line = f"{by:<16} {span(each.term):>5} {state:<7} {_user(each.owner):<{_USER}} "
        line += f"{masked(each.key):<{room}} {dedup_key:<{_DEDUP_KEY}} "
        line += escaped(redacted(each.summary, each.key))
        yield (line if columns is None else cut(line, columns)).rstrip() + "\n"


def _user(uid: int) -> str:
    try:
        return escaped(pwd.getpwuid(uid).pw_name)
    except (KeyError, OverflowError):
        return str(uid)
