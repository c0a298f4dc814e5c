"""Chains: the events of one dedup key. A later one must not go before an earlier one is settled.

Pure. A chain is made only when an event has to wait: most events are the only one of their dedup
key.
"""

import heapq
from collections.abc import Iterable
from dataclasses import replace

from pdagent.queue.holds import Hold
from pdagent.schedule.backoff import Backoff
from pdagent.schedule.entry import Entry, Line


class Chain:
    """A dedup chain: its events in order. The first of them is in trouble, on its way, or due.
    `told` is the hold that people are told of; it stays as long as the chain is there."""

    __slots__ = ("backoff", "entries", "hold", "told")

    def __init__(self, backoff: Backoff, hold: Hold) -> None:
        self.entries = Line()
        self.backoff = backoff
        self.hold = hold
        self.told: Hold | None = hold if hold.is_told else None

    def keep(self, hold: Hold) -> None:
        """Holds the chain from now on."""
        self.hold = hold
        if hold.is_told:
            # People are told of one hold, from the first failure to the last.
            since = hold.since if self.told is None else self.told.since
            self.told = replace(hold, since=since)


class Chains:
    """The chains of a lane in which events wait, by name."""

    __slots__ = ("_by_name", "_due")

    def __init__(self) -> None:
        self._by_name: dict[str, Chain] = {}
        self._due: list[tuple[float, str]] = []  # a heap

    def __len__(self) -> int:
        return len(self._by_name)

    def items(self) -> Iterable[tuple[str, Chain]]:
        """All chains, with their names."""
        return self._by_name.items()

    def get(self, name: str | None) -> Chain | None:
        """The chain of that name; None if there is none."""
        return None if name is None else self._by_name.get(name)

    def add(self, name: str, chain: Chain) -> None:
        """A chain of that name in which events wait."""
        self._by_name[name] = chain

    def remove(self, name: str) -> Chain:
        """Takes the chain of that name out."""
        return self._by_name.pop(name)

    def due_at(self, name: str, until: float) -> None:
        """The hold of this chain ends at `until`, in monotonic seconds."""
        heapq.heappush(self._due, (until, name))

    def due(self, now: float) -> Chain | None:
        """A chain whose hold has ended."""
        while self._due and self._due[0][0] <= now:
            until, name = heapq.heappop(self._due)
            chain = self._by_name.get(name)
            # Otherwise the chain was released meanwhile, or is held again.
            if chain is not None and chain.hold.until == until:
                return chain
        return None

    def first(self) -> Entry | None:
        """The first event of one of the chains."""
        for chain in self._by_name.values():
            return chain.entries.first
        return None
