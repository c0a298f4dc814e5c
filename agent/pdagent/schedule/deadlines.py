"""Deadlines: which expectation lapses next. Pure: the clocks are handed in.

An expectation of this boot lapses at a known count of the seconds since the boot. One of an earlier
boot is measured by the wall clock. So when the wall clock is stepped, the deadlines of those are
made anew, and of those alone.
"""

import heapq
from dataclasses import dataclass

from pdagent.queue.elapsed import Moment, due, is_same_boot

# A smaller difference is drift of the clock, which makes a deadline lapse that much early or late.
STEP_SECONDS = 1.0
SPARE = 64


@dataclass(frozen=True, slots=True)
class _Set:
    since: Moment
    term: float
    at: float  # in seconds since the boot


class Deadlines:
    """Deadlines by name. What it costs to set or to take one grows with the logarithm of their
    number. What a step of the wall clock costs grows with the number of those of earlier boots."""

    def __init__(self) -> None:
        self._set: dict[str, _Set] = {}
        self._heap: list[tuple[float, str]] = []
        self._foreign: set[str] = set()  # of earlier boots
        self._offset = 0.0  # wall - running, when deadlines of earlier boots were last made

    def __len__(self) -> int:
        return len(self._set)

    def set(self, name: str, since: Moment, term: float, now: Moment) -> None:
        """`name` is due `term` seconds after `since`, whatever was set before."""
        self._follow(now)
        at = now.running + due(since, term, now)
        self._set[name] = _Set(since, term, at)
        if is_same_boot(since, now):
            self._foreign.discard(name)
        else:
            self._foreign.add(name)
        heapq.heappush(self._heap, (at, name))
        if len(self._heap) > 2 * len(self._set) + SPARE:  # what was set anew is left in it
            self._heap = [(each.at, name) for name, each in self._set.items()]
            heapq.heapify(self._heap)

    def drop(self, name: str) -> None:
        """There is no such deadline any more."""
        self._set.pop(name, None)
        self._foreign.discard(name)

    def take(self, now: Moment) -> list[str]:
        """The names of those that are due, which are dropped."""
        self._follow(now)
        taken = []
        while (at := self._first()) is not None and at <= now.running:
            _, name = heapq.heappop(self._heap)
            found = self._set[name]
            if due(found.since, found.term, now) > STEP_SECONDS:
                self.set(name, found.since, found.term, now)  # the clock was behind `since`
                continue
            self.drop(name)
            taken.append(name)
        return taken

    def next(self, now: Moment) -> float | None:
        """Seconds until `take` has something to do; None: it never has."""
        at = self._first()
        if at is None:
            return None
        return 0.0 if self._is_stepped(now) else max(0.0, at - now.running)

    def _first(self) -> float | None:
        while self._heap:
            at, name = self._heap[0]
            found = self._set.get(name)
            if found is not None and found.at == at:
                return at
            heapq.heappop(self._heap)
        return None

    def _is_stepped(self, now: Moment) -> bool:
        offset = now.wall - now.running
        return bool(self._foreign) and abs(offset - self._offset) > STEP_SECONDS

    def _follow(self, now: Moment) -> None:
        stepped = self._is_stepped(now)
        if stepped or not self._foreign:
            self._offset = now.wall - now.running
        if stepped:
            for name in list(self._foreign):
                found = self._set[name]
                self.set(name, found.since, found.term, now)
