"""A sender hears what becomes of its event, and of no other."""

import os
import stat
import threading
from pathlib import Path

import pytest

from pdagent.queue import waiting
from pdagent.queue.backlog import Backlog
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import Counters, State
from pdagent.queue.waiting import Removed, WaitingSpool
from pdagent.spool import SpoolError
from tests.support.agent import wait_until

BODY = b'{"routing_key":"KEY1"}'


def test_told_before_the_wait(root: Path) -> None:
    """The daemon may be done before the sender is."""
    with WaitingSpool(str(root)) as spool:
        name = spool.enqueue("KEY1", BODY)
        backlog = Backlog(str(root))
        backlog.tell(name)
        backlog.settle_delivered(name)
        assert spool.wait(60) == ""


def test_told_during_the_wait(root: Path) -> None:
    """The reason, on one line, however long."""
    with WaitingSpool(str(root)) as spool:
        name = spool.enqueue("KEY1", BODY)
        reason = "delivered\u00e4" * 1000
        threading.Timer(0.1, waiting.tell, (str(root), name, reason)).start()
        heard = spool.wait(60)
    assert heard is not None
    assert reason.startswith(heard.rstrip("\ufffd"))
    assert len(heard.encode()) > 4000


def test_not_told(root: Path) -> None:
    """The time is up, and the event is where it was."""
    with WaitingSpool(str(root)) as spool:
        name = spool.enqueue("KEY1", BODY)
        assert spool.wait(0) is None
        assert os.listdir(root / "pdq") == [name]


def test_removed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a person: nobody tells, so the sender looks for itself now and then."""
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.02)
    with WaitingSpool(str(root)) as spool:
        name = spool.enqueue("KEY1", BODY)
        threading.Timer(0.05, os.unlink, (root / "pdq" / name,)).start()
        with pytest.raises(Removed):
            spool.wait(60)


def test_a_long_wait(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The FIFO of a sender who still waits is never old: clean-up removes what is old in tmp/."""
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.02)
    with WaitingSpool(str(root)) as spool:
        name = spool.enqueue("KEY1", BODY)
        fifo = root / "tmp" / f"{name}.wait"
        os.utime(fifo, (1, 1))
        told: list[str | None] = []
        thread = threading.Thread(target=lambda: told.append(spool.wait(60)), daemon=True)
        thread.start()
        wait_until(lambda: fifo.stat().st_mtime > 1)
        waiting.tell(str(root), name)
        thread.join()
        assert told == [""]


def test_somebody_empties_tmp(root: Path) -> None:
    """That is no error of the sender's."""
    with WaitingSpool(str(root)) as spool:
        name = spool.enqueue("KEY1", BODY)
        (root / "tmp" / f"{name}.wait").unlink()
        assert spool.wait(0) is None


@pytest.mark.parametrize("reason", ["", "Bad mood"])
def test_told_before_it_is_moved(root: Path, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """A sender who finds its event gone, and no word, takes it for removed by a person. So the word
    is there when the name changes, and whatever becomes of the change."""
    state = State(str(root.parent))
    settlement = Settlement(Backlog(str(root)), state, Counters(state, 0.0))
    rename, told = os.rename, []
    with WaitingSpool(str(root)) as spool:
        name = spool.enqueue("KEY1", BODY)

        def listen_then_rename(old: str, new: str) -> None:
            if "/pdq/" in old:
                told.append(spool.wait(0))
            rename(old, new)

        monkeypatch.setattr(os, "rename", listen_then_rename)
        if reason:
            settlement.in_error(name, reason)
        else:
            settlement.delivered(name)
    assert told == [reason]


def test_only_the_agent_may_tell(root: Path) -> None:
    """Whatever the umask. The FIFO is gone after the wait."""
    old = os.umask(0o077)
    try:
        with WaitingSpool(str(root)) as spool:
            name = spool.enqueue("KEY1", BODY)
            [fifo] = (root / "tmp").iterdir()
            assert fifo.name == f"{name}.wait"
            assert fifo.stat().st_mode == stat.S_IFIFO | 0o620
    finally:
        os.umask(old)
    assert list((root / "tmp").iterdir()) == []


def test_names_that_are_taken(root: Path) -> None:
    """By a FIFO that a stranger made, or an event: the next microsecond will do, and nothing is
    left."""
    (root / "tmp" / "0000000000000005_KEY1.txt.wait").touch()
    (root / "pdq" / "0000000000000006_KEY1.txt").touch()
    with WaitingSpool(str(root)) as spool:
        spool.clock_ns = lambda: 5000
        assert spool.enqueue("KEY1", BODY) == "0000000000000007_KEY1.txt"
    assert os.listdir(root / "tmp") == ["0000000000000005_KEY1.txt.wait"]


def test_not_queued(root: Path) -> None:
    """Nothing is left of an event that could not be queued."""
    (root / "pdq").rmdir()
    with WaitingSpool(str(root)) as spool, pytest.raises(SpoolError):
        spool.enqueue("KEY1", BODY)
    assert list((root / "tmp").iterdir()) == []


def test_what_a_stranger_puts_there_is_not_written_to(root: Path) -> None:
    """Nor does it stop the daemon, nor a sender that died."""
    victim = root / "victim"
    victim.write_text("whole")
    (root / "tmp" / "link.wait").symlink_to(victim)
    os.link(victim, root / "tmp" / "file.wait")
    os.mkfifo(root / "tmp" / "dead.wait")
    for name in ("link", "file", "dead", "nothing", "x" * 300):
        waiting.tell(str(root), name, "reason")
    assert victim.read_text() == "whole"
