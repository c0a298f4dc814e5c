"""pd-queue on a terminal: what a person sees, types, and is left with."""

import re
import signal
from collections.abc import Callable

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, enqueue
from tests.support.events_api import Answer, EventsApi
from tests.support.terminals import Terminal

OnTerminal = Callable[..., Terminal]
COLOUR = re.compile(rb"\033\[[0-9;]+m")


@pytest.fixture
def on_terminal(agent: Agent) -> OnTerminal:
    """Runs pd-queue on a terminal."""

    def run(*arguments: str, columns: int = 100, rows: int = 30, **environment: str) -> Terminal:
        command = [*agent.command("pd-queue"), "--config", str(agent.conf), *arguments]
        return Terminal(command, {**agent.environment, **environment}, columns, rows)

    return run


# purge


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1), ("\n", 1), ("\x04", 1)])
def test_purge_asks(agent: Agent, on_terminal: OnTerminal, answer: str, left: int) -> None:
    """It shows what it would remove, and takes nothing but a yes for one."""
    enqueue(agent, KEY, "x", "Server is \x1b[2Jon fire")
    with on_terminal("purge", "-a") as terminal:
        terminal.until("[y/N]")
        assert "Server is \\u001b[2Jon fire" in terminal.text
        assert "Remove 1 pending for good? Pending events will not reach PagerDuty" in terminal.text
        terminal.type(answer)
        assert terminal.end() == 0
        said = "Nothing was removed." if left else "1 event(s) removed."
        assert said in terminal.text
    assert len(agent.names("pdq")) == left


def test_purge_interrupted(agent: Agent, on_terminal: OnTerminal) -> None:
    """Ctrl-C is no yes."""
    enqueue(agent, KEY, "x", "x")
    with on_terminal("purge", "-a") as terminal:
        terminal.until("[y/N]")
        terminal.type("\x03")
        assert terminal.end() == 130
    assert len(agent.names("pdq")) == 1


# watch


def test_watch_follows(api: EventsApi, agent: Agent, on_terminal: OnTerminal) -> None:
    """Events, holds and the daemon itself come and go; lines are cut to the window, and cut anew
    when that changes; q ends it, and leaves nothing behind."""
    api.always(KEY, Answer(429, retry_after=110))
    with on_terminal("watch") as terminal:
        terminal.until("pdagentd is NOT running")
        agent.start()
        terminal.until("pdagentd is running")
        enqueue(agent, KEY, "x", "\x1b]0;own\x07fire")
        terminal.until("\\u001b]0;own\\u0007fire")
        terminal.until("held: key *0617: throttled: PagerDuty answered 429, since ")
        assert len(terminal.lines) == 30
        terminal.until_line(29, "q quits")
        assert terminal.screen.cursor.hidden
        assert COLOUR.search(terminal.raw)
        terminal.resize(40, 12)
        terminal.until_line(11, "q quits")
        assert all(len(line) <= 40 for line in terminal.lines)
        terminal.type("q")
        assert terminal.end() == 0
        assert terminal.is_sane
        assert b"\033]" not in terminal.raw
        assert KEY.encode() not in terminal.raw
        # terminals, unlike the emulator here, would clear the last column of a full line
        assert not re.search(rb"[^\nH]\033\[K", terminal.raw)


def test_watch_on_a_narrow_screen(agent: Agent, on_terminal: OnTerminal) -> None:
    """Each event can still be told from others: by the beginning of its summary, or by what it
    does where it has none; what is held is told to its end."""
    enqueue(agent, KEY, "disk/db1", "Disk is full")
    agent.send(KEY, "resolve", "-i", "disk/db1")
    with on_terminal("watch", columns=72, rows=14) as terminal:
        terminal.until("disk/db1     Disk is f~")
        terminal.until("disk/db1     resolve")
        assert "      start" in terminal.lines  # pdagentd, which is not running


