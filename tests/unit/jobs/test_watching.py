"""Time is up: SIGTERM, then SIGKILL; and what not even that ends is told all the same. What a
command has written goes out first, if somebody takes it."""

import os
import signal
import threading

import pytest

from pdagent.jobs import watching
from pdagent.jobs.passing import Passing
from pdagent.jobs.watching import Ending, Watch
from tests.support.ways import in_a_child


def ended(command: list[str], timeout: float | None) -> int:
    """What the ending of a command came to, in a process of its own, as an exit code: 1 where it
    was killed by SIGKILL after a time-out."""
    watch = Watch(command, Passing(keeps=True), timeout)
    ending = watch.begin() or watch.end()
    watch.pass_on()
    assert ending.timed_out
    return 1 if ending.killed_by == signal.SIGKILL else 2


def test_what_does_not_obey_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "GRACE_SECONDS", 0.3)

    def deaf() -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # and so does the command, from the start
        return ended(["sleep", "300"], 0.2)

    code, _, err = in_a_child(deaf, b"")
    assert (code, err) == (1, b"")


def stuck() -> int:
    """A command that this process may not signal, as one of another user's."""
    watch = Watch(["sleep", "300"], Passing(keeps=False), 0.1)
    assert watch.begin() is None
    send, watch._send = watch._send, lambda number: None  # type: ignore[method-assign]
    first = watch.end()
    assert (first.is_running, first.timed_out, first.code) == (True, True, 137)
    send(signal.SIGKILL)
    second = watch.end()
    assert isinstance(second, Ending)
    return 3 if second.killed_by == signal.SIGKILL and not second.is_running else 4


def test_what_can_not_be_ended_is_told_of_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page does not wait for a process that hangs on a dead disk."""
    monkeypatch.setattr(watching, "GRACE_SECONDS", 0.1)
    assert in_a_child(stuck, b"")[0] == 3


def watched(script: str, is_full: bool) -> tuple[Watch, int]:
    """A shell that has ended by now, and the pipe behind standard output, which may be full."""
    source, target = os.pipe()
    for fd in (source, target):
        os.set_blocking(fd, False)
    if is_full:
        os.write(target, bytes(1 << 20))
    os.dup2(target, 1)
    watch = Watch(["sh", "-c", script], Passing(keeps=True), None)
    assert watch.begin() is None
    os.waitid(os.P_PID, watch._pid, os.WEXITED | os.WNOWAIT)
    return watch, source


def test_the_last_words_go_out_before_anything_else() -> None:
    """Paging may take long."""

    def task() -> int:
        watch, source = watched("echo said; exit 3", is_full=False)
        code = watch.end().code
        return code if os.read(source, 100) == b"said\n" else 9

    assert in_a_child(task, b"") == (3, b"", b"")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_a_signal_ends_the_wait_for_who_does_not_read(number: signal.Signals) -> None:
    """The exit code is the command's own all the same."""

    def task() -> int:
        watch, _ = watched("echo said; exit 3", is_full=True)
        code = watch.end().code
        late = threading.Timer(60, os._exit, [9])
        late.start()
        os.kill(os.getpid(), number)
        watch.pass_on()
        return code

    assert in_a_child(task, b"") == (3, b"", b"")


def test_other_signals_do_not_end_that_wait() -> None:
    """Nor does one that was ignored from the start."""

    def task() -> int:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        watch, source = watched("echo said; exit 3", is_full=True)
        code = watch.end().code
        for number in (signal.SIGHUP, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        reader = threading.Timer(0.2, os.read, [source, 1 << 20])
        reader.start()
        watch.pass_on()
        return code if os.read(source, 100) == b"said\n" else 9

    assert in_a_child(task, b"") == (3, b"", b"")


def test_more_signals_than_can_be_noted() -> None:
    """They are lost, and nobody is told of each."""

    def task() -> int:
        watch = Watch(["true"], Passing(keeps=True), None)
        assert watch.begin() is None
        os.write(watch._woken, bytes(1 << 20))
        os.kill(os.getpid(), signal.SIGUSR1)
        return watch.end().code

    assert in_a_child(task, b"") == (0, b"", b"")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_what_a_terminal_sends_to_both_is_not_handed_on(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second ^C means something else to many a command. What others send is handed on."""
    monkeypatch.setattr(watching, "_is_in_foreground", lambda: True)

    def task() -> int:
        watch = Watch(["sleep", "0.5"], Passing(keeps=False), None)
        assert watch.begin() is None
        os.kill(os.getpid(), number)
        return watch.end().code

    assert in_a_child(task, b"") == (code, b"", b"")


def test_what_a_terminal_sends_is_handed_on_to_another_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where pd-send has come to the foreground since it started the command."""
    here: list[bool] = []
    monkeypatch.setattr(watching, "_is_in_foreground", lambda: bool(here))

    def task() -> int:
        watch = Watch(["sleep", "20"], Passing(keeps=False), 1000.0)
        assert watch.begin() is None
        here.append(True)
        os.kill(os.getpid(), signal.SIGINT)
        return watch.end().code

    assert in_a_child(task, b"") == (130, b"", b"")
