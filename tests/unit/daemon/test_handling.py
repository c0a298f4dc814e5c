"""Handling takes each event as far as it gets: settled, counted and told of, or put back."""

import errno
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from pdagent.api import BODY_BYTES
from pdagent.config import Config
from pdagent.daemon import reading
from pdagent.daemon.handling import OVERTAKEN, SHORT_SECONDS, Handling
from pdagent.daemon.logbook import SAID_MOST
from pdagent.queue.backlog import INCOMPLETE_SECONDS, Backlog
from pdagent.queue.history import LOGGER
from pdagent.queue.holds import Cause, Scope
from pdagent.queue.pending import HEAVY_BYTES
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import Counters, Reason, State
from pdagent.schedule.entry import Entry
from pdagent.schedule.experience import LEAST_TROUBLE_SECONDS
from pdagent.schedule.limits import Limits
from pdagent.schedule.patience import EVERY_SECONDS
from pdagent.schedule.scheduler import Scheduler
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, file_name
from pdagent.wire.verdict import Throttled
from tests.support.events import KEY, OTHER, summaries
from tests.support.events_api import Answer, EventsApi

FAR = 1e12
NAME = "1_key.txt"
FIRST, SECOND, THIRD = (file_name(number, KEY) for number in (1, 2, 3))
OTHER_ONE = file_name(1, OTHER)


class Bench:
    """Handling, with a real spool and a real Events API, and one worker: the test."""

    def __init__(self, top: Path, events_url: str) -> None:
        self.spool = top / "outqueue"
        for name in ("tmp", PENDING, DELIVERED, IN_ERROR):
            (self.spool / name).mkdir(parents=True)
        (top / "db").mkdir()
        self.went_away = 0
        self.state = State(str(top))
        self.config = Config({"events_url": events_url}, {"db": KEY})
        self.backlog = Backlog(str(self.spool))
        self.settlement = Settlement(self.backlog, self.state, Counters(self.state, 0.0))
        limits = Limits(60.0, 3, 8, 8, self.config.relays)
        self.scheduler = Scheduler(limits, lambda: 0.5)
        lock = threading.Condition()
        self.handling = Handling(
            self.config, self.backlog, self.settlement, self.scheduler, lock, self
        )

    def __enter__(self) -> None:
        """The worker goes away."""
        self.went_away += 1

    def __exit__(self, *_: object) -> None:
        pass

    def write(
        self, name: str, summary: str = "x", key: str = KEY, dedup_key: str = "a", **more: object
    ) -> None:
        payload = {"summary": summary, "source": "db1", "severity": "error"}
        body = {"routing_key": key, "event_action": "trigger", "dedup_key": dedup_key}
        event = {**body, "payload": payload, **more}
        (self.spool / PENDING / name).write_text(json.dumps(event))

    def take(self, name: str, key: str = KEY, retried: bool = False, owner: int = 0) -> Entry:
        """The event of that name, claimed."""
        self.scheduler.add(name, key, retried, owner)
        return self.next()

    def next(self, now: float | None = None) -> Entry:
        entry = self.scheduler.claim(time.monotonic() if now is None else now)
        assert entry is not None
        return entry

    def handle(self, name: str, key: str = KEY, retried: bool = False) -> None:
        self.handling.handle(self.take(name, key, retried))

    def names(self, place: str) -> list[str]:
        return sorted(os.listdir(self.spool / place))

    def reason(self, name: str) -> Reason:
        found = self.state.reason(name)
        assert found is not None
        return found


@pytest.fixture
def bench(tmp_path: Path, api: EventsApi) -> Iterator[Bench]:
    made = Bench(tmp_path, events_url=api.url)
    yield made
    made.handling.path.abort_all()


def failing(patch: pytest.MonkeyPatch, number: int) -> None:
    """Has the system open no pending file from now on, with this error."""
    really = os.open

    def opens(path: str, *rest: int) -> int:
        if f"/{PENDING}/" in path:
            raise OSError(number, os.strerror(number))
        return really(path, *rest)

    patch.setattr(os, "open", opens)


