"""Events that are kept: put back after a bug, not ready, or without a key; and what is said."""

import errno
import logging
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pdagent.api import BODY_BYTES
from pdagent.config import Config
from pdagent.daemon import reading
from pdagent.daemon.handling import SHORT_SECONDS
from pdagent.daemon.logbook import SAID_MOST
from pdagent.queue.backlog import INCOMPLETE_SECONDS
from pdagent.queue.holds import Cause, Scope
from pdagent.queue.pending import HEAVY_BYTES
from pdagent.schedule.entry import Entry
from pdagent.schedule.limits import Limits
from pdagent.schedule.patience import EVERY_SECONDS
from pdagent.schedule.scheduler import Scheduler
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, file_name
from pdagent.wire.verdict import Throttled
from tests.support.events import KEY, OTHER, summaries
from tests.support.events_api import Answer, EventsApi
from tests.unit.daemon.bench import (
    FAR,
    FIRST,
    NAME,
    OTHER_ONE,
    SECOND,
    Bench,
    Clock,
    claimed,
    failing,
    handling_of,
    said,
)


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
    handling.try_again(scheduler._entries[NAME])  # nothing any more
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


def test_errors_of_the_disk_now_and_then_set_nothing_aside(
    bench: Bench, api: EventsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event is tried for a day, and the disk gives an error in the morning and one in the
    evening. In between its file could be read."""
    monkeypatch.setattr(reading, "UNREADABLE_SECONDS", 1e-9)
    bench.write(FIRST)
    bench.scheduler.add(FIRST, KEY, False, 0)
    for answers, fails in ((503, True), (503, False), (503, True), (202, False)):
        api.always(KEY, Answer(answers))
        with monkeypatch.context() as patch:
            if fails:
                failing(patch, errno.EIO)
            bench.handling.handle(bench.next(FAR))
    assert (bench.names(IN_ERROR), bench.names(DELIVERED)) == ([], [FIRST])


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
