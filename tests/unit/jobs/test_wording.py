"""How a command ended is said so that somebody who was woken up understands it."""

import pytest

from pdagent.jobs import wording
from pdagent.jobs.watching import Ending


@pytest.mark.parametrize(
    ("ending", "says"),
    [
        (Ending(3, 41.2), "exit 3 after 41 s"),
        (Ending(3, 0.04), "exit 3 after 0.0 s"),
        (Ending(1, 600.0), "exit 1 after 10 min"),
        (Ending(1, 11_100.0), "exit 1 after 3 h 5 min"),
        (Ending(137, 5.0, killed_by=9), "killed by SIGKILL after 5.0 s"),
        (Ending(128 + 40, 5.0, killed_by=40), "killed by signal 40 after 5.0 s"),
        (Ending(127, 0.0, problem="not found"), "not found (exit 127)"),
        (Ending(124, 90.0, timed_out=True), "timed out after 90 s"),
        (
            Ending(143, 90.0, killed_by=15, timed_out=True),
            "timed out after 90 s, killed by SIGTERM",
        ),
        (
            Ending(137, 110.0, timed_out=True, is_running=True),
            "timed out, and still runs after 110 s: SIGKILL does not end it",
        ),
    ],
)
def test_how_it_ended(ending: Ending, says: str) -> None:
    """A failure is told by its exit code, its signal, or how long it ran."""
    assert wording.how(ending) == says
    assert ending.failed


def test_what_was_written() -> None:
    """The last lines, without what a terminal obeys, and none longer than a person reads."""
    assert wording.last_lines(b"a\nb\nc\n", 2) == "b\nc"
    assert wording.last_lines(b"a\r\nb", 5) == "a\nb"
    assert wording.last_lines(b"", 5) == ""
    assert wording.last_lines(b"a\n", 0) == ""
    assert wording.last_lines(b"\x1b[1;31mred\x1b[0m\x1b]0;t\x1b\\.\x07", 5) == "red.?"
    assert wording.last_lines(b"\x1b]no end\nerror\n", 5) == "error"
    assert wording.last_lines(b"1%\r2%\r", 5) == "2%"
    assert wording.last_lines("\u202egnp".encode(), 5) == "?gnp"
    assert len(wording.last_lines(b"x" * 5000, 5)) == wording.LINE_CHARS


def test_the_command() -> None:
    """As somebody would type it; what it is called is short, and can be printed."""
    assert wording.written(["sh", "-c", "a b"]) == "sh -c 'a b'"
    assert len(wording.written(["x" * 10_000])) == wording.COMMAND_CHARS
    assert wording.name_of(["/usr/bin/back\nup"]) == "back?up"
    assert wording.name_of(["/"]) == "/"
    assert wording.name_of([""]) == "''"
