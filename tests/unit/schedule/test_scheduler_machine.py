"""The scheduler with everything at once: whatever happens, nothing is lost or stuck."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from pdagent.schedule.entry import Entry
from pdagent.schedule.experience import LEAST_TROUBLE_SECONDS
from pdagent.wire.verdict import Throttled, Verdict
from tests.unit.schedule.desk import (
    DELIVERED,
    ONE_BY_ONE,
    REFUSED,
    THROTTLED,
    TROUBLED,
    UNREACHABLE,
)
from tests.unit.schedule.scheduler_model import SchedulerModel

EVENTUALITIES = st.sampled_from(["gone", "unreadable", "unfinished", "large", "disliked"])
VERDICTS = st.sampled_from(
    [DELIVERED, DELIVERED, REFUSED, THROTTLED, Throttled(429, 30.0), TROUBLED, UNREACHABLE]
)


class SchedulerMachine(SchedulerModel, RuleBasedStateMachine):
    """A day at work: events come, verdicts fall, time passes; and in the end all is well."""

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        SchedulerModel.__init__(self)

    @initialize(
        jitter=st.floats(0.01, 0.99),
        keys=st.integers(1, 3),
        chains=st.integers(1, 3),
        per_key=st.integers(1, 3),
    )
    def choose(self, jitter: float, keys: int, chains: int, per_key: int) -> None:
        self.jitter = jitter
        self.per_key = per_key
        self.scheduler.configure(replace(ONE_BY_ONE, per_key=per_key))
        self.names_of_keys = st.sampled_from("ABC"[:keys])
        self.names_of_chains = st.sampled_from("xyz"[:chains])

    @rule(data=st.data(), number=st.integers(1, 6))
    def add(self, data: st.DataObject, number: int) -> None:
        key, owner = data.draw(self.names_of_keys), data.draw(st.integers(1, 3))
        for _ in range(number):
            chain = data.draw(self.names_of_chains)
            self.number += 1
            name = f"{key}:{chain}:{self.number}"
            self.pending[key, chain].append(name)
            self.scheduler.add(name, key, owner=owner)

    @precondition(lambda self: any(self.pending.values()))
    @rule(data=st.data())
    def add_again(self, data: st.DataObject) -> None:
        """By a scan, or by somebody who writes into the FIFO."""
        name = data.draw(st.sampled_from(self.names()))
        self.scheduler.add(name, name.split(":")[0])
        if name in self.unfinished:
            key, chain, _ = name.split(":")
            self.chain_held[key, chain] = self.now, self.now

    @rule(seconds=st.floats(0.1, 40.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_day_passes(self) -> None:
        self.now += LEAST_TROUBLE_SECONDS

    @rule()
    def time_passes_until_due(self) -> None:
        due = self.scheduler.next_due(self.now)
        if due is not None:
            self.now = due

    @precondition(lambda self: self.names())
    @rule()
    def take(self) -> None:
        self.claim()

    @precondition(lambda self: self.claimed)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """It is found free to go, and is on its way from now on."""
        self.may_send(self.flying(data))

    @precondition(lambda self: self.names())
    @rule(
        outcomes=st.lists(VERDICTS | EVENTUALITIES, min_size=5, max_size=12),
        workers=st.integers(1, 4),
        last=st.booleans(),
    )
    def work(self, outcomes: list[Verdict | str], workers: int, last: bool) -> None:
        """Workers take one after the other, and wait in between if they must. The answer to the
        first or to the last post comes first."""
        sent: list[Entry] = []
        for outcome in outcomes:
            entry = self.claim()
            if entry is not None and isinstance(outcome, str) and outcome != "disliked":
                self.stumble(entry, outcome)
                continue
            if entry is not None and self.may_send(entry):
                sent.append(entry)
            if sent and (entry is None or len(sent) >= workers):
                answered = sent.pop(-1 if last else 0)
                reached = outcome == "disliked"
                self.settle(answered, UNREACHABLE if isinstance(outcome, str) else outcome, reached)
            elif entry is None:
                self.time_passes_until_due()

    def stumble(self, entry: Entry, eventuality: str) -> None:
        """An event is claimed, and does not get as far as being sent."""
        match eventuality:
            case "gone":
                self.leave(entry)
            case "unreadable":
                self.delay(entry, 5.0)
            case "unfinished":
                self.postpone(entry, 5.0)
            case "large":
                self.find_large(entry)

    @precondition(lambda self: self.claimed)
    @rule(data=st.data())
    def gone(self, data: st.DataObject) -> None:
        """Its file was removed by a person, or set aside."""
        self.leave(self.flying(data))

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), seconds=st.floats(0.5, 10.0))
    def unreadable(self, data: st.DataObject, seconds: float) -> None:
        """The system was short of something."""
        self.delay(self.flying(data), seconds)

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), seconds=st.floats(0.5, 10.0))
    def not_finished(self, data: st.DataObject, seconds: float) -> None:
        """Its sender is not done yet."""
        self.postpone(self.flying(data), seconds)

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), verdict=VERDICTS, seconds=st.floats(0.0, 20.0))
    def answered(self, data: st.DataObject, verdict: Verdict, seconds: float) -> None:
        self.now += seconds
        self.settle(self.flying(data), verdict)

    @precondition(lambda self: self.claimed)
    @rule(data=st.data())
    def large(self, data: st.DataObject) -> None:
        """It has to find one of the few places for such, and loses its turn, not its place."""
        self.find_large(self.flying(data))

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), seconds=st.floats(0.0, 20.0))
    def disliked(self, data: st.DataObject, seconds: float) -> None:
        """Something on the way dislikes it: PagerDuty is reached, as a neutral request showed."""
        self.now += seconds
        self.settle(self.flying(data), UNREACHABLE, reached=True)

    def flying(self, data: st.DataObject) -> Entry:
        return self.claimed[data.draw(st.sampled_from(sorted(self.claimed)))][0]

    @invariant()
    def knows_what_is_pending(self) -> None:
        names = self.names()
        assert len(self.scheduler) == len(names)
        assert all(name in self.scheduler for name in names)

    @invariant()
    def never_asks_to_be_called_at_once(self) -> None:
        due = self.scheduler.next_due(self.now)
        assert due is None or due > self.now, "a busy loop"

    @invariant()
    def says_when_nothing_is_reached(self) -> None:
        assert (self.scheduler.unreachable is not None) == bool(self.outage)

    def teardown(self) -> None:
        """Once all verdicts are good, everything leaves, in order, and no timer is needed."""
        for entry, _ in list(self.claimed.values()):
            self.deliver(entry)
        for _ in range(50 + 20 * self.number):
            if not len(self.scheduler):
                break
            entry_or_none = self.claim()
            if entry_or_none is not None:
                self.deliver(entry_or_none)
            else:
                due = self.scheduler.next_due(self.now)
                assert due is not None, "stuck: events are pending and nothing is due"
                self.now = due
        assert not self.names(), "not done in time"

    def deliver(self, entry: Entry) -> None:
        self.settle(entry, DELIVERED)


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(
    max_examples=80, stateful_step_count=20, deadline=None, report_multiple_bugs=False
)