def said(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


class Clock:
    """The time, but for the first few times, when memory is short."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.really = time.monotonic

    def __call__(self) -> float:
        self.failures -= 1
        if self.failures >= 0:
            raise MemoryError
        return self.really()


def handling_of(root: Path, scheduler: Scheduler) -> Handling:
    state, backlog = State(str(root)), Backlog(str(root))
    settlement = Settlement(backlog, state, Counters(state, 0.0))
    return Handling(
        Config({}), backlog, settlement, scheduler, threading.Condition(), nullcontext()
    )


def claimed(scheduler: Scheduler, chain: str | None) -> Entry:
    entry = scheduler.claim(0.0)
    assert entry is not None
    entry.chain = chain
    return entry


# put back


@pytest.mark.parametrize("chain", ["dedup", None])
@pytest.mark.parametrize("failures", [0, 1, 3])
def test_is_put_back_once_there_is_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chain: str | None, failures: int
) -> None:
    """It goes again, once, and then the next of its key. What fails is tried again after a
    moment."""
    pauses: list[float] = []
    monkeypatch.setattr("pdagent.daemon.handling.pause", pauses.append)
    scheduler = Scheduler(Limits(60.0, 60, 4, 1), lambda: 0.5)
    handling = handling_of(tmp_path, scheduler)
    scheduler.add(NAME, "key")
    scheduler.add("2_key.txt", "key")
    monkeypatch.setattr(time, "monotonic", Clock(failures))
    handling.try_again(claimed(scheduler, chain))
    handling.try_again(scheduler._known[NAME])  # nothing any more
    names = []
    while (entry := scheduler.claim(FAR)) is not None:
        names.append(entry.name)
        scheduler.forget(entry)
    assert sorted(names) == [NAME, "2_key.txt"]
    assert pauses == [SHORT_SECONDS] * failures
    assert not len(scheduler)


def test_what_a_bug_put_back_is_told_of(bench: Bench) -> None:
    """Its key waits for a while if nobody knows its chain, else its chain does."""
    bench.write(FIRST)
    entry, now = bench.take(FIRST), time.monotonic()
    bench.handling.try_again(entry)
    [hold] = bench.scheduler.held(now).holds
    assert (hold.scope, hold.why) == (Scope.KEY, "internal error")
    assert now + reading.AGAIN_SECONDS <= hold.until < now + reading.AGAIN_SECONDS + 60
    assert hold.since >= now
    over = hold.until
    entry = bench.next(over)
    assert bench.scheduler.may_send(entry, "a")
    bench.handling.try_again(entry)
    [hold] = [hold for hold in bench.scheduler.held(now).holds if hold.until > over]
    assert (hold.scope, hold.cause, hold.why) == (Scope.CHAIN, Cause.UNREADABLE, "internal error")
    assert hold.since >= now


def beside_a_throttled(bench: Bench) -> tuple[float, Entry]:
    """An event of another chain that is on its way, and when its key was throttled."""
    for name in (FIRST, SECOND):
        bench.scheduler.add(name, KEY)
    first = bench.next()
    assert bench.scheduler.may_send(first, "a")
    second = bench.next()
    assert bench.scheduler.may_send(second, "b")
    now = time.monotonic()
    bench.scheduler.settle(first, Throttled(429, 300), now, now)
    return now, second


def test_a_bug_ends_no_hold_and_gives_nothing_up(bench: Bench) -> None:
    """No server has answered. However often that was: the key stays throttled, and the event goes
    again."""
    now, second = beside_a_throttled(bench)
    bench.handling.try_again(second)
    assert [hold.scope for hold in bench.scheduler.held(now).holds if hold.why != "internal error"]
    for _ in range(100):
        entry = bench.next(FAR)
        bench.handling.try_again(entry)
        assert not bench.scheduler.is_claimed(entry)


def test_a_bug_beside_another_event_of_the_key(bench: Bench) -> None:
    """Each waits for what befell it, though both were on their way together."""
    now, second = beside_a_throttled(bench)
    bench.handling.try_again(second)
    waits = {hold.chain: hold.why for hold in bench.scheduler.held(now).holds}
    assert waits["b"] == "internal error"


def test_a_bug_with_an_event_that_waits_by_itself(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows its chain, so it goes on waiting by itself."""
    bench.write(FIRST)
    with monkeypatch.context() as patch:
        failing(patch, errno.EACCES)
        bench.handle(FIRST)
        bench.handling.handle(bench.next(FAR))
    entry = bench.next(2 * FAR)
    bench.handling.try_again(entry)
    [hold] = bench.scheduler.held(time.monotonic()).holds
    assert (hold.scope, hold.chain, hold.why) == (Scope.CHAIN, FIRST, "internal error")


# settled


def test_what_pagerduty_takes(
    bench: Bench, api: EventsApi, caplog: pytest.LogCaptureFixture
) -> None:
    """It is in suc/, counted with the time that it took since it was accepted, and its key's next
    may go beside it. The log has one line of it, with the time that this try took."""
    caplog.set_level(logging.INFO)
    accepted = time.time() - 100
    name = file_name(int(accepted * 1e6), KEY)
    bench.write(name)
    began = time.monotonic()
    bench.handle(name)
    ended = time.monotonic()
    [line] = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert line.startswith("delivered ")
    assert 0 <= int(line.split()[-2]) <= 1 + 1000 * (ended - began)
    assert (bench.names(PENDING), bench.names(DELIVERED)) == ([], [name])
    tally = bench.handling.tally
    assert (tally.delivered, tally.removed, sum(tally.refused.values())) == (1, 0, 0)
    assert 100 <= tally.seconds < 200
    assert tally.delivered_at is not None
    assert accepted + 100 <= tally.delivered_at <= time.time()
    assert not len(bench.scheduler)
    assert bench.went_away >= 2  # to connect, and for the answer
    assert len(api.accepted) == 1


@pytest.mark.parametrize(
    ("errors", "kind", "why"),
    [
        (f"no such thing as {KEY}", "event", "no; no such thing as *0617"),
        ("routing_key", "key", "no; routing_key (and as v1: no; routing_key)"),
    ],
)
def test_what_pagerduty_refuses(
    bench: Bench,
    api: EventsApi,
    monkeypatch: pytest.MonkeyPatch,
    errors: str,
    kind: str,
    why: str,
) -> None:
    """It is in error, with PagerDuty's words without the key, and counted by what they blame. As it
    was accepted, its reason is synced."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    body = {"status": "invalid", "message": "no", "errors": [errors]}
    api.always(KEY, Answer(503))
    bench.write(FIRST)
    bench.handle(FIRST)
    assert bench.handling.tally.retries == {"troubled": 1}
    assert bench.names(PENDING) == [FIRST]
    api.always(KEY, Answer(400, body=body))
    assert synced == []
    bench.handling.handle(bench.next(FAR))
    assert synced != []
    assert (bench.names(PENDING), bench.names(IN_ERROR)) == ([], [FIRST])
    reason = bench.reason(FIRST)
    assert (reason.status, reason.reason, reason.attempts) == (400, why, 2)
    assert bench.handling.tally.refused == {kind: 1}
    assert not len(bench.scheduler)


def test_what_was_tried_often_and_long_enough(bench: Bench, api: EventsApi) -> None:
    """Its reason says how often, and what came of it the last time."""
    api.always(OTHER, None)
    api.always(KEY, Answer(503, body={"status": "x", "message": f"not {KEY}"}))
    bench.write(FIRST)
    entry = bench.take(FIRST)
    entry.troubles = 6
    entry.troubled_since = time.monotonic() - LEAST_TROUBLE_SECONDS
    entry.troubled_at = entry.troubled_since
    bench.scheduler._experience.delivered(time.monotonic())
    bench.handling.handle(entry)
    reason = bench.reason(FIRST)
    assert (reason.status, reason.attempts) == (503, 7)
    assert reason.reason == "given up after 7 tries: answered 503: not *0617"
    assert bench.names(IN_ERROR) == [FIRST]
    assert bench.handling.tally.refused == {"given_up": 1}


def test_what_is_throttled_waits(bench: Bench, api: EventsApi) -> None:
    """It is counted, and stays."""
    api.always(KEY, Answer(429, retry_after=300))
    bench.write(FIRST)
    bench.handle(FIRST)
    assert bench.handling.tally.retries == {"throttled": 1}
    assert bench.names(PENDING) == [FIRST]
    assert FIRST in bench.scheduler


def test_what_is_no_event(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is set aside and counted, and costs no fsync. The log says so of a user's first files."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    number = SAID_MOST + 5
    for name in (file_name(n, KEY) for n in range(number)):
        (bench.spool / PENDING / name).write_text("[]")
        bench.handling.handle(bench.take(name, owner=1003))
    assert len(bench.names(IN_ERROR)) == number
    assert bench.handling.tally.refused == {"unreadable": number}
    reason = bench.reason(file_name(0, KEY))
    assert (reason.status, reason.attempts) == (None, 0)
    assert synced == []
    lines = said(caplog, logging.WARNING)
    assert len(lines) == SAID_MOST
    assert lines[0] == f"in error: {0:016}_*0617: {reason.reason}"
    another = file_name(number, KEY)
    (bench.spool / PENDING / another).write_text("[]")
    bench.handling.handle(bench.take(another, owner=1004))
    assert len(said(caplog, logging.WARNING)) == SAID_MOST + 1  # another user's is told of


def test_what_was_overtaken_is_not_sent(
    bench: Bench, api: EventsApi, caplog: pytest.LogCaptureFixture
) -> None:
    """It is in error again, and counted before. Only an event that is retried is asked about."""
    bench.write(SECOND, "later")
    bench.handle(SECOND)
    bench.write(FIRST, "earlier")
    bench.handle(FIRST, retried=True)
    assert summaries(api.accepted) == ["later"]
    assert (bench.reason(FIRST).reason, bench.reason(FIRST).attempts) == (OVERTAKEN, 0)
    assert bench.handling.tally.refused == {}
    assert said(caplog, logging.WARNING) == [f"in error: {1:016}_*0617: {OVERTAKEN}"]
    assert not len(bench.scheduler)
    bench.write(FIRST, "earlier")
    bench.handle(FIRST)
    assert summaries(api.accepted) == ["later", "earlier"]


def test_another_keys_events_overtake_nothing(bench: Bench) -> None:
    """Though they have the same dedup key."""
    other = file_name(2, OTHER)
    bench.write(other, key=OTHER)
    bench.handle(other, OTHER)
    bench.write(FIRST)
    bench.handle(FIRST, retried=True)
    assert bench.names(DELIVERED) == sorted([FIRST, other])


def test_what_lies_in_the_queue_counts_for_its_sender(bench: Bench) -> None:
    """The endpoint takes only so many of each sender. What is delivered counts no longer."""
    origins = bench.handling.origins
    bench.write(FIRST)
    origins.add(FIRST, "web")
    assert origins.is_full("web", 1)
    bench.handle(FIRST)
    assert origins.numbers() == {}


def test_what_is_delivered_meanwhile_overtakes(bench: Bench, api: EventsApi) -> None:
    """The memory of what is in suc/ is told of each event. So it is if keys have got other names
    since, of which it hears with the configuration."""
    for number in (1, 2):
        bench.write(file_name(number, KEY), str(number), dedup_key=str(number))
        bench.handle(file_name(number, KEY), retried=True)
    named = file_name(8, "@late")
    bench.write(named, "8", "@late", dedup_key="8")
    bench.handling.configure(Config({"events_url": api.url}, {"late": KEY}))
    bench.handle(named)
    bench.write(file_name(7, KEY), "7", dedup_key="8")
    bench.handle(file_name(7, KEY), retried=True)
    assert bench.names(IN_ERROR) == [file_name(7, KEY)]


def test_a_memory_that_cannot_be_read_keeps_the_event(bench: Bench, api: EventsApi) -> None:
    """Whether it was overtaken is not known, so it waits."""
    bench.write(FIRST)
    (bench.spool / DELIVERED).rmdir()
    bench.handle(FIRST, retried=True)
    assert bench.names(PENDING) == [FIRST]
    assert not api.requests
    [hold] = bench.scheduler.held(time.monotonic()).holds
    assert hold.why == "an event can't be read: No such file or directory"
    (bench.spool / DELIVERED).mkdir()
    bench.handling.handle(bench.next(FAR))
    assert bench.names(DELIVERED) == [FIRST]


def test_what_is_gone(bench: Bench) -> None:
    """A person's purge is counted. A directory of its owner's is not: it is left there."""
    bench.handle(FIRST)
    assert bench.handling.tally.removed == 1
    (bench.spool / PENDING / SECOND).mkdir()
    bench.handle(SECOND)
    assert bench.handling.tally.removed == 1
    assert bench.names(PENDING) == [SECOND]
    assert not len(bench.scheduler)


def test_what_is_gone_after_it_was_retried(bench: Bench) -> None:
    """The reason of its first failure goes with it."""
    bench.state.write_reason(FIRST, Reason("2026-01-01T00:00:00Z", 400, "no", 1))
    bench.settlement.retried([FIRST])
    bench.handle(FIRST, retried=True)
    assert bench.state.reason(FIRST) is None


# kept


def test_a_name_that_nobody_has(
    bench: Bench, api: EventsApi, caplog: pytest.LogCaptureFixture
) -> None:
    """Its events are kept, and looked at again after a while. The log says so once, and once more
    with another configuration."""
    first, second = file_name(1, "@later"), file_name(2, "@later")
    bench.write(first, key="@later")
    bench.write(second, key="@later", dedup_key="b")
    now = time.monotonic()
    bench.handle(first, "@later")
    [hold] = bench.scheduler.held(now).holds
    assert (hold.scope, hold.cause) == (Scope.KEY, Cause.UNNAMED)
    assert hold.since >= now
    assert hold.why == "no integration key is named @later"
    wait = float(bench.config.backoff_interval_secs)
    assert now + wait <= hold.until < now + wait + 60
    bench.scheduler.add(second, "@later")
    bench.handling.handle(bench.next(hold.until))
    line = (
        "no integration key is named @later: its events are kept. "
        "Add it to [Keys], then: systemctl reload pdagent"
    )
    assert said(caplog, logging.ERROR) == [line]
    bench.handling.configure(bench.config)
    bench.handling.handle(bench.next(FAR))
    assert said(caplog, logging.ERROR) == [line, line]
    bench.handling.configure(Config({"events_url": api.url}, {"later": KEY}))
    bench.handling.handle(bench.next(2 * FAR))
    assert [request.key for request in api.accepted] == [KEY]


def test_what_cannot_be_written_with_its_key(bench: Bench, api: EventsApi) -> None:
    """A script's event, which fits with its key's name, and no longer with its key."""
    name = file_name(1, "@db")
    text = '{"agent":"","event_action":"trigger","routing_key":"@db"}'
    text = text.replace('""', '"' + "x" * (BODY_BYTES - len(text)) + '"')
    (bench.spool / PENDING / name).write_text(text)
    bench.handle(name, "@db")
    bench.handling.handle(bench.next())  # it is large
    assert not api.requests
    assert bench.names(IN_ERROR) == [name]
    assert bench.reason(name).reason == "it can't be written with its key"


def test_a_large_event_takes_a_large_place(bench: Bench, api: EventsApi) -> None:
    """It is read once it has one."""
    bench.write(FIRST, links=[{"href": f"http://{'x' * HEAVY_BYTES}"}])
    entry = bench.take(FIRST)
    assert not entry.heavy
    bench.handling.handle(entry)
    assert not api.requests
    again = bench.next()
    assert again is entry
    assert again.heavy
    bench.handling.handle(again)
    assert bench.names(DELIVERED) == [FIRST]


def test_an_unfinished_event_waits_by_itself(bench: Bench) -> None:
    """With what follows it in its incident; nobody is told."""
    bench.write(FIRST)
    os.link(bench.spool / PENDING / FIRST, bench.spool / "tmp" / FIRST)
    now = time.monotonic()
    bench.handle(FIRST)
    assert bench.scheduler.held(now).holds == ()
    due = bench.scheduler.next_due(now)
    assert due is not None
    assert due >= now + reading.UNFINISHED_SECONDS
    bench.write(SECOND)
    bench.handle(SECOND)
    assert bench.scheduler.claim(time.monotonic()) is None
    assert bench.names(PENDING) == [FIRST, SECOND]


def test_patience_is_for_each_owner(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's unfinished files make others wait for a while in each minute, all together. Another
    user's files are waited for besides."""
    now = 1000.0
    clock = SimpleNamespace(monotonic=lambda: now, time=time.time)
    monkeypatch.setattr("pdagent.daemon.handling.time", clock)
    for number, owner, at, waits in [
        (1, 1001, 0.0, True),
        (2, 1001, reading.UNFINISHED_SECONDS, False),
        (3, 1002, reading.UNFINISHED_SECONDS, True),
        (4, 1001, EVERY_SECONDS, True),
    ]:
        now = 1000.0 + at
        name = file_name(number, KEY)
        bench.write(name, dedup_key=name)
        os.link(bench.spool / PENDING / name, bench.spool / "tmp" / name)
        bench.scheduler.add(name, KEY, owner=owner)
        while (entry := bench.scheduler.claim(now)) is not None:
            bench.handling.handle(entry)
        assert bench.names(PENDING) == [name] * waits


def test_patience_is_for_each_kind_of_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's incomplete files leave the patience with unfinished ones as it is."""
    now = 1000.0
    clock = SimpleNamespace(monotonic=lambda: now, time=time.time)
    monkeypatch.setattr("pdagent.daemon.handling.time", clock)
    (bench.spool / PENDING / FIRST).write_text("{")
    bench.handle(FIRST)
    now += max(INCOMPLETE_SECONDS, reading.UNFINISHED_SECONDS)
    bench.handling.handle(bench.next(now))
    assert bench.names(IN_ERROR) == [FIRST]
    bench.write(SECOND)
    os.link(bench.spool / PENDING / SECOND, bench.spool / "tmp" / SECOND)
    bench.handling.handle(bench.take(SECOND))
    assert bench.names("tmp") == [SECOND]  # its sender may be about to remove it


def test_a_file_that_stays_unreadable_is_told_of(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time while its key waits for it, since nobody else's event of the key goes."""

    bench.write(FIRST)
    now = time.monotonic()
    with monkeypatch.context() as patch:
        failing(patch, errno.EIO)
        bench.handle(FIRST)
    assert said(caplog, logging.ERROR) == [f"cannot read {1:016}_*0617: Input/output error"]
    [hold] = bench.scheduler.held(time.monotonic()).holds
    assert (hold.scope, hold.why) == (Scope.KEY, "an event can't be read: Input/output error")
    assert hold.since >= now
    bench.handling.handle(bench.next(FAR))
    assert bench.names(DELIVERED) == [FIRST]


def test_a_file_that_the_agent_may_not_read_waits_by_itself(
    bench: Bench, api: EventsApi, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person is told why, and the log says so once, and of each user's first files only."""
    number = SAID_MOST + 5
    names = [file_name(n, KEY) for n in range(number)]
    now = time.monotonic()
    with monkeypatch.context() as patch:
        failing(patch, errno.EACCES)
        for name in names:
            bench.write(name, dedup_key=name)
            bench.handling.handle(bench.take(name, owner=1003))
        for _ in names:
            bench.handling.handle(bench.next(now + 3600))
        assert len(said(caplog, logging.ERROR)) == SAID_MOST
        names.append(file_name(number, KEY))
        bench.write(names[-1], dedup_key="another")
        bench.handling.handle(bench.take(names[-1], owner=1004))
        bench.handling.handle(bench.next(now + 3600))
    holds = bench.scheduler.held(now).holds
    assert {(hold.scope, hold.cause, hold.why) for hold in holds} == {
        (Scope.CHAIN, Cause.UNREADABLE, "the agent may not read it")
    }
    assert sorted(hold.chain for hold in holds) == names
    assert min(hold.until for hold in holds) >= now + reading.AGAIN_SECONDS
    assert min(hold.since for hold in holds) >= now
    lines = said(caplog, logging.ERROR)
    assert len(lines) == SAID_MOST + 1
    assert lines[0] == f"cannot read {0:016}_*0617: Permission denied; it waits"
    bench.write(OTHER_ONE, key=OTHER)
    bench.handle(OTHER_ONE, OTHER)
    assert summaries(api.accepted) == ["x"]


def test_what_the_log_leaves_out_is_counted(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words that tell one kind from the other."""
    for sparing in (bench.handling.denied, bench.handling.unfit):
        for _ in range(SAID_MOST + 3):
            sparing.may_say(1003)
    monkeypatch.setattr("pdagent.daemon.logbook.SAID_SECONDS", 0.0)
    bench.handling.denied.say_rest()
    bench.handling.unfit.say_rest()
    assert said(caplog, logging.WARNING) == [
        "3 more files that cannot be read wait, those of uid 1003",
        "3 more files that are no events were set aside, those of uid 1003",
    ]


def test_another_scheduler(bench: Bench, api: EventsApi) -> None:
    """Which all events are lined up in anew."""
    bench.scheduler = Scheduler(Limits(60.0, 3, 8, 8), lambda: 0.5)
    bench.handling.start_over(bench.scheduler)
    bench.write(FIRST)
    bench.handle(FIRST)
    assert len(api.accepted) == 1
    assert not len(bench.scheduler)


# where PagerDuty is not reached


def test_an_outage_is_said_once(
    tmp_path: Path, api: EventsApi, caplog: pytest.LogCaptureFixture
) -> None:
    """And once that it is over. An event of one key alone makes no outage."""
    bench = Bench(tmp_path, events_url="http://127.0.0.1:1")
    caplog.set_level(logging.WARNING)
    for number, key in enumerate((KEY, OTHER, KEY), 1):
        bench.write(file_name(number, key), key=key, dedup_key=str(number))
    for name, key in ((FIRST, KEY), (file_name(2, OTHER), OTHER)):
        bench.handle(name, key)
    outage = (
        "PagerDuty cannot be reached at http://127.0.0.1:1: PagerDuty at 127.0.0.1:1: "
        "Connection refused. Events are kept, and sent as soon as it can be."
    )
    assert said(caplog, logging.ERROR) == [outage]
    bench.scheduler.add(THIRD, KEY)
    bench.handling.handle(bench.next(FAR))
    assert said(caplog, logging.ERROR) == [outage]
    assert said(caplog, logging.WARNING) == []  # of single events
    assert bench.handling.tally.retries == {"unreachable": 3}
    caplog.clear()
    bench.handling.configure(Config({"events_url": api.url}))
    bench.handling.handle(bench.next(2 * FAR))
    assert said(caplog, logging.WARNING) == ["PagerDuty is reachable again; 3 events pending"]
    assert said(caplog, logging.ERROR) == []


def test_a_relay_that_is_lost_is_said_once(
    tmp_path: Path, api: EventsApi, caplog: pytest.LogCaptureFixture
) -> None:
    """What would go there waits for it. The rest goes to the other."""
    lost = "http://127.0.0.1:1"
    bench = Bench(tmp_path, events_url=f"{lost} {api.url}")
    names = [file_name(number, KEY) for number in range(40)]
    for name in names:
        bench.write(name, dedup_key=name)
        bench.handle(name)
    assert [line.partition(":1: ")[0] for line in said(caplog, logging.ERROR)] == [
        "http://127.0.0.1:1 cannot be reached: PagerDuty at 127.0.0.1"
    ]
    assert set(bench.handling.tally.retries) == {"unreachable"}
    assert 0 < len(bench.names(PENDING)) == len(names) - len(api.accepted) < len(names)


def test_who_dislikes_an_event_is_asked_without_it(bench: Bench, api: EventsApi) -> None:
    """PagerDuty is reached all the same, so the event is to blame."""
    api.always(KEY, Answer(200, html="<p>no</p>"))
    bench.write(FIRST)
    bench.handle(FIRST)
    [hold] = bench.scheduler.held(time.monotonic()).holds
    assert (hold.scope, hold.cause) == (Scope.CHAIN, Cause.FAILING)


def test_the_relay_that_dislikes_an_event_is_asked_without_it(
    tmp_path: Path, api: EventsApi
) -> None:
    """And not another one."""
    bench = Bench(tmp_path, events_url=f"http://127.0.0.1:1 {api.url}")
    api.always(KEY, Answer(200, html="<p>no</p>"))
    for name in (file_name(number, KEY) for number in range(40)):
        bench.write(name, dedup_key=name)
        entry = bench.take(name)
        bench.handling.handle(entry)
        if entry.relay == api.url:
            break
    causes = {hold.chain: hold.cause for hold in bench.scheduler.held(time.monotonic()).holds}
    assert causes[f"={name}"] == Cause.FAILING
