"""The scheduler: which pending event may go now, and what has to wait for what.

Pure: knows names, chains, verdicts and the time it is handed; does not know files, HTTP or threads.
One caller at a time (`workers` holds the lock). `now` is always monotonic seconds: a stepped wall
clock must not lengthen a hold.

Events of one integration key form a lane, of which one event at a time is on its way; so a key's
events go out in the order of their arrival here. Three kinds of hold change that:

- a *chain* hold (event or server in trouble) keeps back one dedup chain: an event and all that
  follow it with
  the same dedup key. They are parked in order; the rest of the lane goes on.
- a *key* hold (throttled, or several troubled events in a row) keeps back a lane.
- the *destination* hold (nothing is reached) keeps back everything but one probe at a time.

A hold has a scope, a cause and an end. No hold outlives the process: after a restart everything is
tried.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from pdagent.backoff import Backoff
from pdagent.verdict import Delivered, Refused, Throttled, Troubled, Unreachable, Verdict

TROUBLES_IN_A_ROW = 3  # then the key, not the event, is taken to be in trouble
LEAST_TROUBLE_SECONDS = 24 * 3600.0


class Fate(Enum):
    """What became of an event after a verdict."""

    DELIVERED = auto()
    REFUSED = auto()
    GIVEN_UP = auto()
    WAITS = auto()


@dataclass(frozen=True, slots=True)
class Ruling:
    """A fate, and for one that waits the hold: its scope ("event", "key", "destination") and
    seconds to its end."""

    fate: Fate
    scope: str = ""
    seconds: float = 0.0


class Entry:
    """A pending event as the scheduler knows it."""

    __slots__ = (
        "chain",
        "key",
        "missed_at",
        "name",
        "troubled_at",
        "troubled_since",
        "troubles",
        "unfinished_since",
    )

    def __init__(self, name: str, key: str) -> None:
        self.name = name
        self.key = key
        self.chain: str | None = None  # known once the file was read
        self.troubles = 0
        self.troubled_since = 0.0
        self.troubled_at = 0.0
        self.missed_at: float | None = None  # when it last found nothing reachable
        self.unfinished_since: float | None = None  # its writer may not be done with it


class _Chain:
    """A held dedup chain: its events in order, the first of them the one in trouble."""

    __slots__ = ("backoff", "entries", "unfinished", "until")

    def __init__(self, backoff: Backoff) -> None:
        self.entries: deque[Entry] = deque()
        self.backoff = backoff
        self.until = 0.0
        self.unfinished = False  # held for its first event's writer


class _Lane:
    """The events of one integration key."""

    __slots__ = (
        "backoff",
        "busy",
        "chains",
        "due",
        "key",
        "queued",
        "troubles",
        "until",
        "waiting",
    )

    def __init__(self, key: str, backoff: Backoff) -> None:
        self.key = key
        self.waiting: deque[Entry] = deque()
        self.chains: dict[str, _Chain] = {}
        self.due: list[tuple[float, str]] = []  # a heap of when chains are due
        self.busy = False
        self.queued = False
        self.until = 0.0
        self.troubles = 0
        self.backoff = backoff

    def due_chain(self, now: float) -> _Chain | None:
        while self.due and self.due[0][0] <= now:
            until, name = heapq.heappop(self.due)
            chain = self.chains.get(name)
            if chain is not None and chain.until == until:  # else it was released, or is held anew
                return chain
        return None


class Scheduler:
    """All lanes and holds. `cap`: the longest backoff in seconds; `retry_limit`: troubles before an
    event may be given up; `random` gives floats in [0, 1)."""

    def __init__(self, cap: float, retry_limit: int, random: Callable[[], float]) -> None:
        self._random = random
        self.configure(cap, retry_limit)
        self._known: dict[str, Entry] = {}
        self._lanes: dict[str, _Lane] = {}
        self._ready: deque[_Lane] = deque()
        self._timers: list[tuple[float, int, _Lane]] = []
        self._timer_count = 0
        self._destination = self._backoff()
        self._unreachable_since: float | None = None
        self._unreachable_until = 0.0
        self._probe: Entry | None = None
        self._delivered_at = float("-inf")

    def configure(self, cap: float, retry_limit: int) -> None:
        """New limits, for what fails from now on."""
        self._cap = cap
        self._retry_limit = retry_limit

    # --- what is pending ------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    @property
    def unreachable(self) -> bool:
        """Whether the destination is held."""
        return self._unreachable_since is not None

    def add(self, name: str, key: str) -> None:
        """An event has become pending. The order of these calls is the order of acceptance."""
        known = self._known.get(name)
        if known is not None:
            self._finish(known)
            return
        entry = self._known[name] = Entry(name, key)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(key, self._backoff())
        lane.waiting.append(entry)
        self._offer(lane)

    def _finish(self, entry: Entry) -> None:
        # Heard of again while it waits for its writer: which may be done now.
        lane = self._lanes[entry.key]
        held = lane.chains.get(entry.chain) if entry.chain is not None else None
        if held is not None and held.unfinished and held.entries[0] is entry:
            self._hold_chain(entry, lane, float("-inf"))

    # --- handing out ----------------------------------------------------------------------------

    def claim(self, now: float) -> Entry | None:
        """The next event to send, None if nothing may go now. Its lane is busy until the event is
        settled, parked, postponed or forgotten."""
        self._ring(now)
        if not self.has_work(now):
            return None
        while self._ready:
            lane = self._ready.popleft()
            lane.queued = False
            entry = self._next(lane, now)
            if entry is None:
                continue
            lane.busy = True
            if self.unreachable:
                self._probe = entry
            return entry
        return None

    def _next(self, lane: _Lane, now: float) -> Entry | None:
        if lane.busy or lane.until > now or self._lanes.get(lane.key) is not lane:
            return None
        chain = lane.due_chain(now)
        if chain is not None:
            return chain.entries[0]
        if lane.waiting:
            return lane.waiting.popleft()
        if not lane.chains:
            del self._lanes[lane.key]
        return None

    def has_work(self, now: float) -> bool:
        """Whether `claim` might give an event."""
        if self.unreachable and (self._probe is not None or now < self._unreachable_until):
            return False
        return bool(self._ready)

    def may_send(self, entry: Entry, chain: str) -> bool:
        """Whether a claimed event, now that its chain is known, may go. If not, it is parked behind
        the events of its chain that are held, and its lane goes on."""
        if entry.chain is None:  # a file that is changed under way does not change chains
            entry.chain = chain
        lane = self._lanes[entry.key]
        held = lane.chains.get(entry.chain)
        if held is None or held.entries[0] is entry:
            return True
        held.entries.append(entry)
        self._release(entry, lane)
        return False

    def next_due(self, now: float) -> float | None:
        """When a hold ends next and `claim` has something to say that it does not say now; None if
        never."""
        self._ring(now)
        if self.unreachable and self._ready and self._unreachable_until > now:
            return self._unreachable_until
        return self._timers[0][0] if self._timers else None

    # --- what became of it ----------------------------------------------------------------------

    def forget(self, entry: Entry) -> None:
        """A claimed event is no longer pending: settled, removed by a person, or set aside."""
        lane = self._lanes[entry.key]
        del self._known[entry.name]
        chain = lane.chains.get(entry.chain) if entry.chain is not None else None
        if chain is not None and chain.entries[0] is entry:
            chain.entries.popleft()
            del lane.chains[entry.chain or ""]
            # the rest of the chain is older than what waits, so it goes first
            lane.waiting.extendleft(reversed(chain.entries))
        self._release(entry, lane)

    def postpone(self, entry: Entry, until: float) -> None:
        """A claimed event of a known chain is not complete yet: its chain waits, and it is nobody's
        fault."""
        lane = self._lanes[entry.key]
        self._hold_chain(entry, lane, until, unfinished=True)
        self._release(entry, lane)

    def delay(self, entry: Entry, now: float, until: float) -> None:
        """A claimed event can't even be read now. Its chain is unknown, so its whole key waits."""
        lane = self._lanes[entry.key]
        self._hold_lane(lane, until)
        self._put_back(entry, lane, now)

    def settle(self, entry: Entry, verdict: Verdict, started: float, now: float) -> Ruling:
        """Draws the consequences of a verdict on a claimed event that was sent at `started`.

        An event that need not wait stays claimed until `forget`: were the next of its chain sent
        before its file is out of pdq/, a crash in between would have it sent again, after that one.
        """
        lane = self._lanes[entry.key]
        match verdict:
            case Delivered() | Refused():
                lane.backoff.succeeded()
                lane.troubles = 0
                self._reached()
                if isinstance(verdict, Delivered):
                    self._delivered_at = now
                return Ruling(Fate.DELIVERED if isinstance(verdict, Delivered) else Fate.REFUSED)
            case Throttled():
                self._reached()
                # "Retry-After: 0" says no more than 429 itself does
                wait = verdict.retry_after or lane.backoff.failed(self._cap)
                self._hold_lane(lane, now + wait)
                self._put_back(entry, lane, now)
                return Ruling(Fate.WAITS, "key", wait)
            case Troubled():
                self._reached()
                return self._troubled(entry, lane, now)
            case Unreachable():
                return self._unreachable(entry, lane, started, now)

    def _troubled(self, entry: Entry, lane: _Lane, now: float) -> Ruling:
        if not entry.troubles:
            entry.troubled_since = now
        others_get_through = self._delivered_at > entry.troubled_at
        entry.troubles += 1
        entry.troubled_at = now
        if (
            entry.troubles > self._retry_limit
            and now - entry.troubled_since >= LEAST_TROUBLE_SECONDS
            and others_get_through
        ):
            return Ruling(Fate.GIVEN_UP)
        wait = self._wait_in_chain(entry, lane, now)
        lane.troubles += 1
        scope = "event"
        if lane.troubles >= TROUBLES_IN_A_ROW:
            scope = "key"
            wait = max(wait, self._hold_lane(lane, now + lane.backoff.failed(self._cap)) - now)
        self._release(entry, lane)
        return Ruling(Fate.WAITS, scope, wait)

    def _unreachable(self, entry: Entry, lane: _Lane, started: float, now: float) -> Ruling:
        missed_before, entry.missed_at = entry.missed_at, now
        if missed_before is not None and self._delivered_at > missed_before:
            # Twice in vain while others got through: something on the way dislikes this event (a
            # proxy that filters, say). It must not hold up the others time and again.
            wait = self._wait_in_chain(entry, lane, now)
            self._release(entry, lane)
            return Ruling(Fate.WAITS, "event", wait)
        since = self._unreachable_since
        if since is None or started >= since:
            wait = self._destination.failed(self._cap)
            self._unreachable_until = now + wait
            if since is None:
                self._unreachable_since = now
        # else: sent before the outage was known, so it tells nothing new about it
        self._put_back(entry, lane, now)
        return Ruling(Fate.WAITS, "destination", max(0.0, self._unreachable_until - now))

    def _reached(self) -> None:
        self._unreachable_since = None
        self._destination.succeeded()

    # --- lanes and holds ------------------------------------------------------------------------

    def _backoff(self) -> Backoff:
        return Backoff(self._random)

    def _wait_in_chain(self, entry: Entry, lane: _Lane, now: float) -> float:
        wait = self._chain_of(entry, lane).backoff.failed(self._cap)
        self._hold_chain(entry, lane, now + wait)
        return wait

    def _chain_of(self, entry: Entry, lane: _Lane) -> _Chain:
        assert entry.chain is not None
        chain = lane.chains.get(entry.chain)
        if chain is None:
            chain = lane.chains[entry.chain] = _Chain(self._backoff())
            chain.entries.append(entry)
        return chain

    def _hold_chain(
        self, entry: Entry, lane: _Lane, until: float, unfinished: bool = False
    ) -> None:
        chain = self._chain_of(entry, lane)
        chain.until = until
        chain.unfinished = unfinished
        heapq.heappush(lane.due, (until, entry.chain or ""))
        self._set_timer(until, lane)

    def _hold_lane(self, lane: _Lane, until: float) -> float:
        lane.until = until
        self._set_timer(until, lane)
        return until

    def _put_back(self, entry: Entry, lane: _Lane, now: float) -> None:
        held = lane.chains.get(entry.chain) if entry.chain is not None else None
        if held is not None and held.entries[0] is entry:
            self._hold_chain(entry, lane, now)  # due again as soon as the lane is
        else:
            lane.waiting.appendleft(entry)
        self._release(entry, lane)

    def _release(self, entry: Entry, lane: _Lane) -> None:
        if self._probe is entry:
            self._probe = None
        lane.busy = False
        self._offer(lane)

    def _ring(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            self._offer(heapq.heappop(self._timers)[2])

    def _offer(self, lane: _Lane) -> None:
        if not lane.queued and not lane.busy:
            lane.queued = True
            self._ready.append(lane)

    def _set_timer(self, at: float, lane: _Lane) -> None:
        self._timer_count += 1  # breaks ties, so that lanes are never compared
        heapq.heappush(self._timers, (at, self._timer_count, lane))
