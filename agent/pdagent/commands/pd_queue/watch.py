"""`pd-queue watch`: the queue as it changes. On a terminal it is a live view, elsewhere lines."""

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from pdagent import exits
from pdagent.commands import common
from pdagent.commands.pd_queue import documents, words
from pdagent.commands.pd_queue.view import View
from pdagent.commands.screen import Line, Screen
from pdagent.commands.terminal import has_colours, has_screen
from pdagent.commands.text import moment, padded
from pdagent.queue.listing import Query, Record
from pdagent.queue.names import key_of
from pdagent.queue.states import STATES, Count
from pdagent.shown import masked
from pdagent.spool import DELIVERED, IN_ERROR, PENDING

# The pause between two looks is at least this long, and long enough that looking takes a twentieth
# of the time.
PAUSE_SECONDS = 1.0
PAUSE_SHARE = 0.05
# The kernel's time stamps tick more slowly than files come.
TICK_SECONDS = 0.1
KEYS_SHOWN = 5
HOLDS_SHOWN = 6


def watch(view: View, options: argparse.Namespace) -> int:
    queue = Queue(view, options.service_key)
    if options.json or not has_screen():
        common.emit(_follow(queue, options.json), at_once=True)
        return exits.DONE
    queue.look()  # before the screen is taken: if this user may not look, that can be said
    with Screen(has_colours()) as screen:
        while True:
            screen.draw(frame(queue, *screen.size()))
            if "q" in screen.wait(queue.pause):
                return exits.DONE
            queue.look()


class Queue:
    """The queue as it was when it was last looked at. Directories are listed only when they have
    changed."""

    def __init__(self, view: View, key: str | None) -> None:
        self.view = view
        self.key = key
        self.pause = PAUSE_SECONDS
        self._names: dict[str, list[str]] = {}
        self._keys: dict[str, Counter[str]] = {}
        self._stamps: dict[str, int] = {}

    def look(self) -> None:
        """Looks again. Raises OSError."""
        began = time.monotonic()
        self.view = View(self.view.settings)
        for directory in (PENDING, IN_ERROR, DELIVERED):
            stamp = os.stat(f"{self.view.root}/{directory}").st_mtime_ns
            if stamp != self._stamps.get(directory):
                steady = self.view.wall - stamp / 1e9 > TICK_SECONDS
                self._stamps[directory] = stamp if steady else -1
                query = Query(key=self.key, states=(directory,))
                names = [name for _, name in self.view.listing().names(query, self.view.wall)]
                self._names[directory] = names
                self._keys[directory] = Counter(key_of(name) or "" for name in names)
        self.pause = max(PAUSE_SECONDS, (time.monotonic() - began) / PAUSE_SHARE)

    def number(self, directory: str) -> int:
        """How many events there are in it."""
        return len(self._names[directory])

    def numbers(self) -> dict[str, Counter[str]]:
        """How many events there are, by directory and key."""
        return dict(self._keys)

    def counts(self) -> dict[str, Count]:
        """Events by key and state, the keys with most trouble first."""
        pending, delivered, in_error = (self._keys[d] for d in (PENDING, DELIVERED, IN_ERROR))
        keys = sorted(
            pending.keys() | delivered.keys() | in_error.keys(),
            key=lambda key: (-pending[key], -in_error[key], -delivered[key], key),
        )
        return {key: Count(pending[key], delivered[key], in_error[key]) for key in keys}

    def held(self, most: int) -> list[str]:
        """What is held, a line each."""
        return words.held(self.view, self.key, self._keys[PENDING], most)

    def oldest(self, most: int) -> Iterator[Record]:
        """Pending events, the oldest first."""
        return self._records(PENDING, self._names[PENDING][:most])

    def newest(self, most: int) -> Iterator[Record]:
        """Events in error, the newest first."""
        names = self._names[IN_ERROR]
        return self._records(IN_ERROR, names[: -most - 1 : -1] if most else [])

    def _records(self, directory: str, names: list[str]) -> Iterator[Record]:
        return self.view.listing().records(Query(), [(directory, name) for name in names])


