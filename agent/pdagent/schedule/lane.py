"""A lane: the pending events of one integration key, and the dedup chains of it that are held.

Pure: knows names and the time it is handed. What holds are drawn, and when, is `scheduler`'s.
"""

import heapq
from bisect import bisect_left
from collections import deque

from pdagent.queue.names import order
from pdagent.schedule.backoff import Backoff


class Entry:
    """A pending event as the scheduler knows it."""

    __slots__ = (
        "chain",
        "delays",
        "incomplete_since",
        "key",
        "missed_at",
        "name",
        "retried",
        "troubled_at",
        "troubled_since",
        "troubles",
        "unfinished_since",
        "unreadable_since",
    )

    def __init__(self, name: str, key: str, retried: bool = False) -> None:
        self.name = name
        self.key = key
        self.retried = retried  # by a person, after it was in error
        self.chain: str | None = None  # known once the file was read
        self.troubles = 0
        self.troubled_since = 0.0
        self.troubled_at = 0.0
        self.missed_at: float | None = None  # when it last found nothing reachable
        self.delays = False  # its lane, since it can't be sent as it is
        self.incomplete_since: float | None = None  # a script may be writing it
        self.unfinished_since: float | None = None  # its writer may not be done with it
        self.unreadable_since: float | None = None  # its disk may come back


class Chain:
    """A held dedup chain: its events in order, the first of them the one in trouble."""

    __slots__ = ("backoff", "entries", "since", "unfinished", "until", "why")

    def __init__(self, backoff: Backoff) -> None:
        self.entries: deque[Entry] = deque()
        self.backoff = backoff
        self.since = 0.0
        self.until = 0.0
        self.why = ""
        self.unfinished = False  # held for its first event's writer


class Lane:
    """The events of one integration key."""

    __slots__ = (
        "backoff",
        "busy",
        "chains",
        "due",
        "key",
        "queued",
        "since",
        "troubles",
        "until",
        "waiting",
        "why",
    )

    def __init__(self, key: str, backoff: Backoff) -> None:
        self.key = key
        self.waiting: deque[Entry] = deque()
        self.chains: dict[str, Chain] = {}
        self.due: list[tuple[float, str]] = []  # a heap of when chains are due
        self.busy = False
        self.queued = False
        self.since: float | None = None  # held since; None: it is not
        self.until = 0.0
        self.why = ""
        self.troubles = 0
        self.backoff = backoff

    def held_by(self, entry: Entry) -> Chain | None:
        """The chain that waits for this event, its first, if one does."""
        chain = self.chains.get(entry.chain) if entry.chain is not None else None
        return chain if chain is not None and chain.entries[0] is entry else None

    @property
    def events(self) -> int:
        chained = sum(len(chain.entries) for chain in self.chains.values())
        return self.busy + len(self.waiting) + chained

    def due_chain(self, now: float) -> Chain | None:
        while self.due and self.due[0][0] <= now:
            until, name = heapq.heappop(self.due)
            chain = self.chains.get(name)
            if chain is not None and chain.until == until:  # else it was released, or is held anew
                return chain
        return None


def line_up(line: deque[Entry], entry: Entry) -> None:
    """At its end, or where its name says if it is retried."""
    if entry.retried:
        line.insert(bisect_left(line, order(entry.name), key=lambda e: order(e.name)), entry)
    else:
        line.append(entry)
