"""Time is up: SIGTERM, then SIGKILL; and what not even that ends is told all the same."""

import signal

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
    assert first.is_running
    send(signal.SIGKILL)
    second = watch.end()
    assert isinstance(second, Ending)
    return 3 if second.killed_by == signal.SIGKILL and not second.is_running else 4


def test_what_can_not_be_ended_is_told_of_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page does not wait for a process that hangs on a dead disk."""
    monkeypatch.setattr(watching, "GRACE_SECONDS", 0.1)
    assert in_a_child(stuck, b"")[0] == 3
