"""How the workers learn of events: names on the wake FIFO, and looks at pdq/."""

import contextlib
import errno
import fcntl
import os

import pytest

from pdagent.queue import backlog
from pdagent.spool import PENDING, Spool, wake_fifo
from tests.support.calls import Calls, Fault
from tests.support.events import summaries
from tests.support.events_api import EventsApi
from tests.unit.daemon.bench import FIRST, SECOND
from tests.unit.daemon.crew import Crew, written


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
