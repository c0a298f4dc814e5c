"""What a test knows of the scheduler: which events are pending, and which may go."""

from collections import defaultdict
from math import inf

from pdagent.queue.holds import Cause, Scope
from pdagent.schedule.entry import Entry
from pdagent.schedule.experience import LEAST_TROUBLE_SECONDS
from pdagent.schedule.lane import FULL_ROOM, NEW_ROOM
from pdagent.schedule.outage import FIRST_ROOM
from pdagent.schedule.rules import RULES, TROUBLES_IN_A_ROW, Fate, Known
from pdagent.schedule.scheduler import Scheduler
from pdagent.wire.verdict import Delivered, Refused, Troubled, Unreachable, Verdict
from tests.unit.schedule.desk import LIMIT, ONE_BY_ONE

FREE = (0.0, 0.0)


class SchedulerModel:
    """The events of each (key, chain) that arrived and did not leave; and each hold, by the table
    of rules and the ruling that announced it: until when it surely lasts, and until when it may."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.number = 0
        self.jitter = 0.5
        self.per_key = 1
        self.scheduler = Scheduler(ONE_BY_ONE, lambda: self.jitter)
        self.pending: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.claimed: dict[str, tuple[Entry, float]] = {}  # by name, and since when
        self.sending: set[str] = set()  # names of those that were found to be free to go
        self.key_rooms: dict[str, int] = {}
        self.key_holds: dict[str, tuple[float, bool]] = {}  # since when, and whether it is told
        self.delayed: dict[str, tuple[float, bool]] = {}  # the key's hold, by the event it is for
        self.chain_held: dict[tuple[str, str], tuple[float, float]] = {}
        self.key_held: dict[str, tuple[float, float]] = {}
        self.outage: list[tuple[str, str]] = []  # names and keys of those that missed
        self.troubles: dict[str, tuple[int, float, float]] = {}  # number, since, last
        self.failures: dict[str, int] = defaultdict(int)  # in a row, by key
        self.all_held: float | None = None
        self.missed: set[tuple[str, str]] = set()  # the chains that wait for the outage's end
        self.missed_at: dict[str, float] = {}
        self.delivered_at = -inf
        self.room = inf
        self.ended = -inf  # the last outage
        self.probe: Entry | None = None
        self.unfinished: set[str] = set()

    def claim(self) -> Entry | None:
        entry = self.scheduler.claim(self.now)
        if entry is None:
            assert not self.could_go(), "something may go, and does not"
            return None
        assert not self.is_read(entry.key), "two of one key are read at once"
        assert len(self.of(entry.key)) < self.key_room(entry.key), "too many of one key"
        assert self.now >= self.key_held.get(entry.key, FREE)[0], "its key is held"
        assert len(self.claimed) < self.room, "too many at once after an outage"
        assert self.now >= (self.all_held or self.now), "the destination is held"
        if self.outage:
            assert self.probe is None, "a second probe"
            self.probe = entry
        self.claimed[entry.name] = entry, self.now
        return entry

    def of(self, key: str) -> list[Entry]:
        """The events of this key that are on their way."""
        return [entry for entry, _ in self.claimed.values() if entry.key == key]

    def is_read(self, key: str) -> bool:
        """Whether one of them is being read, so that its chain is not known."""
        return any(entry.name not in self.sending for entry in self.of(key))

    def key_room(self, key: str) -> int:
        return min(self.per_key, self.key_rooms.get(key, NEW_ROOM))

    def delay(self, entry: Entry, seconds: float) -> None:
        until = self.now + seconds
        self.scheduler.delay(entry, self.now, until, "can't be read")
        self.delayed.pop(entry.name, None)
        if self.hold_key(entry.key, until, until, told=True):
            self.delayed[entry.name] = self.key_holds[entry.key]
        chain = self.chain(entry)
        if self.pending[chain][0] == entry.name and chain in self.chain_held:
            self.chain_held[chain] = self.now, self.now
        self.released(entry)

    def hold_key(self, key: str, least: float, until: float, told: bool) -> bool:
        """Returns whether it is this hold that counts now, and not a longer one."""
        before = self.key_held.get(key, FREE)
        self.key_held[key] = max(before[0], least), max(before[1], until)
        since, was_told = self.key_holds.get(key, (self.now, False))
        counts = key not in self.key_holds or until > before[1]
        if counts:
            self.key_holds[key] = since if was_told else self.now, told
        self.key_rooms[key] = 1
        return counts

    def postpone(self, entry: Entry, seconds: float) -> None:
        if not self.may_send(entry):
            return
        until = self.now + seconds
        self.unfinished.add(entry.name)
        self.scheduler.postpone(entry, self.now, until)
        self.chain_held[self.chain(entry)] = until, until
        self.released(entry)

    def find_large(self, entry: Entry) -> None:
        self.scheduler.make_heavy(entry, self.now)
        chain = self.chain(entry)
        if self.pending[chain][0] == entry.name and chain in self.chain_held:
            self.chain_held[chain] = self.now, self.now  # due, as it was when it was claimed
        self.released(entry)

    def settle(self, entry: Entry, verdict: Verdict, reached: bool = False) -> None:
        """What follows is what the table says for what the model knows."""
        if not self.may_send(entry):
            return
        self.unfinished.discard(entry.name)
        self.got_past(entry)
        _, started = self.claimed[entry.name]
        is_old = started < self.key_holds.get(entry.key, (-inf, False))[0]
        known = self.known(entry, verdict, started, reached, is_old)
        rule = RULES[type(verdict), known]
        ruling = self.scheduler.settle(entry, verdict, started, self.now, reached)
        if not is_old:
            if isinstance(verdict, Delivered | Refused):
                self.key_rooms[entry.key] = self.key_rooms.get(entry.key, FULL_ROOM) + 1
            if Scope.KEY in rule.ends:
                self.key_holds.pop(entry.key, None)
                self.key_held.pop(entry.key, None)
        assert ruling.fate is rule.fate
        assert ruling.scope is (rule.holds[-1] if rule.holds else None)
        if Scope.DESTINATION in rule.ends:
            self.answered_by_pagerduty(verdict)
        if rule.fate is not Fate.WAITS:
            self.leave(entry)
            return
        until = self.now + ruling.seconds
        # Chain and key may be held for different times, and the ruling names the longer one.
        least = self.now if (len(rule.holds), rule.cause) == (2, Cause.FAILING) else until
        if Scope.CHAIN in rule.holds:
            self.chain_held[self.chain(entry)] = least, until
        if Scope.KEY in rule.holds:
            told = rule.cause is not Cause.UNREACHABLE
            self.hold_key(entry.key, least, until, told)
        if Scope.DESTINATION in rule.holds:
            self.all_held = until
        if rule.cause is Cause.UNREACHABLE and known is not Known.REACHED_SINCE:
            self.missed.add(self.chain(entry))
        self.released(entry)

    def got_past(self, entry: Entry) -> None:
        hold = self.delayed.pop(entry.name, None)
        if hold is not None and self.key_holds.get(entry.key) is hold:
            del self.key_holds[entry.key]

    def known(
        self, entry: Entry, verdict: Verdict, started: float, reached: bool, is_old: bool
    ) -> Known:
        """What the model knows, in the table's words."""
        if isinstance(verdict, Troubled):
            number, since, last = self.troubles.get(entry.name, (0, self.now, 0.0))
            self.troubles[entry.name] = number + 1, since, self.now
            long = self.now - since >= LEAST_TROUBLE_SECONDS
            if number + 1 > LIMIT and long and self.delivered_at > last:
                return Known.TRIED_ENOUGH
            self.failures[entry.key] += 1
            many = self.failures[entry.key] >= TROUBLES_IN_A_ROW
            return Known.MANY_FAILURES if many else Known.FEW_FAILURES
        if not isinstance(verdict, Unreachable):
            if isinstance(verdict, Delivered | Refused) and not is_old:
                self.failures[entry.key] = 0
            return Known.ANY
        if reached:
            return Known.PATH_OPEN
        if started < self.ended:
            return Known.REACHED_SINCE
        filtered = self.missed_at.get(entry.name, inf) < self.delivered_at
        self.missed_at[entry.name] = self.now
        if filtered:
            return Known.OTHERS_DELIVERED
        self.outage.append((entry.name, entry.key))
        if len({key for _, key in self.outage}) > 1:
            return Known.ALL_MISS
        several = len({name for name, _ in self.outage}) > 1
        return Known.KEY_MISSES if several else Known.EVENT_MISSES

    def answered_by_pagerduty(self, verdict: Verdict) -> None:
        """The end of an outage, if there is one: who waited for it need not wait any longer."""
        if self.all_held is not None:
            self.room = FIRST_ROOM
        elif isinstance(verdict, Delivered | Refused):
            self.room += 1
        if isinstance(verdict, Delivered):
            self.delivered_at = self.now
        for chain in self.missed:
            if not self.key_holds.get(chain[0], (0.0, False))[1]:  # an answer is told, and stands
                self.key_held[chain[0]] = self.now, self.now
            self.chain_held[chain] = self.now, self.now
        if self.outage:
            self.ended = self.now
        self.outage, self.all_held = [], None
        self.missed.clear()

    def names(self) -> list[str]:
        return [name for names in self.pending.values() for name in names]

    @staticmethod
    def chain(entry: Entry) -> tuple[str, str]:
        key, chain, _ = entry.name.split(":")
        return key, chain

    def may_send(self, entry: Entry) -> bool:
        chain = self.chain(entry)
        if not self.scheduler.may_send(entry, chain[1]):
            ahead = any(self.chain(other) == chain for other, _ in self.claimed.values())
            assert ahead or chain in self.chain_held, "parked behind nothing"
            self.released(entry)
            return False
        self.sending.add(entry.name)
        assert self.pending[chain][0] == entry.name, "overtakes one of its chain"
        assert self.now >= self.chain_held.get(chain, FREE)[0], "its chain is held"
        return True

    def leave(self, entry: Entry) -> None:
        chain = self.chain(entry)
        if self.pending[chain][0] == entry.name:
            self.chain_held.pop(chain, None)
            self.missed.discard(chain)
        self.got_past(entry)
        self.pending[chain].remove(entry.name)
        self.unfinished.discard(entry.name)
        self.scheduler.forget(entry)
        self.released(entry)

    def released(self, entry: Entry) -> None:
        del self.claimed[entry.name]
        self.sending.discard(entry.name)
        if self.probe is entry:
            self.probe = None
        if not any(names for (key, _), names in self.pending.items() if key == entry.key):
            self.failures[entry.key] = 0  # nothing is known of a key without events
            self.key_rooms.pop(entry.key, None)
            self.key_holds.pop(entry.key, None)

    def could_go(self) -> bool:
        """Whether there is an event that no hold keeps back."""
        if self.now < (self.all_held or self.now) or (self.outage and self.probe is not None):
            return False
        if len(self.claimed) >= self.room:
            return False
        return any(
            names
            and names[0] not in self.claimed
            and not self.is_read(key)
            and len(self.of(key)) < self.key_room(key)
            and self.now >= self.key_held.get(key, FREE)[1]
            and self.now >= self.chain_held.get((key, chain), FREE)[1]
            for (key, chain), names in self.pending.items()
        )