def _follow(queue: Queue, as_json: bool) -> Iterator[str]:
    """A line now and whenever something has changed."""
    before = None
    while True:
        queue.look()
        view = queue.view
        holds = [(h.scope, h.key, h.chain, h.why) for h in view.holds(queue.key)]
        lost = None if view.held is None else {*view.held.lost}
        seen = queue.numbers(), view.running, holds, lost
        if seen != before:
            before = seen
            if as_json:
                yield documents.dumps(documents.status(view, queue.counts(), queue.key)) + "\n"
            else:
                held = "".join(f"; {line}" for line in queue.held(HOLDS_SHOWN))
                yield f"{moment(view.wall)} {_totals(queue)}{held}\n"
        common.wait_with_reader(queue.pause)


def _totals(queue: Queue) -> str:
    pending, in_error = queue.number(PENDING), queue.number(IN_ERROR)
    return f"{pending} pending, {in_error} in error, {queue.number(DELIVERED)} delivered"


def frame(queue: Queue, columns: int, rows: int) -> list[Line]:
    """The screen: totals, holds, keys, and then as many events as there is room for. The others are
    counted."""
    view = queue.view
    now = " " + moment(view.wall)[-8:]
    title = f"The queue of {os.uname().nodename}"
    lines: list[Line] = [("title", padded(title, max(0, columns - len(now))) + now)]
    state = "pdagentd is running" if view.running else "pdagentd is NOT running"
    lines.append(("" if view.running else "error", f"{_totals(queue)}; {state}"))
    held = queue.held(HOLDS_SHOWN)
    if held:
        lines.append(("", ""))
        for line in held:
            # It is wrapped, not cut: the time of the next try stands at its end.
            lines += [
                ("held", part) for part in words.wrapped(f"held: {line}", columns, "", "      ")
            ]
    lines += [("", ""), *_keys(queue, columns)]
    room = rows - len(lines) - 3  # an empty line, the heading, the last line
    if room > 0:
        lines += [("", ""), ("heading", padded(words.headings(view, columns), columns))]
        lines += _events(queue, columns, room)
    lines += [("", "")] * (rows - 1 - len(lines))
    return [*lines[: rows - 1], ("faint", "q quits")]


def _keys(queue: Queue, columns: int) -> Iterator[Line]:
    room = max(8, len("@") + queue.view.longest_name)
    heading = f"{'KEY':<{room}}{'PENDING':>10}{'SUCCESS':>10}{'IN ERROR':>10}"
    yield "heading", padded(heading, columns)
    counts = queue.counts()
    for key, count in islice(counts.items(), KEYS_SHOWN):
        text = f"{masked(key):<{room}}{count.pending:>10}{count.delivered:>10}{count.in_error:>10}"
        yield "error" if count.in_error else "", text
    if len(counts) > KEYS_SHOWN:
        yield "faint", f"and {len(counts) - KEYS_SHOWN} more"


def _events(queue: Queue, columns: int, room: int) -> list[Line]:
    """Events in error, and pending events in the room that is left."""
    share = min(room, max(room // 2, room - queue.number(PENDING)))
    lines = _fitting(queue, IN_ERROR, queue.newest(share), columns, share)
    return lines + _fitting(queue, PENDING, queue.oldest(room), columns, room - len(lines))


def _fitting(
    queue: Queue, directory: str, records: Iterator[Record], columns: int, room: int
) -> list[Line]:
    """As many of a directory's records as fit; the last line counts the others."""
    total = queue.number(directory)
    lines: list[Line] = []
    number = 0
    before = None
    for record in records:
        block = words.lines(queue.view, record, columns, before)
        if record.hold is not None:
            block = block[:1]  # the hold is shown above
        left = room - len(lines) - (total > number + 1)
        if len(block) > left and (number or left < 1):
            break
        block = block[:left]  # of the first event at least the beginning of its reason is shown
        style = "error" if directory == IN_ERROR else "held" if record.hold else ""
        lines += [(style, text) for text in block]
        number += 1
        before = record
    if total > number and room > len(lines):
        lines.append(("faint", f"and {total - number} more {STATES[directory]}"))
    return lines
