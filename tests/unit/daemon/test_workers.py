"""The workers alone, with a real spool and a real Events API: no daemon around them."""

import contextlib
import errno
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.daemon import reading, workers
from pdagent.daemon.arrivals import Arrivals
from pdagent.daemon.workers import Workers
from pdagent.queue import backlog
from pdagent.queue.backlog import Backlog
from pdagent.queue.holds import Held
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import Counters, Reason, State
from pdagent.spool import IN_ERROR, PENDING, Spool, file_name, wake_fifo
from tests.support.agent import wait_until
from tests.support.calls import Calls, Fault
from tests.support.events import KEY, OTHER, key, summaries
from tests.support.events_api import Answer, EventsApi
from tests.support.raw_server import OK, Conversation, serving

FIRST, SECOND = file_name(1, KEY), file_name(2, KEY)


class Crew:
    """Workers on a spool, and what they told of holds. Somebody has to `tend` them."""

    def __init__(self, root: Path, url: str) -> None:
        for name in ("tmp", "pdq", "suc", "err"):
            (root / "outqueue" / name).mkdir(parents=True)
        (root / "db").mkdir()
        self.spool = root / "outqueue"
        self.held: Held = Held()
        self.state = state = State(str(root))
        self.files = files = Backlog(str(self.spool))
        self.settlement = Settlement(files, state, Counters(state, 0.0))
        self.config = Config({"events_url": url, "data_dir": str(root)}, {"db": KEY})
        self.workers = Workers(self.config, files, self.settlement, lambda: None, self._told)

    def _told(self, held: Held) -> None:
        self.held = held

    def arrivals(self) -> Arrivals:
        parts = self.config, self.files, self.settlement, self.workers
        return Arrivals(*parts, wanted=lambda: None, expect=lambda: None)

    def add(self, *names: str) -> None:
        self.workers.add([(name, 0) for name in names])

    def write(self, name: str, data: bytes) -> None:
        (self.spool / PENDING / name).write_bytes(data)

    def until(self, condition: Callable[[], bool]) -> None:
        def tended() -> bool:
            self.workers.tend(time.monotonic())
            return condition()

        wait_until(tended)


@pytest.fixture
def crew(tmp_path: Path, api: EventsApi) -> Iterator[Crew]:
    crew = Crew(tmp_path, api.url)
    yield crew
    crew.workers.stop(5.0)


def written(summary: str, key: str = KEY, dedup_key: str = "a") -> bytes:
    payload = {"summary": summary, "source": "db1", "severity": "error"}
    return json.dumps(
        {"routing_key": key, "event_action": "trigger", "dedup_key": dedup_key, "payload": payload}
    ).encode()


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


def test_names_wait_for_a_look_that_sees_what_was_there(
    crew: Crew, api: EventsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails while the daemon starts, and a sender tells of the next event. The one before
    it goes first."""
    crew.write(FIRST, written("first"))
    crew.write(SECOND, written("second"))
    arrivals = crew.arrivals()
    Spool(str(crew.spool)).wake(SECOND)
    calls = Calls(os)
    monkeypatch.setattr(backlog, "os", calls)
    calls.inject(Fault(1, errno.EIO))
    arrivals.start()
    crew.until(lambda: len(api.accepted) == 2)
    assert summaries(api.requests) == ["first", "second"]


def test_a_look_keeps_the_order_that_the_fifo_tells(crew: Crew, api: EventsApi) -> None:
    """The clock was set back between two events, so the later one has the earlier name. The daemon
    happens to look at the directory before it reads the FIFO."""
    arrivals = crew.arrivals()
    crew.write(SECOND, written("accepted first"))
    Spool(str(crew.spool)).wake(SECOND)
    crew.write(FIRST, written("accepted later"))
    arrivals._asked_for()
    crew.until(lambda: len(api.accepted) == 2)
    assert summaries(api.requests) == ["accepted first", "accepted later"]


def test_a_fifo_that_is_filled_while_it_is_read(
    crew: Crew, api: EventsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender found no room between two reads, so the directory is looked at."""
    arrivals = crew.arrivals()
    wake = os.open(wake_fifo(str(crew.spool)), os.O_WRONLY | os.O_NONBLOCK)
    fcntl.fcntl(wake, fcntl.F_SETFL, os.O_NONBLOCK | os.O_DIRECT)
    os.write(wake, b"9_nobody.txt\n")
    read = os.read

    def filled(fd: int, size: int) -> bytes:
        data = read(fd, size)
        if data and not (crew.spool / PENDING / FIRST).exists():
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(wake, b"9_nobody.txt\n")
            crew.write(FIRST, written("no wake told of it"))
        return data

    with monkeypatch.context() as patch:
        patch.setattr(os, "read", filled)
        arrivals._woken()
    os.close(wake)
    crew.until(lambda: len(api.accepted) == 1)


def test_a_name_that_is_cut_in_two(crew: Crew, api: EventsApi) -> None:
    """Somebody has made the FIFO larger than one read, and filled it so that the name is at the
    end of it."""
    arrivals = crew.arrivals()
    wake = os.open(wake_fifo(str(crew.spool)), os.O_WRONLY | os.O_NONBLOCK)
    fcntl.fcntl(wake, fcntl.F_SETPIPE_SZ, 1 << 20)
    crew.write(FIRST, written("named at the end"))
    noise = b"x\n" * (32_768 - 5)
    os.write(wake, noise + FIRST.encode() + b"\n")
    os.close(wake)
    for _ in range(2):
        arrivals._woken()
    crew.until(lambda: len(api.accepted) == 1)


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
