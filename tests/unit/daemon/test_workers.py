"""The workers alone, with a real spool and a real Events API: no daemon around them."""

import contextlib
import os
import threading
import time
from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.daemon import reading, workers
from pdagent.queue import backlog
from pdagent.queue.state import Reason
from pdagent.spool import IN_ERROR, PENDING, file_name
from tests.support.agent import wait_until
from tests.support.events import KEY, OTHER, key, summaries
from tests.support.events_api import Answer, EventsApi
from tests.support.raw_server import OK, Conversation, serving
from tests.unit.daemon.bench import FIRST, SECOND
from tests.unit.daemon.crew import Crew, written


def patience(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (backlog, reading):
        monkeypatch.setattr(module, "INCOMPLETE_SECONDS", seconds)


def test_a_file_that_is_still_being_written_is_waited_for(
    crew: Crew, api: EventsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that writes straight into pdq/ loses nothing: its event goes out once it is whole,
    before the next of its key, and other keys go on meanwhile."""
    patience(600.0, monkeypatch)
    whole = written("first")
    crew.write(FIRST, b"")
    crew.write(SECOND, written("second"))
    other = file_name(3, OTHER)
    crew.write(other, written("other", OTHER))
    crew.add(FIRST, SECOND, other)
    crew.until(lambda: [hold.why for hold in crew.held.holds] == ["an event is being written"])
    crew.until(lambda: summaries(api.requests) == ["other"])
    crew.write(FIRST, whole[:40])
    crew.write(FIRST, whole)
    crew.until(lambda: len(api.requests) == 3)
    assert summaries(api.requests) == ["other", "first", "second"]
    crew.until(lambda: crew.held.holds == ())
    assert os.listdir(crew.spool / IN_ERROR) == []


def test_a_file_that_stays_incomplete_is_set_aside(
    crew: Crew, api: EventsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However new its time stamp is kept: the key goes on."""
    patience(0.2, monkeypatch)
    crew.write(FIRST, b'{"routing_key"')
    crew.write(SECOND, written("second"))
    crew.add(FIRST, SECOND)

    def kept_new() -> bool:
        with contextlib.suppress(FileNotFoundError):  # set aside
            os.utime(crew.spool / PENDING / FIRST)
        return bool(api.accepted)

    crew.until(kept_new)
    assert summaries(api.requests) == ["second"]
    assert os.listdir(crew.spool / IN_ERROR) == [FIRST]


def test_nothing_is_counted_twice(crew: Crew, api: EventsApi) -> None:
    """Neither when keys get other names and all events are lined up anew, nor when word of an event
    comes once more after it was delivered."""
    api.always(KEY, Answer(429, retry_after=300))
    crew.write(FIRST, written("held"))
    crew.add(FIRST)
    crew.until(lambda: len(api.requests) == 1)
    crew.until(lambda: crew.workers.figures().holds["key"][0] == 1)
    crew.workers.configure(Config({"events_url": api.url}, {"db": OTHER}))
    other = file_name(3, OTHER)
    crew.write(other, written("other", OTHER))
    crew.add(other)
    crew.until(lambda: not crew.workers.knows(other))
    crew.workers.finished(other)
    tally = crew.workers.tally
    assert (tally.accepted, tally.delivered, tally.removed) == (2, 1, 0)
    assert crew.workers.pending == 1


def test_an_enqueue_under_way_holds_its_incident_only(
    crew: Crew, api: EventsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event with its second name in tmp/ waits for its sender, and what follows it in its
    incident does. The rest of its key goes on."""
    monkeypatch.setattr(reading, "UNFINISHED_SECONDS", 600.0)
    crew.write(FIRST, written("under way"))
    os.link(crew.spool / PENDING / FIRST, crew.spool / "tmp" / FIRST)
    crew.write(SECOND, written("its successor"))
    third = file_name(3, KEY)
    crew.write(third, written("another incident", dedup_key="b"))
    crew.add(FIRST, SECOND, third)
    crew.until(lambda: not crew.workers.knows(third))
    assert summaries(api.requests) == ["another incident"]
    (crew.spool / "tmp" / FIRST).unlink()
    crew.workers.finished(FIRST)
    crew.until(lambda: not crew.workers.pending)
    assert summaries(api.requests) == ["another incident", "under way", "its successor"]


def test_an_event_whose_sender_died_is_adopted(
    crew: Crew, api: EventsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while it is sent, and nothing is left of it in tmp/."""
    monkeypatch.setattr(reading, "UNFINISHED_SECONDS", 0.05)
    crew.write(FIRST, written("orphan"))
    os.link(crew.spool / PENDING / FIRST, crew.spool / "tmp" / "5_x.txt")
    crew.add(FIRST)
    crew.until(lambda: not crew.workers.pending)
    assert summaries(api.requests) == ["orphan"]
    assert os.listdir(crew.spool / "tmp") == []


def test_what_was_tried_is_counted(crew: Crew, api: EventsApi) -> None:
    """For whoever looks while it waits, and with its reason when it is in error."""
    api.always(KEY, Answer(503))
    crew.write(FIRST, written("tried"))
    crew.add(FIRST)
    crew.until(lambda: any(tries.number > 1 for tries in crew.held.tries.values()))
    api.always(KEY, Answer(400))
    crew.until(lambda: not crew.workers.pending)
    reason = crew.state.reason(FIRST)
    assert reason is not None
    assert (reason.status, reason.attempts) == (400, len(api.requests))


@pytest.mark.parametrize(
    ("name", "said", "fits"),
    [
        (KEY, KEY, True),
        ("@db", "@db", True),
        ("@db", KEY, True),  # one key, however it is called
        (KEY, "@db", True),
        (OTHER, KEY, False),
        (OTHER, "@db", False),
        ("@db", OTHER, False),
        ("@unknown", "@db", False),
    ],
)
def test_the_key_in_the_name(crew: Crew, api: EventsApi, name: str, said: str, fits: bool) -> None:
    """A file must not take the turn of another key than its event's, in whatever way both are
    named: nobody could tell who waits when one of them is throttled."""
    file = file_name(1, name)
    crew.write(file, written("x", said))
    crew.add(file)
    crew.until(lambda: not crew.workers.pending)
    assert [request.key for request in api.requests] == [KEY] * fits
    assert os.listdir(crew.spool / IN_ERROR) == [file] * (not fits)


def test_an_event_that_can_not_be_moved_is_not_sent_again(crew: Crew, api: EventsApi) -> None:
    """It is known, whoever finds it in pdq/, until it can be moved."""
    (crew.spool / "suc").rmdir()
    crew.write(FIRST, written("once"))
    crew.add(FIRST)
    crew.until(lambda: not crew.workers.pending)
    assert crew.workers.knows(FIRST)
    (crew.spool / "suc").mkdir()
    crew.settlement.tidy()
    assert not crew.workers.knows(FIRST)
    assert os.listdir(crew.spool / "suc") == [FIRST]
    assert summaries(api.requests) == ["once"]


def test_keys_that_get_other_names(crew: Crew, api: EventsApi) -> None:
    """Once nothing is on its way all events are lined up anew, without holds, and by the new keys;
    those that were pending keep their order."""
    config = Config({"events_url": api.url}, {"db": KEY})
    crew.workers.configure(config)
    api.always(KEY, Answer(429, retry_after=300))
    first, second = file_name(1, "@db"), file_name(2, "@db")
    crew.write(first, written("first", "@db"))
    crew.write(second, written("second", "@db"))
    crew.add(first, second)
    crew.until(lambda: crew.held.holds != ())
    crew.workers.configure(Config({"events_url": api.url}, {"db": OTHER}))
    crew.until(lambda: len(api.accepted) == 2)
    assert [request.key for request in api.accepted] == [OTHER, OTHER]
    assert summaries(api.accepted) == ["first", "second"]
    crew.until(lambda: crew.held.holds == ())


def slow(may_answer: threading.Event) -> type[Conversation]:
    """A server whose answers wait until the test lets them go."""

    class Slow(Conversation):
        def handle(self) -> None:
            while self.read():
                may_answer.wait(60)
                self.request.sendall(OK)

    return Slow


def test_what_was_retried_is_known_when_keys_get_other_names(tmp_path: Path) -> None:
    """An event that was overtaken is not sent after all."""
    may_answer = threading.Event()
    with serving(slow(may_answer)) as server:
        crew = Crew(tmp_path, server.url)
        crew.write(SECOND, written("second"))
        crew.add(SECOND)
        crew.until(lambda: server.requests == 1)
        crew.state.keep_reason(FIRST, Reason("", 400, "no", 1))
        crew.write(FIRST, written("first"))
        crew.add(FIRST)
        crew.workers.configure(Config({"events_url": server.url}, {"db": OTHER}))
        may_answer.set()
        crew.until(lambda: os.listdir(crew.spool / PENDING) == [])
        assert os.listdir(crew.spool / IN_ERROR) == [FIRST]
        crew.workers.stop(5.0)


def test_threads_come_with_work_and_go_without(
    crew: Crew, api: EventsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One user's events take no more places than connections are allowed; the event of another user
    finds a place all the same. An idle daemon has no thread that wakes it."""
    crew.workers.configure(Config({"events_url": api.url, "max_connections": 3}))
    api.always(None, Answer(hang=True))
    names = [file_name(number, key(number)) for number in range(1, 20)]
    for number, name in enumerate(names, 1):
        crew.write(name, written("x", key(number)))
    crew.add(*names)
    crew.until(lambda: len(api.requests) == 3)
    other = file_name(99, OTHER)
    crew.write(other, written("another user's", OTHER))
    crew.workers.add([(other, 1000)])
    crew.until(lambda: len(api.requests) > 3)
    assert summaries(api.requests) == ["x", "x", "x", "another user's"]
    monkeypatch.setattr(workers, "LINGER_SECONDS", 0.01)
    api.always(None, None)
    crew.workers._handling.path.abort_all()
    crew.until(lambda: len(api.accepted) == len(names) + 1)
    crew.until(lambda: crew.workers.pending == 0 and not crew.workers._threads)


def test_one_worker_is_called_at_a_time(crew: Crew, api: EventsApi) -> None:
    """Who was called calls the next one. Without that, each event that comes meanwhile would wake
    somebody who then finds nothing. When the main thread tends, it calls anew: the one who was
    called may have died."""
    names = [file_name(number, key(number)) for number in range(1, 4)]
    for number, name in enumerate(names, 1):
        crew.write(name, written("x", key(number)))
    with crew.workers._changed:
        for name in names:
            crew.add(name)
        assert len(crew.workers._threads) == 1
        crew.workers.tend(time.monotonic())
        assert len(crew.workers._threads) == 2
    crew.until(lambda: len(api.accepted) == len(names))
    crew.workers.stop(5.0)


def test_no_event_is_lost_where_memory_runs_out_as_it_is_claimed(
    crew: Crew, api: EventsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody but the worker that has claimed it knows of it."""

    def nudge() -> None:
        nudged.append(None)
        raise MemoryError

    nudged: list[None] = []
    monkeypatch.setattr(crew.workers, "_nudge", nudge)
    crew.workers.tend(time.monotonic())  # the main thread sleeps, so it is to be woken
    crew.write(FIRST, written("first"))
    crew.add(FIRST)
    wait_until(lambda: summaries(api.accepted) == ["first"])
    assert nudged


def test_another_worker_goes_on_beside_one_that_waits(crew: Crew, api: EventsApi) -> None:
    """While one works there is one only, and as many as there are answers to wait for."""
    api.always(None, Answer(hang=True))
    names = [file_name(number, key(number)) for number in range(1, 4)]
    for number, name in enumerate(names, 1):
        crew.write(name, written("x", key(number)))
    crew.add(*names)
    wait_until(lambda: len(api.requests) == len(names))  # nobody tends
    wait_until(lambda: not crew.workers._activity.is_any())
    api.always(None, None)
    crew.workers._handling.path.abort_all()
    crew.until(lambda: len(api.accepted) == len(names))
    wait_until(lambda: not crew.workers._activity._since)
    crew.workers.stop(5.0)


def test_stop_leaves_pending_what_gets_no_answer(crew: Crew, api: EventsApi) -> None:
    """It waits for a while, and says that it was in vain."""
    api.always(None, Answer(hang=True))
    crew.write(FIRST, written("first"))
    crew.add(FIRST)
    crew.until(lambda: len(api.requests) == 1)
    assert not crew.workers.stop(0.1)
    assert os.listdir(crew.spool / PENDING) == [FIRST]


def test_stop_waits_for_all_who_hang_together(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not for one after the other, such as 32 who wait for a name: systemd kills after 20 s."""
    now = 1000.0
    waited: list[float] = []

    class Hung:
        def join(self, seconds: float) -> None:
            nonlocal now
            now += seconds
            waited.append(seconds)

    monkeypatch.setattr(time, "monotonic", lambda: now)
    crew.workers._threads.update({number: Hung() for number in range(100, 132)})  # type: ignore[misc]
    assert not crew.workers.stop(15.0)
    crew.workers._threads.clear()
    assert sum(waited) == 15.0 + workers.LAST_SECONDS


def test_stop_lets_arrive_what_is_on_its_way(tmp_path: Path) -> None:
    """And takes nothing new."""
    may_answer = threading.Event()
    with serving(slow(may_answer)) as server:
        crew = Crew(tmp_path, server.url)
        crew.write(FIRST, written("first"))
        crew.write(SECOND, written("second"))
        crew.add(FIRST, SECOND)
        crew.until(lambda: server.requests == 1)
        arrived: list[bool] = []
        stop = threading.Thread(target=lambda: arrived.append(crew.workers.stop(60.0)))
        stop.start()
        wait_until(lambda: crew.workers._stopping)
        may_answer.set()
        stop.join()
        assert arrived == [True]
        assert os.listdir(crew.spool / PENDING) == [SECOND]
        assert server.requests == 1
