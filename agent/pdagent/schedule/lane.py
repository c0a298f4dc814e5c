"""A lane: the pending events of one integration key, and those of its dedup chains that wait.

Pure: it knows names and the time it is handed. The scheduler decides what is held, and when.

There may be as many lanes as events, since anyone can make files of 100,000 keys. So a lane of one
event is small, and its parts that are for trouble are made when there is trouble.
"""

from collections.abc import Callable
from dataclasses import replace

from pdagent.queue.holds import Cause, Hold, Scope
from pdagent.schedule.backoff import Backoff
from pdagent.schedule.chains import Chain, Chains
from pdagent.schedule.entry import Entry, Line

FULL_ROOM = 64  # as many as max_per_key can be
# All posts of a new lane may hang, each in a place that another key could have had. So a new lane
# has few places. With one alone, a post that hangs would keep back its key's other events.
NEW_ROOM = 2


class Lane:
    """The events of one integration key. `random` gives floats in [0, 1).

    An event in `waiting` was not read yet, so its chain is not known. Every other event is on its
    way or in a chain. One event at a time is `reading`: if a later one were read beside it, the
    later one could turn out to be of the same chain, and go first.
    """

    __slots__ = (
        "_backoff",
        "_chains",
        "_random",
        "_sending",
        "heavy",
        "hold",
        "key",
        "more",
        "queued",
        "reading",
        "room",
        "troubles",
        "waiting",
    )

    def __init__(self, key: str, random: Callable[[], float]) -> None:
        self.key = key
        self.waiting = Line()
        self.reading: Entry | None = None  # the event that is on its way but not yet free to go
        self.queued = False  # True while the lane waits for its turn
        self.heavy = False  # True while its next event is known to be a large one
        self.hold: Hold | None = None
        self.troubles = 0
        self.room = NEW_ROOM  # how many events may be on their way at once
        self.more = FULL_ROOM  # by how many that grows with each event that is taken
        self._sending: dict[str, Entry] | None = None  # by chain
        self._random = random
        self._backoff: Backoff | None = None
        self._chains: Chains | None = None

    # --- what is on its way ---------------------------------------------------------------------

    @property
    def claimed(self) -> list[Entry]:
        """The events that are on their way."""
        sending = [] if self._sending is None else list(self._sending.values())
        return sending if self.reading is None else [self.reading, *sending]

    def is_full(self, most: int) -> bool:
        """Whether no other event of it may be claimed, since `most` may be on their way at once."""
        sending = 0 if self._sending is None else len(self._sending)
        return self.reading is not None or sending >= min(self.room, most)

    def has_claimed(self, entry: Entry) -> bool:
        """Whether this event is on its way."""
        return self.reading is entry or self.sending(entry.chain) is entry

    def sending(self, chain: str | None) -> Entry | None:
        """The event of this chain that is on its way, and free to go, if there is one."""
        return None if self._sending is None or chain is None else self._sending.get(chain)

    def send(self, entry: Entry) -> None:
        """The event that was read is free to go."""
        assert entry.chain is not None
        if self._sending is None:
            self._sending = {}
        self._sending[entry.chain] = entry
        if self.reading is entry:
            self.reading = None

    def release(self, entry: Entry) -> None:
        """An event is no longer on its way."""
        if self.reading is entry:
            self.reading = None
        elif self.sending(entry.chain) is entry:
            assert self._sending is not None
            del self._sending[entry.chain or ""]

    # --- what waits, and for what ---------------------------------------------------------------

    @property
    def backoff(self) -> Backoff:
        """The backoff of the whole lane's holds."""
        if self._backoff is None:
            self._backoff = Backoff(self._random)
        return self._backoff

    @property
    def chains(self) -> Chains:
        """The chains in which events wait."""
        if self._chains is None:
            self._chains = Chains()
        return self._chains

    @property
    def has_chains(self) -> bool:
        """Whether events wait in any chain."""
        return bool(self._chains)

    @property
    def until(self) -> float:
        """Until when the whole lane is held, in monotonic seconds."""
        return float("-inf") if self.hold is None else self.hold.until

    def keep(self, hold: Hold) -> Hold | None:
        """Holds the whole lane from now on, and returns the hold. None: one that lasts longer
        stays."""
        self.room = self.more = 1
        if self.hold is not None:
            if hold.until <= self.hold.until:
                return None
            if self.hold.is_told:
                hold = replace(hold, since=self.hold.since)  # people are told of one hold
        self.hold = hold
        return hold

    def is_older_than_hold(self, started: float) -> bool:
        """Whether the hold began after a post was sent, at `started`. Such a post tells nothing
        about the hold."""
        return self.hold is not None and started < self.hold.since

    def taken(self) -> None:
        """PagerDuty has taken an event: more may be on their way at once. A hold makes this a slow
        start."""
        self.backoff.succeeded()
        self.troubles = 0
        self.room = min(self.room + self.more, FULL_ROOM)

    @property
    def events(self) -> int:
        """How many are pending."""
        found = len(self.waiting) + sum(self.held_by(entry) is None for entry in self.claimed)
        if self._chains is not None:
            found += sum(len(chain.entries) for _, chain in self._chains.items())
        return found

    @property
    def owner(self) -> int | None:
        """Whose event is probably next. None if there is none."""
        entry = self.waiting.first
        if entry is None and self._chains is not None:
            entry = self._chains.first()
        return None if entry is None else entry.owner

    def held_by(self, entry: Entry) -> Chain | None:
        """The chain whose first event this is, if that chain is held."""
        if self._chains is None:
            return None
        chain = self._chains.get(entry.chain)
        return chain if chain is not None and chain.entries.first is entry else None

    def chain_ahead(self, entry: Entry) -> Chain | None:
        """The chain of this event, if the event has to wait there behind another."""
        first = self.sending(entry.chain)
        if first is None:
            chain = None if self._chains is None else self._chains.get(entry.chain)
            return None if chain is None or chain.entries.first is entry else chain
        return None if first is entry else self.chain_of(first)

    def chain_of(self, entry: Entry) -> Chain:
        """The held chain of this event. It is made if there is none."""
        assert entry.chain is not None
        chain = self.chains.get(entry.chain)
        if chain is None:
            chain = self._free_chain(entry.chain)
            chain.entries.append(entry)
            self.chains.add(entry.chain, chain)
        return chain

    def _free_chain(self, name: str) -> Chain:
        over = float("-inf")
        hold = Hold(Scope.CHAIN, Cause.UNFINISHED, "", over, over, self.key, name)
        return Chain(Backoff(self._random), hold)

    def leave_chain(self, entry: Entry) -> Chain:
        """The first event of a chain is no longer pending. The events behind it go as soon as the
        lane may. Returns the chain as it was."""
        assert entry.chain is not None
        chain = self.chains.remove(entry.chain)
        chain.entries.take()
        if chain.entries:
            rest = self._free_chain(entry.chain)
            rest.entries = chain.entries
            self.chains.add(entry.chain, rest)
            self.chains.due_at(entry.chain, rest.hold.until)
        return chain

    def hold_chain(self, entry: Entry, hold: Hold) -> None:
        """Holds the event and all that follow it in its chain."""
        self.chain_of(entry).keep(hold)
        self.chains.due_at(entry.chain or "", hold.until)

    def make_due(self, chain: Chain, entry: Entry, now: float) -> None:
        """Lets a held chain, of which this event is the first, go as soon as the lane may."""
        chain.hold = replace(chain.hold, until=now)
        self.chains.due_at(entry.chain or "", now)

    def let_go(self, entry: Entry, now: float) -> bool:
        """The held chain of this event, if there is one, need not wait any longer. Returns whether
        it had to."""
        chain = self.chains.get(entry.chain)
        if chain is None or chain.hold.until <= now or chain.entries.first is None:
            return False
        self.make_due(chain, chain.entries.first, now)
        return True
