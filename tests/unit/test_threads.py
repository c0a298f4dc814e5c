"""Threads are started in one place, which survives that the system has none to give."""

import re
import threading
import time
from pathlib import Path

import pytest

import pdagent
from pdagent import threads
from tests.support.agent import wait_until

SOURCES = sorted(Path(pdagent.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_thread_is_started_elsewhere(path: Path) -> None:
    """Whatever starts one by other means would end where there is none to be had."""
    if path.name == "threads.py":
        return
    text = path.read_text()
    assert not re.search(r"threading\.(Thread|Timer)\b|_thread\.start_|PoolExecutor", text)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_nothing_sleeps_by_other_means(path: Path) -> None:
    """`time.sleep` raises an error under a clock that is faked (see `threads.pause`)."""
    assert not re.search(r"\btime\.sleep\b[^`]", path.read_text())


def test_a_thread_runs_under_its_name_and_ends() -> None:
    """Its creator can wait for that, for so long as it likes."""
    names: list[str] = []
    go = threading.Event()

    def task() -> None:
        go.wait()
        names.append(threading.current_thread().name)

    thread = threads.start(task, "Test-1")
    assert thread is not None
    began = time.monotonic()
    thread.join(0.05)
    assert time.monotonic() - began >= 0.05
    assert thread.is_alive()
    go.set()
    thread.join(20.0)
    assert not thread.is_alive()
    assert names == ["Test-1"]


def test_without_memory_for_its_name_a_thread_runs_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever started it counts on that."""

    def fail() -> threading.Thread:
        raise MemoryError

    done: list[bool] = []
    monkeypatch.setattr(threading, "current_thread", fail)
    thread = threads.start(lambda: done.append(True), "Test-1")
    assert thread is not None
    thread.join(20.0)
    assert done == [True]


def test_what_a_thread_dies_of_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Its end is no end of anything else."""

    def task() -> None:
        raise KeyError("x")

    thread = threads.start(task, "Test-2")
    assert thread is not None
    wait_until(lambda: not thread.is_alive())
    assert "internal error in thread Test-2" in caplog.text


def test_no_thread_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with each event that asks for one."""
    monkeypatch.setattr(threads, "_said_at", float("-inf"))

    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", none)
    assert threads.start(lambda: None, "Worker-1") is None
    assert threads.start(lambda: None, "Worker-2") is None
    [record] = caplog.records
    assert record.getMessage() == (
        "no thread for Worker-1: can't start new thread; going on with those that run"
    )
