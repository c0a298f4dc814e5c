"""One claimed event, from its file to where it is settled: who has taken it, or has not."""

import logging
import os
import time
from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.daemon import disk
from pdagent.daemon.handling import OVERTAKEN
from pdagent.daemon.logbook import SAID_MOST
from pdagent.queue.history import LOGGER
from pdagent.queue.holds import Cause, Scope
from pdagent.queue.state import Reason
from pdagent.schedule.experience import LEAST_TROUBLE_SECONDS
from pdagent.schedule.limits import Limits
from pdagent.schedule.scheduler import Scheduler
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, file_name
from pdagent.wire import absence
from tests.support.events import KEY, OTHER, summaries
from tests.support.events_api import Answer, EventsApi
from tests.unit.daemon.bench import FAR, FIRST, SECOND, THIRD, Bench, said


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


def test_others_go_on_while_the_disk_is_slow(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a file is read, and while it is moved; nobody goes away for a quick disk. For each
    answer one goes away, however quick it is."""
    monkeypatch.setattr(absence, "QUICK_SECONDS", -1.0)
    went_away = []
    for number, slow in enumerate((60.0, 60.0, -1.0, -1.0)):
        monkeypatch.setattr(disk, "SLOW_SECONDS", slow)
        before = bench.went_away
        bench.write(file_name(number, KEY))
        bench.handle(file_name(number, KEY))
        went_away.append(bench.went_away - before)
    first, second, learns, knows = went_away
    assert first > second == learns == knows - 2


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


def test_another_scheduler(bench: Bench, api: EventsApi) -> None:
    """Which all events are lined up in anew."""
    bench.scheduler = Scheduler(Limits(60.0, 3, 8, 8), lambda: 0.5)
    bench.handling.start_over(bench.scheduler)
    bench.write(FIRST)
    bench.handle(FIRST)
    assert len(api.accepted) == 1
    assert not len(bench.scheduler)


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