def refuse(api: EventsApi, agent: Agent, number: int) -> list[str]:
    """Has PagerDuty refuse events for their integration key; their names."""
    answer = {"status": "invalid event", "message": "Invalid", "errors": ["routing key " * 9]}
    api.always(KEY, Answer(400, body=answer))
    agent.start()
    for each in range(number):
        enqueue(agent, KEY, f"incident-{each}", "Disk of the database server is full")
    wait_until(lambda: len(agent.names("err")) == number)
    return agent.names("err")


REASON = " ".join(["routing key"] * 9)


def test_a_reason_is_readable_on_80_columns(
    api: EventsApi, agent: Agent, on_terminal: OnTerminal
) -> None:
    """list, show and watch have all of it, in lines of their own, and say it once; what to do
    about a wrong key is there, and what does not fit is counted."""
    names = refuse(api, agent, 5)
    with on_terminal("list", columns=80, rows=40) as terminal:
        assert terminal.end() == 0
        assert REASON in " ".join(terminal.text.split())
        assert terminal.text.count("\n                 as above") == 4
        assert "sudo pd-queue retry EVENT --to-key KEY" in " ".join(terminal.text.split())
    with on_terminal("show", names[0][:16], columns=80, rows=50) as terminal:
        assert terminal.end() == 0
        said = " ".join(terminal.text.split())
        assert f"Reason Invalid; {REASON}" in said
        assert f"sudo pd-queue retry {names[0][:16]} --to-key KEY" in said
        assert not any(line[:11].strip() for line in terminal.lines[3:5])
    with on_terminal("watch", columns=80, rows=16) as terminal:
        terminal.until("and 4 more in error")
        assert terminal.lines[1] == "0 pending, 5 in error, 0 delivered; pdagentd is running"
        assert REASON in " ".join(terminal.text.split())
        terminal.type("q")
        assert terminal.end() == 0


def test_the_names_of_keys_are_in_columns(agent: Agent, on_terminal: OnTerminal) -> None:
    """As long as the longest name that there is, or as a narrow terminal has room for."""
    with agent.conf.open("a") as file:
        file.write(f"[Keys]\nnightly_backups = {KEY}\n")
    for key in ("@nightly_backups", KEY, "@a_name_that_nobody_has"):
        enqueue(agent, key, "x", "x")
    for columns, name in (
        (None, "@nightly_backups"),
        (120, "@nightly_backups"),
        (80, "@nightly_bac~"),
    ):
        if columns is None:
            lines = agent.run("pd-queue", "list", check=True).stdout.decode().splitlines()
        else:
            with on_terminal("list", columns=columns) as terminal:
                assert terminal.end() == 0
                lines = terminal.lines[:4]
        heading, first, second, third = lines
        assert first[heading.index("KEY") :].startswith(f"{name} ")
        at = heading.index("NEXT") + 3
        assert {line[at] for line in (first, second)} == {"-"}
        assert columns is None or third[at] == "-"
    with on_terminal("watch", columns=80) as terminal:
        terminal.until("PENDING")
        terminal.until("@nightly_bac~")
        terminal.type("q")
        assert terminal.end() == 0


def test_status_on_a_terminal(agent: Agent, on_terminal: OnTerminal) -> None:
    """A person sees below the table what keeps events back."""
    enqueue(agent, KEY, "x", "x")
    with on_terminal("status") as terminal:
        terminal.until("\n\nHeld:\n  1 pending, as pdagentd is not running. Use: sudo service")
        assert terminal.end() == 0


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_watch_ends(
    agent: Agent, on_terminal: OnTerminal, number: signal.Signals, code: int
) -> None:
    """However it is ended, the terminal is as it was."""
    with on_terminal("watch", NO_COLOR="1") as terminal:
        terminal.until("q quits")
        assert not COLOUR.search(terminal.raw)
        terminal.process.send_signal(number)
        assert terminal.end() == code
        assert terminal.is_sane


def test_watch_on_a_dumb_terminal(agent: Agent, on_terminal: OnTerminal) -> None:
    """Lines, without a single escape sequence."""
    with on_terminal("watch", TERM="dumb") as terminal:
        terminal.until("0 pending, 0 in error, 0 delivered")
        terminal.type("\x03")
        assert terminal.end() == 130
        assert b"\033" not in terminal.raw
