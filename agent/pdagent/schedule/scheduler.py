"""The scheduler: which pending event may go now, and what has to wait for what.

Pure: it knows names, chains, verdicts and the time it is handed. It does not know files, HTTP or
threads. It has one caller at a time, since `workers` holds a lock. `now` is always monotonic
seconds, since a stepped wall clock must not make a hold longer.

Events of one integration key form a lane. Of each dedup chain of a lane one event is on its way at
a time, so the events of a chain go out in the order of their arrival here. `turns` says whose lane
is next. Three kinds of hold change that, and the table of `rules` says which verdict holds what:

- A *chain* hold keeps back an event and all that follow it with the same dedup key. They are parked
  in order, and the rest of the lane goes on.
- A *key* hold keeps back a lane. After it the lane's events go one at a time at first.
- The *destination* hold keeps back everything but one probe at a time (see `outage`). Where there
  are several destinations, `relays` says which is whose.

No hold outlives the process: after a restart every event is tried.
"""

from collections.abc import Callable
from dataclasses import replace

from pdagent.queue.holds import Cause, Figures, Held, Hold, Scope
from pdagent.queue.names import place
from pdagent.schedule import telling
from pdagent.schedule.entry import Entry
from pdagent.schedule.experience import Experience, reason
from pdagent.schedule.lane import Lane
from pdagent.schedule.limits import Limits
from pdagent.schedule.outage import Outage
from pdagent.schedule.patience import Patience
from pdagent.schedule.relays import Relays
from pdagent.schedule.rules import RULES, Fate, Rule, Ruling
from pdagent.schedule.timers import Timers
from pdagent.schedule.turns import Turns
from pdagent.wire.verdict import Verdict

ODD = "/"  # the key of an entry that is no event begins with this; no integration key has a slash


