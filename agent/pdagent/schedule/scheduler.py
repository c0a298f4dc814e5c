"""The scheduler: which pending event may go now, and what has to wait for what.

Pure: knows names, chains, verdicts and the time it is handed; does not know files, HTTP or threads.
One caller at a time (`workers` holds the lock). `now` is always monotonic seconds: a stepped wall
clock must not lengthen a hold.

Events of one integration key form a lane, of which one event at a time is on its way; so a key's
events go out in the order of their arrival here. Whose lane is next is `turns`' to say. Three kinds
of hold change that:

- a *chain* hold (event or server in trouble) keeps back one dedup chain: an event and all that
  follow it with the same dedup key. They are parked in order; the rest of the lane goes on.
- a *key* hold (throttled, or several troubled events in a row) keeps back a lane.
- the *destination* hold (nothing is reached, see `outage`) keeps back everything but one probe at a
  time.

A hold has a scope, a cause and an end. No hold outlives the process: after a restart everything is
tried.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from pdagent.queue.holds import THROTTLED, Fate, Held, Ruling, Standing, Tries, cause_of
from pdagent.queue.holds import Hold as ToldHold
from pdagent.queue.names import place
from pdagent.schedule.backoff import Backoff
from pdagent.schedule.lane import Cause, Chain, Entry, Hold, Lane
from pdagent.schedule.outage import Doubt, Outage
from pdagent.schedule.turns import Turns
from pdagent.wire.verdict import Delivered, Refused, Throttled, Troubled, Unreachable, Verdict

TROUBLES_IN_A_ROW = 3  # then the key, not the event, is taken to be in trouble
LEAST_TROUBLE_SECONDS = 24 * 3600.0
HOLDS_TOLD = 1000  # a person reads no more, and the telling must not cost more with 100,000
TRIES_KEPT = 10_000  # of events that wait; only for people to see
# How often a user may have a key wait for files that are not done: see `has_patience`.
PATIENCE_EVERY_SECONDS = 60.0
PATIENCE_KEPT = 10_000
WHY_CHARS = 300
ODD = "/"  # begins the key of entries that are no events; no key can have it


class Scheduler:
    """All lanes and holds. `cap`: the longest backoff in seconds; `retry_limit`: troubles before an
    event may be given up; `random` gives floats in [0, 1); `places`: how many events may be on
    their way at once."""

    def __init__(
        self, cap: float, retry_limit: int, random: Callable[[], float], places: int
    ) -> None:
        self._random = random
        self._places = places
        self._known: dict[str, Entry] = {}
        self.changes = 0  # counts what `held` would tell differently
        self._begin()
        self.configure(cap, retry_limit, places)

    def _begin(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._turns = Turns(self._places)
        self._timers: list[tuple[float, int, Lane]] = []
        self._timer_count = 0
        self._outage = Outage(self._random)
        self._tries: dict[str, Tries] = {}
        self._waits: dict[tuple[str, str, int], float] = {}
        self._delivered_at = float("-inf")

    def start_over(self) -> list[tuple[str, int]]:
        """Forgets everything, as a restart does, when nothing is claimed. Returns the names that
        were pending and their owners, in queue order."""
        entries = [(name, self._known[name].owner) for name in sorted(self._known, key=place)]
        self._known.clear()
        self.changes += 1
        self._begin()
        return entries

    def configure(self, cap: float, retry_limit: int, places: int) -> None:
        """New limits, for what is claimed and fails from now on."""
        self._cap = cap
        self._retry_limit = retry_limit
        self._places = self._turns.places = places

    # --- what is pending ------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    @property
    def oldest(self) -> str | None:
        """The name of the event that was accepted first."""
        # A dict keeps its order. What is no event is there for a moment only.
        return next((n for n, entry in self._known.items() if entry.key[:1] != ODD), None)

    @property
    def unreachable(self) -> bool:
        """Whether the last that was heard of PagerDuty is that it can't be reached."""
        return self._outage.lasts

    def pending_of(self, owner: int) -> int:
        """How many events of this user are pending."""
        return self._turns.pending(owner)

    @property
    def owners(self) -> int:
        """How many users have events pending."""
        return self._turns.owners

    def add(self, name: str, key: str, retried: bool = False, owner: int = 0) -> None:
        """An event of `owner` has become pending. The order of these calls is the order of
        acceptance; only one that is `retried` belongs where its name says."""
        if name in self._known:
            self.finish(name)
            return
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, self._random)
        entry = self._known[name] = Entry(name, lane.key, retried, owner)
        self._turns.add(owner)
        lane.waiting.join(entry)
        self._turns.offer(lane)

    def finish(self, name: str) -> None:
        """Its sender is done with an event, which need not wait for him any longer."""
        entry = self._known.get(name)
        if entry is None:  # it is no longer pending, which is not for this to change
            return
        lane = self._lanes[entry.key]
        chain = lane.held_by(entry)
        if chain is not None and chain.hold.cause is Cause.UNFINISHED:
            self._hold_chain(entry, lane, Hold(Cause.MISSED, float("-inf")))

    # --- handing out ----------------------------------------------------------------------------

    def claim(self, now: float) -> Entry | None:
        """The next event to send, None if nothing may go now. Its lane is busy until the event is
        settled, parked, postponed or forgotten."""
        self._ring(now)
        while self.has_work(now) and (lane := self._turns.next()) is not None:
            entry = self._next(lane, now)
            if entry is None:
                continue
            lane.busy = True
            self._turns.claim(entry, lane.heavy)
            if self._outage.lasts:
                self._outage.probe = entry.name
            return entry
        return None

    def _next(self, lane: Lane, now: float) -> Entry | None:
        if lane.busy or lane.until > now:
            return None
        if self._outage.lasts and lane.waiting:
            return lane.waiting.take()  # a probe is one that was not tried yet, if there is any
        chain = lane.chains.due(now) if lane.has_chains else None
        return lane.waiting.take() if chain is None else chain.entries.first

    def has_work(self, now: float) -> bool:
        """Whether `claim` might give an event."""
        return (
            bool(self._turns)
            and self._turns.claimed < self._outage.room
            and self._outage.allows(now)
        )

    def may_send(self, entry: Entry, chain: str) -> bool:
        """Whether a claimed event, now that its chain is known, may go. If not, it is parked behind
        the events of its chain that are held, and its lane goes on."""
        lane = self._lanes[entry.key]
        if entry.chain == entry.name != chain and lane.held_by(entry) is not None:
            lane.chains.remove(entry.name).entries.take()  # it had stepped aside, and is whole now
            entry.chain = None
        if entry.chain is None:  # a file that is changed under way does not change chains
            entry.chain = chain
        held = lane.chains.get(entry.chain) if lane.has_chains else None
        if held is None or held.entries.first is entry:
            return True
        held.entries.join(entry)
        self._release(entry, lane)
        return False

    def next_due(self, now: float) -> float | None:
        """When a hold ends next and `claim` has something to say that it does not say now; None if
        never."""
        self._ring(now)
        until = self._outage.until
        if until is not None and self._turns and until > now:
            return until
        return self._timers[0][0] if self._timers else None

    def held(self, now: float) -> Held:
        """What is held at this moment, and what was tried in vain: HOLDS_TOLD of each at most."""
        holds = self._holds(now)
        told = tuple(islice(holds, HOLDS_TOLD))
        tries = dict(islice(self._tries.items(), HOLDS_TOLD))
        return Held(told, tries, more=sum(1 for _ in holds))

    def _holds(self, now: float) -> Iterator[ToldHold]:
        outage = self._outage
        if outage.lasts:  # whatever is in doubt: for a person it is the way that is broken
            why = outage.why[:WHY_CHARS]
            yield ToldHold("destination", why, outage.since, max(now, outage.next_try))
        for lane in self._lanes.values():
            hold = lane.told
            if hold is not None:
                yield ToldHold("key", hold.why, hold.since, max(now, hold.until), lane.key)
        for lane in self._lanes.values():
            for name, hold in _told_chains(lane):
                until = max(now, hold.until)
                yield ToldHold("chain", hold.why, hold.since, until, lane.key, name)

    def standing(self) -> Standing:
        """How many events wait, and for how many holds. An event may wait for several."""
        lanes = list(self._lanes.values())
        keys = [lane for lane in lanes if lane.told is not None]
        chains = [
            len(chain.entries)
            for lane in lanes
            if lane.has_chains
            for _, chain in lane.chains.items()
            if chain.hold.why
        ]
        holds = {
            "destination": (1, len(self._known)) if self.unreachable else (0, 0),
            "key": (len(keys), sum(lane.events for lane in keys)),
            "chain": (len(chains), sum(chains)),
        }
        causes = Counter(cause_of("key", lane.told.why) for lane in keys if lane.told)
        return Standing(len(self._known), self.oldest, holds, not self.unreachable, causes)

    # --- what became of it ----------------------------------------------------------------------

    def forget(self, entry: Entry) -> None:
        """A claimed event is no longer pending: settled, removed by a person, or set aside."""
        lane = self._lanes[entry.key]
        self._got_past(entry, lane)
        if self._tries.pop(entry.name, None) is not None:
            self.changes += 1
        if lane.held_by(entry) is not None:
            rest = lane.chains.remove(entry.chain or "").entries
            rest.take()
            # the rest of the chain is older than what waits, so it goes first
            lane.waiting.prepend(rest.take_all())
        self._release(entry, lane)
        del self._known[entry.name]
        self._turns.remove(entry.owner)

    def postpone(self, entry: Entry, until: float) -> None:
        """A claimed event of a known chain is not complete yet: its chain waits, and it is nobody's
        fault."""
        lane = self._lanes[entry.key]
        self._hold_chain(entry, lane, Hold(Cause.UNFINISHED, until))
        self._release(entry, lane)

    def step_aside(self, entry: Entry, until: float) -> None:
        """A claimed event can't be read yet, and its key has waited enough for such: it waits by
        itself, and what is accepted after it may go before it."""
        if entry.chain is None:
            entry.chain = entry.name
        self.postpone(entry, until)

    def has_patience(self, what: str, entry: Entry, now: float, seconds: float) -> bool:
        """Whether others may still be kept waiting for this claimed event, since it is `what`:
        `seconds` in each PATIENCE_EVERY_SECONDS, for all files of its key and owner together.
        Were it so long for each file, 25 of them would hold up a key 25 times as long."""
        place = (what, entry.key, entry.owner)
        began = self._waits.get(place)
        if began is not None and now - began < PATIENCE_EVERY_SECONDS:
            return now - began < seconds
        if len(self._waits) >= PATIENCE_KEPT:
            for old in [p for p, at in self._waits.items() if now - at >= PATIENCE_EVERY_SECONDS]:
                del self._waits[old]
            if len(self._waits) >= PATIENCE_KEPT:
                return False
        self._waits.pop(place, None)
        self._waits[place] = now
        return True

    def make_heavy(self, entry: Entry, now: float) -> None:
        """A claimed event turns out to be large: it goes when it finds one of the places for
        such."""
        self._put_back(entry, self._lanes[entry.key], now, heavy=True)

    def delay(self, entry: Entry, now: float, until: float, why: str = "can't be read") -> None:
        """A claimed event can't even be read now. Its chain is unknown, so its whole key waits."""
        lane = self._lanes[entry.key]
        entry.delays = True
        self._hold_lane(lane, now, Hold(Cause.UNREADABLE, until, now, why))
        self._put_back(entry, lane, now)

    def settle(
        self,
        entry: Entry,
        verdict: Verdict,
        started: float,
        now: float,
        reached: bool = False,
    ) -> Ruling:
        """Draws the consequences of a verdict on a claimed event that was sent at `started`.
        `reached`: PagerDuty is, as a neutral request has found out since, so that Unreachable is
        about this event only.

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
                self._hold_lane(lane, now, Hold(Cause.THROTTLED, now + wait, now, why))
                self._put_back(entry, lane, now)
                return Ruling(Fate.WAITS, "key", wait)
            case Troubled():
                self._answered(now)
                why = verdict.why[:WHY_CHARS]
                self._tried(entry, now, why)
                return self._troubled(entry, lane, now, why)
            case Unreachable():
                why = verdict.why[:WHY_CHARS]
                self._tried(entry, now, why)
                if reached:
                    self._answered(now)
                    return self._disliked(entry, lane, now, why)
                return self._unreachable(entry, lane, started, now, why)

    def _got_past(self, entry: Entry, lane: Lane) -> None:
        if entry.delays:
            entry.delays = False
            self._let_go(lane)

    def _tried(self, entry: Entry, now: float, why: str) -> None:
        before = self._tries.get(entry.name)
        if before is None and len(self._tries) >= TRIES_KEPT:
            return
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
            why = f"{lane.troubles} failures in a row: {why}"
            self._hold_lane(lane, now, Hold(Cause.TROUBLED, until, now, why))
            wait = max(wait, until - now)
        else:
            self._let_go(lane)
        self._release(entry, lane)
        return Ruling(Fate.WAITS, scope, wait)

    def _disliked(self, entry: Entry, lane: Lane, now: float, why: str) -> Ruling:
        """Something on the way dislikes this event (a proxy that filters, say). It must not hold up
        the others time and again."""
        wait = self._wait_in_chain(entry, lane, now, why)
        self._release(entry, lane)
        return Ruling(Fate.WAITS, "event", wait)

    def _unreachable(
        self, entry: Entry, lane: Lane, started: float, now: float, why: str
    ) -> Ruling:
        missed_before, entry.missed_at = entry.missed_at, now
        if missed_before is not None and self._delivered_at > missed_before:
            return self._disliked(entry, lane, now, why)  # twice, while others got through
        wait = self._outage.missed(entry.name, entry.key, started, now, self._cap, why)
        # In its chain, so that it makes room for the others of its key.
        self._hold_chain(entry, lane, Hold(Cause.MISSED, now + wait))
        if self._outage.doubt is Doubt.KEY:
            lane.hold = Hold(Cause.MISSED, now + wait)
            self._set_timer(now + wait, lane)
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
            chain = lane.chains.get(entry.chain)
            if chain is not None and chain.hold.until > now and chain.entries.first is not None:
                chain.hold.until = now
                self._ring_chain(chain.entries.first, lane, now)
            # Nothing but the outage holds this lane: what else does is an answer, which ended it.
            if lane.hold is not None:
                lane.hold.until = min(lane.hold.until, now)
            self._turns.offer(lane)

    # --- lanes and holds ------------------------------------------------------------------------

    def _wait_in_chain(self, entry: Entry, lane: Lane, now: float, why: str) -> float:
        chain = self._chain_of(entry, lane)
        wait = chain.backoff.failed(self._cap)
        since = chain.hold.since if chain.hold.why else now
        self._hold_chain(entry, lane, Hold(Cause.TROUBLED, now + wait, since, why))
        return wait

    def _chain_of(self, entry: Entry, lane: Lane) -> Chain:
        assert entry.chain is not None
        chain = lane.chains.get(entry.chain)
        if chain is None:
            chain = Chain(Backoff(self._random), Hold(Cause.MISSED, float("-inf")))
            chain.entries.append(entry)
            lane.chains.add(entry.chain, chain)
        return chain

    def _hold_chain(self, entry: Entry, lane: Lane, hold: Hold) -> None:
        chain = self._chain_of(entry, lane)
        if not hold.why:  # what a person was told of the chain stands until it is told anew
            hold.since, hold.why = chain.hold.since, chain.hold.why
        chain.hold = hold
        self._ring_chain(entry, lane, hold.until)

    def _ring_chain(self, entry: Entry, lane: Lane, until: float) -> None:
        lane.chains.due_at(entry.chain or "", until)
        self._set_timer(until, lane)

    def _hold_lane(self, lane: Lane, now: float, hold: Hold) -> None:
        hold.since = now if lane.told is None else lane.told.since
        lane.hold = hold
        self.changes += 1
        self._set_timer(hold.until, lane)

    def _let_go(self, lane: Lane) -> None:
        if lane.hold is not None:
            lane.hold = None
            self.changes += 1

    def _put_back(self, entry: Entry, lane: Lane, now: float, heavy: bool = False) -> None:
        chain = lane.held_by(entry)
        if chain is not None:
            chain.hold.until = now  # due again as soon as the lane is
            self._ring_chain(entry, lane, now)
        else:
            lane.waiting.prepend([entry])
        self._release(entry, lane, heavy)

    def _release(self, entry: Entry, lane: Lane, heavy: bool = False) -> None:
        if self._outage.probe == entry.name:
            self._outage.probe = ""
        self._turns.release(entry)
        lane.busy = False
        lane.heavy = heavy
        if lane.waiting or lane.has_chains:
            self._turns.offer(lane)
        else:
            del self._lanes[lane.key]

    def _ring(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            self._turns.offer(heapq.heappop(self._timers)[2])

    def _set_timer(self, at: float, lane: Lane) -> None:
        self._timer_count += 1  # breaks ties, so that lanes are never compared
        heapq.heappush(self._timers, (at, self._timer_count, lane))


def _told_chains(lane: Lane) -> Iterable[tuple[str, Hold]]:
    """The holds of a lane's chains that people are told of, by the chain's name."""
    if not lane.has_chains:
        return ()
    return [(name, chain.hold) for name, chain in lane.chains.items() if chain.hold.why]
