"""The scheduler: which pending event may go now, and what has to wait for what.

Pure: knows names, chains, verdicts and the time it is handed; does not know files, HTTP or threads.
One caller at a time (`workers` holds the lock). `now` is always monotonic seconds: a stepped wall
clock must not lengthen a hold.

Events of one integration key form a lane, of which one event at a time is on its way; so a key's
events go out in the order of their arrival here. Three kinds of hold change that:

- a *chain* hold (event or server in trouble) keeps back one dedup chain: an event and all that
  follow it with the same dedup key. They are parked in order; the rest of the lane goes on.
- a *key* hold (throttled, or several troubled events in a row) keeps back a lane.
- the *destination* hold (nothing is reached, see `outage`) keeps back everything but one probe at a
  time.

A hold has a scope, a cause and an end. No hold outlives the process: after a restart everything is
tried.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice

from pdagent.queue.holds import THROTTLED, Fate, Held, Hold, Ruling, Standing, Tries
from pdagent.queue.names import order
from pdagent.schedule.backoff import Backoff
from pdagent.schedule.lane import Chain, Entry, Lane, line_up
from pdagent.schedule.outage import Doubt, Outage
from pdagent.wire.verdict import Delivered, Refused, Throttled, Troubled, Unreachable, Verdict

TROUBLES_IN_A_ROW = 3  # then the key, not the event, is taken to be in trouble
LEAST_TROUBLE_SECONDS = 24 * 3600.0
HOLDS_TOLD = 1000  # a person reads no more, and the telling must not cost more with 100,000


class Scheduler:
    """All lanes and holds. `cap`: the longest backoff in seconds; `retry_limit`: troubles before an
    event may be given up; `random` gives floats in [0, 1)."""

    def __init__(self, cap: float, retry_limit: int, random: Callable[[], float]) -> None:
        self._random = random
        self.configure(cap, retry_limit)
        self._known: dict[str, Entry] = {}
        self.changes = 0  # counts what `held` would tell differently
        self._begin()

    def _begin(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._timers: list[tuple[float, int, Lane]] = []
        self._timer_count = 0
        self._outage = Outage(self._random)
        self._claimed = 0
        self._tries: dict[str, Tries] = {}
        self._delivered_at = float("-inf")

    def start_over(self) -> list[str]:
        """Forgets everything, as a restart does, when nothing is claimed. Returns the names that
        were pending, in queue order."""
        names = sorted(self._known, key=order)
        self._known.clear()
        self.changes += 1
        self._begin()
        return names

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
    def oldest(self) -> str | None:
        """The name of the event that was accepted first."""
        return next(iter(self._known), None)  # a dict keeps its order

    @property
    def unreachable(self) -> bool:
        """Whether the last that was heard of PagerDuty is that it can't be reached."""
        return self._outage.lasts

    def add(self, name: str, key: str, retried: bool = False) -> None:
        """An event has become pending. The order of these calls is the order of acceptance; only
        one that is `retried` belongs where its name says."""
        known = self._known.get(name)
        if known is not None:
            self._finish(known)
            return
        entry = self._known[name] = Entry(name, key, retried)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, self._backoff())
        line_up(lane.waiting, entry)
        self._offer(lane)

    def _finish(self, entry: Entry) -> None:
        # Heard of again while it waits for its writer: which may be done now.
        lane = self._lanes[entry.key]
        chain = lane.held_by(entry)
        if chain is not None and chain.unfinished:
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
            self._claimed += 1
            if self._outage.lasts:
                self._outage.probe = entry.name
            return entry
        return None

    def _next(self, lane: Lane, now: float) -> Entry | None:
        if lane.busy or lane.until > now or self._lanes.get(lane.key) is not lane:
            return None
        if self._outage.lasts and lane.waiting:
            return lane.waiting.popleft()  # a probe is one that was not tried yet, if there is any
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
        return bool(self._ready) and self._claimed < self._outage.room and self._outage.allows(now)

    def may_send(self, entry: Entry, chain: str) -> bool:
        """Whether a claimed event, now that its chain is known, may go. If not, it is parked behind
        the events of its chain that are held, and its lane goes on."""
        if entry.chain is None:  # a file that is changed under way does not change chains
            entry.chain = chain
        lane = self._lanes[entry.key]
        held = lane.chains.get(entry.chain)
        if held is None or held.entries[0] is entry:
            return True
        line_up(held.entries, entry)
        self._release(entry, lane)
        return False

    def next_due(self, now: float) -> float | None:
        """When a hold ends next and `claim` has something to say that it does not say now; None if
        never."""
        self._ring(now)
        until = self._outage.until
        if until is not None and self._ready and until > now:
            return until
        return self._timers[0][0] if self._timers else None

    def held(self, now: float) -> Held:
        """What is held at this moment, and what was tried in vain: HOLDS_TOLD of each at most."""
        holds = self._holds(now)
        told = tuple(islice(holds, HOLDS_TOLD))
        tries = dict(islice(self._tries.items(), HOLDS_TOLD))
        return Held(told, tries, more=sum(1 for _ in holds))

    def _holds(self, now: float) -> Iterator[Hold]:
        outage = self._outage
        if outage.lasts:  # whatever is in doubt: for a person it is the way that is broken
            yield Hold("destination", outage.why, outage.since, max(now, outage.next_try))
        for lane in self._lanes.values():
            if lane.since is not None and (lane.busy or lane.waiting or lane.chains):
                yield Hold("key", lane.why, lane.since, max(now, lane.until), lane.key)
        for lane in self._lanes.values():
            for name, chain in lane.chains.items():
                if chain.why:
                    until = max(now, chain.until)
                    yield Hold("chain", chain.why, chain.since, until, lane.key, name)

    def standing(self) -> Standing:
        """How many events wait, and for how many holds. An event may wait for several."""
        lanes = list(self._lanes.values())
        keys = [lane for lane in lanes if lane.since is not None and lane.events]
        chains = [chain for lane in lanes for chain in lane.chains.values() if chain.why]
        holds = {
            "destination": (1, len(self._known)) if self.unreachable else (0, 0),
            "key": (len(keys), sum(lane.events for lane in keys)),
            "chain": (len(chains), sum(len(chain.entries) for chain in chains)),
        }
        return Standing(len(self._known), self.oldest, holds, not self.unreachable)

    # --- what became of it ----------------------------------------------------------------------

    def forget(self, entry: Entry) -> None:
        """A claimed event is no longer pending: settled, removed by a person, or set aside."""
        lane = self._lanes[entry.key]
        self._got_past(entry, lane)
        del self._known[entry.name]
        if self._tries.pop(entry.name, None) is not None:
            self.changes += 1
        chain = lane.held_by(entry)
        if chain is not None:
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

    def delay(self, entry: Entry, now: float, until: float, why: str = "can't be read") -> None:
        """A claimed event can't even be read now. Its chain is unknown, so its whole key waits."""
        lane = self._lanes[entry.key]
        entry.delays = True
        self._hold_lane(lane, now, until, why)
        self._put_back(entry, lane, now)

    def settle(self, entry: Entry, verdict: Verdict, started: float, now: float) -> Ruling:
        """Draws the consequences of a verdict on a claimed event that was sent at `started`.

        An event that need not wait stays claimed until `forget`: were the next of its chain sent
        before its file is out of pdq/, a crash in between would have it sent again, after that one.
        """
        lane = self._lanes[entry.key]
        self._got_past(entry, lane)
        match verdict:
            case Delivered() | Refused():
                lane.backoff.succeeded()
                lane.troubles = 0
                self._let_go(lane)
                self._answered(now, taken=True)
                if isinstance(verdict, Delivered):
                    self._delivered_at = now
                return Ruling(Fate.DELIVERED if isinstance(verdict, Delivered) else Fate.REFUSED)
            case Throttled():
                self._answered(now)
                # "Retry-After: 0" says no more than 429 itself does
                wait = verdict.retry_after or lane.backoff.failed(self._cap)
                why = f"{THROTTLED}PagerDuty answered {verdict.status}"
                self._tried(entry, now, why)
                self._hold_lane(lane, now, now + wait, why)
                self._put_back(entry, lane, now)
                return Ruling(Fate.WAITS, "key", wait)
            case Troubled():
                self._answered(now)
                self._tried(entry, now, verdict.why)
                return self._troubled(entry, lane, now, verdict.why)
            case Unreachable():
                self._tried(entry, now, verdict.why)
                return self._unreachable(entry, lane, started, now, verdict.why)

    def _got_past(self, entry: Entry, lane: Lane) -> None:
        if entry.delays:
            entry.delays = False
            self._let_go(lane)

    def _tried(self, entry: Entry, now: float, why: str) -> None:
        before = self._tries.get(entry.name)
        self._tries[entry.name] = Tries(1 if before is None else before.number + 1, now, why)
        self.changes += 1

    def _troubled(self, entry: Entry, lane: Lane, now: float, why: str) -> Ruling:
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
        wait = self._wait_in_chain(entry, lane, now, why)
        lane.troubles += 1
        scope = "event"
        if lane.troubles >= TROUBLES_IN_A_ROW:
            scope = "key"
            until = now + lane.backoff.failed(self._cap)
            self._hold_lane(lane, now, until, f"{lane.troubles} failures in a row: {why}")
            wait = max(wait, until - now)
        else:
            self._let_go(lane)
        self._release(entry, lane)
        return Ruling(Fate.WAITS, scope, wait)

    def _unreachable(
        self, entry: Entry, lane: Lane, started: float, now: float, why: str
    ) -> Ruling:
        missed_before, entry.missed_at = entry.missed_at, now
        if missed_before is not None and self._delivered_at > missed_before:
            # Twice in vain while others got through: something on the way dislikes this event (a
            # proxy that filters, say). It must not hold up the others time and again.
            wait = self._wait_in_chain(entry, lane, now, why)
            self._release(entry, lane)
            return Ruling(Fate.WAITS, "event", wait)
        wait = self._outage.missed(entry.name, entry.key, started, now, self._cap, why)
        # In its chain, so that it makes room for the others of its key.
        self._hold_chain(entry, lane, now + wait)
        if self._outage.doubt is Doubt.KEY:
            lane.until = now + wait
            self._set_timer(lane.until, lane)
        self._release(entry, lane)
        return Ruling(Fate.WAITS, self._outage.doubt.value, wait)

    def _answered(self, now: float, taken: bool = False) -> None:
        if self._outage.lasts:
            self.changes += 1
        for name in self._outage.answered(taken):
            entry = self._known.get(name)
            if entry is None:
                continue
            lane = self._lanes[entry.key]
            chain = lane.chains.get(entry.chain) if entry.chain is not None else None
            if chain is not None and chain.until > now:
                self._hold_chain(chain.entries[0], lane, now)
            # Nothing but the outage holds this lane: what else does is an answer, which ended it.
            lane.until = min(lane.until, now)
            self._offer(lane)

    # --- lanes and holds ------------------------------------------------------------------------

    def _backoff(self) -> Backoff:
        return Backoff(self._random)

    def _wait_in_chain(self, entry: Entry, lane: Lane, now: float, why: str) -> float:
        chain = self._chain_of(entry, lane)
        wait = chain.backoff.failed(self._cap)
        chain.since = chain.since if chain.why else now
        chain.why = why
        self._hold_chain(entry, lane, now + wait)
        return wait

    def _chain_of(self, entry: Entry, lane: Lane) -> Chain:
        assert entry.chain is not None
        chain = lane.chains.get(entry.chain)
        if chain is None:
            chain = lane.chains[entry.chain] = Chain(self._backoff())
            chain.entries.append(entry)
        return chain

    def _hold_chain(self, entry: Entry, lane: Lane, until: float, unfinished: bool = False) -> None:
        chain = self._chain_of(entry, lane)
        chain.until = until
        chain.unfinished = unfinished
        heapq.heappush(lane.due, (until, entry.chain or ""))
        self._set_timer(until, lane)

    def _hold_lane(self, lane: Lane, now: float, until: float, why: str) -> None:
        lane.since = now if lane.since is None else lane.since
        lane.until = until
        lane.why = why
        self.changes += 1
        self._set_timer(until, lane)

    def _let_go(self, lane: Lane) -> None:
        if lane.since is not None:
            lane.since = None
            self.changes += 1

    def _put_back(self, entry: Entry, lane: Lane, now: float) -> None:
        if lane.held_by(entry) is not None:
            self._hold_chain(entry, lane, now)  # due again as soon as the lane is
        else:
            lane.waiting.appendleft(entry)
        self._release(entry, lane)

    def _release(self, entry: Entry, lane: Lane) -> None:
        if self._outage.probe == entry.name:
            self._outage.probe = ""
        self._claimed -= 1
        lane.busy = False
        self._offer(lane)

    def _ring(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            self._offer(heapq.heappop(self._timers)[2])

    def _offer(self, lane: Lane) -> None:
        if not lane.queued and not lane.busy:
            lane.queued = True
            self._ready.append(lane)

    def _set_timer(self, at: float, lane: Lane) -> None:
        self._timer_count += 1  # breaks ties, so that lanes are never compared
        heapq.heappush(self._timers, (at, self._timer_count, lane))
