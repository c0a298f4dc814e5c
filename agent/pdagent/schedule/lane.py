"""A lane: the pending events of one integration key, and the dedup chains of it that are held.

Pure: knows names and the time it is handed. The scheduler decides what is held, and when.

There may be as many lanes as events, since anyone can make files of 100,000 keys. So a lane of one
event is small, and what only trouble needs is made when there is trouble.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from pdagent.queue.holds import Cause, Hold, Scope
from pdagent.queue.names import order
from pdagent.schedule.backoff import Backoff


class Entry:
    """A pending event as the scheduler knows it. `owner`: the user whose file it is. `delays`: the
    event can't be read yet, so its chain is unknown, and its whole key waits for it."""

    __slots__ = (
        "_since",
        "chain",
        "delays",
        "heavy",
        "key",
        "missed_at",
        "name",
        "next",
        "owner",
        "retried",
        "troubled_at",
        "troubled_since",
        "troubles",
    )

    def __init__(self, name: str, key: str, retried: bool = False, owner: int = 0) -> None:
        self.name = name
        self.key = key
        self.owner = owner
        self.retried = retried  # by a person, after it was in error
        self.chain: str | None = None  # known once the file was read
        self.troubles = 0
        self.troubled_since = 0.0
        self.troubled_at = 0.0
        self.missed_at: float | None = None  # when it last found nothing reachable
        self.delays = False  # True while this event holds back its whole key
        self.heavy = False  # True while it takes one of the few places for large events
        self.next: Entry | None = None  # in its line
        self._since: dict[str, float] | None = None

    def since(self, what: str, now: float) -> float:
        """When it was first found to be `what`: incomplete, say."""
        if self._since is None:
            self._since = {}
        return self._since.setdefault(what, now)


class Line:
    """Entries that wait in line. Each knows the next, so that a line of one is small, and the first
    of 100,000 leaves as fast as the first of two."""

    __slots__ = ("_last", "_length", "first")

    def __init__(self) -> None:
        self.first: Entry | None = None
        self._last: Entry | None = None
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Entry]:
        entry = self.first
        while entry is not None:
            yield entry
            entry = entry.next

    def append(self, entry: Entry) -> None:
        self._insert(self._last, entry)

    def prepend(self, entries: Iterable[Entry]) -> None:
        """Puts these before all others, in the order in which they come."""
        before = None
        for entry in entries:
            self._insert(before, entry)
            before = entry

    def join(self, entry: Entry) -> None:
        """At the end, or where its name says if it is retried."""
        if not entry.retried:
            self.append(entry)
            return
        before, place = None, order(entry.name)
        for other in self:
            if order(other.name) > place:
                break
            before = other
        self._insert(before, entry)

    def take(self) -> Entry | None:
        """The first, which leaves the line."""
        entry = self.first
        if entry is not None:
            self.first, entry.next = entry.next, None
            self._length -= 1
            if self.first is None:
                self._last = None
        return entry

    def take_all(self) -> list[Entry]:
        """All of them, which leave the line."""
        return list(iter(self.take, None))

    def _insert(self, before: Entry | None, entry: Entry) -> None:
        if before is None:
            entry.next, self.first = self.first, entry
        else:
            entry.next, before.next = before.next, entry
        if entry.next is None:
            self._last = entry
        self._length += 1


class Chain:
    """A held dedup chain: its events in order, the first of them the one in trouble. `told`: the
    hold that people are told of, as long as the chain is there."""

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
            # For a person it is one hold, from the first failure to the last.
            since = hold.since if self.told is None else self.told.since
            self.told = replace(hold, since=since)