class Scheduler:
    """All lanes and holds. `random` gives floats in [0, 1)."""

    def __init__(self, limits: Limits, random: Callable[[], float]) -> None:
        self._limits = limits
        self._random = random
        self._entries: dict[str, Entry] = {}
        self._lanes: dict[str, Lane] = {}
        self.turns = Turns(limits)  # others ask it how many events a user has pending
        self._timers = Timers()
        self._outage = Outage(random)
        self._tries = telling.Attempts()
        self.patience = Patience()  # others ask it how long a key waits for a file
        self.relays = Relays(limits.relays, random)
        self._experience = Experience(self._outage, self.relays, limits)
        self.changes = 0  # grows whenever `held` would tell something else than before

    def configure(self, limits: Limits) -> None:
        """Sets new limits. They count for events that are claimed, or fail, from now on."""
        self._limits = self.turns.limits = self._experience.limits = limits

    # --- what is pending ------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def pending(self) -> list[tuple[str, int]]:
        """The names of all entries and their owners, in queue order."""
        return [(name, self._entries[name].owner) for name in sorted(self._entries, key=place)]

    def retried(self) -> set[str]:
        """The names of events that a person has retried."""
        return {name for name, entry in self._entries.items() if entry.retried}

    @property
    def oldest(self) -> str | None:
        """The name of the event that was accepted first."""
        # A dict keeps its order. Entries that are no events are soon set aside.
        return next((n for n, entry in self._entries.items() if entry.key[:1] != ODD), None)

    @property
    def unreachable(self) -> Hold | None:
        """That PagerDuty can't be reached; None: it can, as far as the last events show."""
        return self._outage.hold

    def add(self, name: str, key: str, retried: bool = False, owner: int = 0) -> None:
        """An event of `owner` has become pending. The order of these calls is the order of
        acceptance; only one that is `retried` belongs where its name says."""
        if name in self._entries:
            self.finish(name)
            return
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, self._random)
        entry = self._entries[name] = Entry(name, lane.key, retried, owner)
        self.turns.add(owner)
        lane.waiting.join(entry)
        self.turns.offer(lane)

    def finish(self, name: str) -> None:
        """The sender of an event is done with it, so it need no longer wait for him."""
        entry = self._entries.get(name)
        if entry is None:  # it has left the queue meanwhile
            return
        lane = self._lanes[entry.key]
        chain = lane.held_by(entry)
        if chain is not None and chain.hold.cause is Cause.UNFINISHED:
            self._hold_chain(entry, lane, replace(chain.hold, until=float("-inf")))

    # --- handing out ----------------------------------------------------------------------------

    def claim(self, now: float) -> Entry | None:
        """The next event to read, None if nothing may go now. No other of its lane is claimed
        before `may_send`, and no other of its chain before it is put back or forgotten."""
        self._fire_due_timers(now)
        while self.has_work(now) and (lane := self.turns.next()) is not None:
            if (entry := self._next(lane, now)) is None:
                continue
            lane.reading = entry
            self.turns.claim(entry, lane.heavy)
            lane.heavy = False
            if self._outage.hold is not None:
                self._outage.probe = entry.name
            return entry
        return None

    def _next(self, lane: Lane, now: float) -> Entry | None:
        if lane.is_full(self._limits.per_key) or lane.until > now:
            return None
        if self._outage.hold is not None and lane.waiting:
            return lane.waiting.take()  # the probe is an event that was not tried yet, if possible
        while lane.has_chains and (chain := lane.chains.due(now)) is not None:
            first = chain.entries.first
            if first is not None and not lane.has_claimed(first):
                return first
        return lane.waiting.take()

    def has_work(self, now: float) -> bool:
        """Whether `claim` might give an event."""
        return (
            bool(self.turns) and self.turns.claimed < self._outage.room and self._outage.allows(now)
        )

    def may_send(self, entry: Entry, chain: str) -> bool:
        """Whether a claimed event may go, now that its chain is known. If not, it is parked behind
        the events of its chain that are held or on their way, and its lane goes on."""
        lane = self._lanes[entry.key]
        if entry.chain == entry.name != chain and lane.held_by(entry) is not None:
            # It could not be read before, and has waited by itself. Now it has a chain.
            lane.leave_chain(entry)
            entry.chain = None
            self.changes += 1
        if entry.chain is None:  # a file that changes later on does not change its chain
            entry.chain = chain
        if (chain_ahead := lane.chain_ahead(entry)) is None:
            lane.send(entry)
            self.turns.offer(lane)
            return True
        chain_ahead.entries.join(entry, behind=lane.sending(entry.chain))
        self._release(entry, lane)
        return False

    def destination(self, entry: Entry, now: float) -> str | None:
        """Where a claimed event goes. None: it waits for its relay, and its lane goes on."""
        hold = self.relays.choose(entry, now, outage=self._outage.until is not None)
        if hold is not None:
            self._hold_chain(entry, self._lanes[entry.key], hold)
            self._release(entry, self._lanes[entry.key])
        return entry.relay if hold is None else None

    def next_due(self, now: float) -> float | None:
        """When a hold ends next, so that `claim` may have an event that it does not have now; None
        if there is no such moment."""
        self._fire_due_timers(now)
        if (until := self._outage.until) is not None and self.turns and until > now:
            return until
        return self._timers.next

    def held(self, now: float) -> Held:
        """What is held at this moment, and which events were tried in vain."""
        return telling.held(self._lanes.values(), self._outage, self._tries, self.relays, now)

    def figures(self) -> Figures:
        """How many events wait, and for what."""
        return telling.figures(self._lanes.values(), self._outage, len(self._entries), self.oldest)

    # --- what became of it ----------------------------------------------------------------------

    def is_claimed(self, entry: Entry) -> bool:
        """Whether an event is on its way."""
        lane = self._lanes.get(entry.key)
        return lane is not None and lane.has_claimed(entry)

    def offer_again(self, entry: Entry) -> None:
        """Gives the event's lane another turn: memory may have run out before it got one."""
        if (lane := self._lanes.get(entry.key)) is not None:
            self.turns.offer(lane)

    def forget(self, entry: Entry) -> None:
        """A claimed event has left the queue: it was settled, set aside or removed by a person."""
        lane = self._lanes[entry.key]
        self._end_delay(entry, lane)
        if self._tries.forget(entry.name):
            self.changes += 1
        if lane.held_by(entry) is not None and lane.leave_chain(entry).told is not None:
            self.changes += 1
        self._release(entry, lane)
        del self._entries[entry.name]
        self.turns.remove(entry.owner)

    def postpone(self, entry: Entry, now: float, until: float, why: str = "") -> None:
        """A claimed event is not whole yet, so its chain waits until then. If its chain is not
        known, the event waits by itself, and later ones may go before it. `why` is what a person is
        told of that."""
        lane = self._lanes[entry.key]
        if entry.chain is None:
            entry.chain = entry.name
        cause = Cause.UNREADABLE if why else Cause.UNFINISHED
        hold = Hold(Scope.CHAIN, cause, why, now, until, lane.key, entry.chain)
        self._hold_chain(entry, lane, hold)
        self.changes += bool(why)
        self._release(entry, lane)

    def make_heavy(self, entry: Entry, now: float) -> None:
        """A claimed event turns out to be large. It goes when it finds one of the places for large
        events."""
        self._put_back(entry, self._lanes[entry.key], now, heavy=True)

    def delay(
        self, entry: Entry, now: float, until: float, why: str, cause: Cause = Cause.UNREADABLE
    ) -> None:
        """A claimed event can't even be read now. Its chain is unknown, so its whole key waits."""
        lane = self._lanes[entry.key]
        entry.delay = self._hold_lane(lane, Hold(Scope.KEY, cause, why, now, until, lane.key))
        self._put_back(entry, lane, now)

    def settle(
        self, entry: Entry, verdict: Verdict, started: float, now: float, reached: bool = False
    ) -> Ruling:
        """Does what the table of `rules` says about a verdict on a claimed event, which was sent at
        `started`. `reached`: a request without an event in it has reached PagerDuty since, so an
        Unreachable is about this event only.

        An event that need not wait stays claimed until `forget`. If the next of its chain were sent
        while its file is still in pdq/, a crash at that point would have it sent again, after the
        next one.
        """
        lane = self._lanes[entry.key]
        self._end_delay(entry, lane)
        known = self._experience.known(entry, lane, verdict, started, now, reached)
        rule = RULES[type(verdict), known]
        is_taken = rule.fate in (Fate.DELIVERED, Fate.REFUSED)
        is_old = lane.is_older_than_hold(started)
        if is_taken and not is_old:
            lane.taken()
        if rule.fate is Fate.DELIVERED:
            self._experience.delivered(now)
        if Scope.KEY in rule.ends and not is_old:
            self._end_hold(lane)
        if Scope.DESTINATION in rule.ends:
            self._end_outage(entry, now, is_taken)
        if rule.fate is Fate.WAITS:
            return self._wait(entry, lane, verdict, rule, started, now)
        return Ruling(rule.fate)

    def _wait(
        self, entry: Entry, lane: Lane, verdict: Verdict, rule: Rule, started: float, now: float
    ) -> Ruling:
        """Holds what the rule says. The event goes back to its place."""
        assert rule.cause is not None
        tried = self._tries.add(entry.name, now, reason(verdict))
        self.changes += tried or rule.cause is Cause.UNREACHABLE  # a relay may be lost
        longest = 0.0
        for scope in rule.holds:
            args = scope, rule.cause, entry, lane, verdict, started, now
            hold, seconds = self._experience.hold(*args)
            if scope is Scope.CHAIN:
                self._hold_chain(entry, lane, hold)
            elif scope is Scope.KEY:
                self._hold_lane(lane, hold)
            # The destination's hold is the outage's own.
            longest = max(longest, seconds)
        if Scope.CHAIN in rule.holds:
            self._release(entry, lane)
        else:
            self._put_back(entry, lane, now)
        return Ruling(rule.fate, rule.holds[-1], longest)

    def _end_delay(self, entry: Entry, lane: Lane) -> None:
        if entry.delay is lane.hold:  # or both are None
            self._end_hold(lane)

    def _end_outage(self, entry: Entry, now: float, taken: bool) -> None:
        """PagerDuty, or a relay, has answered an event. Events that waited for that may go."""
        self.changes += self._outage.hold is not None or entry.relay in self.relays.lost()
        held = self._outage.answered(taken, now) + self.relays.answered(entry.relay, now)
        for name in held:
            if (waiting := self._entries.get(name)) is None:
                continue
            lane = self._lanes[waiting.key]
            if lane.let_go(waiting, now):
                self._timers.set(now, lane)
            # What else may hold the lane is an answer to an event that was on its way beside this.
            if lane.until > now and lane.hold is not None and lane.hold.cause is Cause.UNREACHABLE:
                lane.hold = replace(lane.hold, until=now)
            self.turns.offer(lane)

    # --- lanes and holds ------------------------------------------------------------------------

    def _hold_chain(self, entry: Entry, lane: Lane, hold: Hold) -> None:
        lane.hold_chain(entry, hold)
        self._timers.set(hold.until, lane)

    def _hold_lane(self, lane: Lane, hold: Hold) -> Hold | None:
        kept = lane.keep(hold)
        self.changes += 1
        self._timers.set(hold.until, lane)
        return kept

    def _end_hold(self, lane: Lane) -> None:
        if lane.hold is not None:
            lane.hold = None
            self.changes += 1

    def _put_back(self, entry: Entry, lane: Lane, now: float, heavy: bool = False) -> None:
        if entry.chain is not None:
            lane.make_due(lane.chain_of(entry), entry, now)
            self._timers.set(now, lane)
        elif lane.waiting.first is not entry:  # it is, if memory ran out after an earlier call
            lane.waiting.prepend([entry])
        self._release(entry, lane, heavy)

    def _release(self, entry: Entry, lane: Lane, heavy: bool = False) -> None:
        if self._outage.probe == entry.name:
            self._outage.probe = ""
        self.turns.release(entry)
        self.relays.released(entry)
        lane.release(entry)
        lane.heavy = lane.heavy or heavy
        if lane.waiting or lane.has_chains:
            self.turns.offer(lane)
        elif not lane.claimed:
            del self._lanes[lane.key]

    def _fire_due_timers(self, now: float) -> None:
        while (lane := self._timers.take(now)) is not None:
            self.turns.offer(lane)