class Chains:
    """The held chains of a lane, by name."""

    __slots__ = ("_by_name", "_due")

    def __init__(self) -> None:
        self._by_name: dict[str, Chain] = {}
        self._due: list[tuple[float, str]] = []  # a heap

    def __len__(self) -> int:
        return len(self._by_name)

    def items(self) -> Iterable[tuple[str, Chain]]:
        return self._by_name.items()

    def get(self, name: str | None) -> Chain | None:
        return None if name is None else self._by_name.get(name)

    def add(self, name: str, chain: Chain) -> None:
        self._by_name[name] = chain

    def remove(self, name: str) -> Chain:
        return self._by_name.pop(name)

    def due_at(self, name: str, until: float) -> None:
        heapq.heappush(self._due, (until, name))

    def due(self, now: float) -> Chain | None:
        """A chain whose hold has ended."""
        while self._due and self._due[0][0] <= now:
            until, name = heapq.heappop(self._due)
            chain = self._by_name.get(name)
            # Else it was released, or is held anew.
            if chain is not None and chain.hold.until == until:
                return chain
        return None

    def first(self) -> Entry | None:
        """One of the events that wait for their chain's end."""
        for chain in self._by_name.values():
            return chain.entries.first
        return None


class Lane:
    """The events of one integration key. `random` gives floats in [0, 1)."""

    __slots__ = (
        "_backoff",
        "_chains",
        "_random",
        "claimed",
        "heavy",
        "hold",
        "key",
        "queued",
        "troubles",
        "waiting",
    )

    def __init__(self, key: str, random: Callable[[], float]) -> None:
        self.key = key
        self.waiting = Line()
        self.claimed: Entry | None = None  # on its way
        self.queued = False  # for its turn
        self.heavy = False  # True while its next event is known to be a large one
        self.hold: Hold | None = None
        self.troubles = 0
        self._random = random
        self._backoff: Backoff | None = None
        self._chains: Chains | None = None

    @property
    def busy(self) -> bool:
        """Whether an event of it is on its way."""
        return self.claimed is not None

    @property
    def backoff(self) -> Backoff:
        if self._backoff is None:
            self._backoff = Backoff(self._random)
        return self._backoff

    @property
    def chains(self) -> Chains:
        if self._chains is None:
            self._chains = Chains()
        return self._chains

    @property
    def has_chains(self) -> bool:
        return bool(self._chains)

    @property
    def until(self) -> float:
        """Until when it is held."""
        return float("-inf") if self.hold is None else self.hold.until

    def keep(self, hold: Hold) -> None:
        """Holds the whole lane from now on."""
        if self.hold is not None and self.hold.is_told:
            hold = replace(hold, since=self.hold.since)  # for a person it is one hold
        self.hold = hold

    @property
    def events(self) -> int:
        found = self.busy + len(self.waiting)
        if self._chains is not None:
            found += sum(len(chain.entries) for _, chain in self._chains.items())
        return found

    @property
    def owner(self) -> int | None:
        """Whose event is next, as far as one can tell."""
        entry = self.waiting.first
        if entry is None and self._chains is not None:
            entry = self._chains.first()
        return None if entry is None else entry.owner

    def held_by(self, entry: Entry) -> Chain | None:
        """The chain that waits for this event, its first, if one does."""
        if self._chains is None:
            return None
        chain = self._chains.get(entry.chain)
        return chain if chain is not None and chain.entries.first is entry else None

    def chain_of(self, entry: Entry) -> Chain:
        """The chain that waits for this event. There is one from now on, if there was none."""
        assert entry.chain is not None
        chain = self.chains.get(entry.chain)
        if chain is None:
            over = float("-inf")
            hold = Hold(Scope.CHAIN, Cause.UNFINISHED, "", over, over, self.key, entry.chain)
            chain = Chain(Backoff(self._random), hold)
            chain.entries.append(entry)
            self.chains.add(entry.chain, chain)
        return chain

    def hold_chain(self, entry: Entry, hold: Hold) -> None:
        """Holds the event and all that follow it in its chain."""
        self.chain_of(entry).keep(hold)
        self.chains.due_at(entry.chain or "", hold.until)

    def make_due(self, chain: Chain, entry: Entry, now: float) -> None:
        """Lets a held chain, of which this event is the first, go as soon as the lane may."""
        chain.hold = replace(chain.hold, until=now)
        self.chains.due_at(entry.chain or "", now)
