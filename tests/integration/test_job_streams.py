"""What a command of `pd-send run` reads and prints, on a terminal too: as if nobody watched."""

import hashlib
import os
import resource
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.runs import begun, child_of, command_of, events, page, run, state
from tests.support.agent import Agent, wait_until
from tests.support.events import KEY
from tests.support.events_api import Answer, EventsApi
from tests.support.terminals import Terminal


def test_a_hundred_megabytes(agent: Agent) -> None:
    """Come through whole and in order; the page has the last lines."""
    script = "yes 0123456789 | head -c 104857600; echo the end; exit 1"
    process = begun(agent, "--output-lines", "2", "--", "sh", "-c", script, stdout=subprocess.PIPE)
    assert process.stdout is not None
    found = hashlib.sha256()
    size = 0
    while piece := process.stdout.read(1 << 20):
        found.update(piece)
        size += len(piece)
    expected = (b"0123456789\n" * (104857600 // 11 + 1))[:104857600] + b"the end\n"
    assert process.wait() == 1
    assert (size, found.digest()) == (len(expected), hashlib.sha256(expected).digest())
    assert page(agent)[1]["output"] == "0123456789\n0the end"


def test_a_slow_reader_slows_the_command_down(agent: Agent) -> None:
    """Nothing is kept for it in memory; who stops reading ends the command as ever."""
    script = "trap 'touch piped; exit 9' PIPE; while echo xxxxxxxxxxxxxxxx; do :; done; touch piped"
    agent.root.chmod(0o777)
    process = begun(agent, "--", "sh", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    wait_until(lambda: command_of(process.pid) == "sh" and is_blocked(child_of(process.pid)))
    assert resident(process.pid) < 60_000_000
    process.stdout.close()
    wait_until(lambda: (agent.root / "piped").exists())
    process.stderr.close()
    process.wait(timeout=60)


def is_blocked(pid: int) -> bool:
    """Whether a process waits for a pipe to be read."""
    return "pipe" in Path(f"/proc/{pid}/wchan").read_text() and state(pid) == "S"


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def test_streams_stay_apart_and_in_order(agent: Agent) -> None:
    """Where both go to one place, lines keep their order; else each goes to its own."""
    script = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done; exit 1"
    done = run(agent, "--", "sh", "-c", script)
    assert done.stdout == b"".join(b"out %d\n" % i for i in range(1, 6))
    assert done.stderr == b"".join(b"err %d\n" % i for i in range(1, 6))
    process = begun(
        agent, "--", "sh", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    both, _ = process.communicate(timeout=60)
    lines = "".join(f"out {i}\nerr {i}\n" for i in range(1, 6))
    assert both.decode() == lines
    output = events(agent)[1]["payload"]["custom_details"]["output"]  # type: ignore[index]
    assert output == lines.rstrip("\n")


def test_binary_output(agent: Agent) -> None:
    """Comes through byte for byte; the page has what can be read of it."""
    text = r"a\000\377\033[31mred\033[0m b\r 50%%\r100%%\nlast \033]0;title\007\342\202\254"
    script = f"printf '{text}'; exit 1"
    done = run(agent, "--", "sh", "-c", script)
    assert (
        done.stdout == b"a\0\xff\x1b[31mred\x1b[0m b\r 50%\r100%\nlast \x1b]0;title\x07\xe2\x82\xac"
    )
    assert page(agent)[1]["output"] == "100%\nlast \u20ac"


@pytest.mark.parametrize("closed", ["1", "2", "012"])
def test_closed_streams(agent: Agent, closed: str) -> None:
    """Stay closed for the command, and nothing else takes their place."""
    seen = agent.root / "seen"
    seen.touch()
    seen.chmod(0o666)
    closing = " ".join(f"{fd}>&-" for fd in closed)
    script = f"for fd in 0 1 2; do [ -e /proc/$$/fd/$fd ] && echo $fd >>{seen}; done; exit 1"
    done = run(agent, "--", "sh", "-c", script, under=["sh", "-c", f'"$0" "$@" {closing}'])
    assert done.returncode == 1
    assert set(seen.read_text().split()) == {"0", "1", "2"} - set(closed)
    assert len(events(agent)) == 1


def test_no_lines_and_no_pipe(agent: Agent) -> None:
    """With --output-lines 0 the command has our own streams."""
    process = begun(
        agent, "--output-lines", "0", "--", "sh", "-c", "readlink /proc/$$/fd/1; exit 1",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    ours = os.readlink(f"/proc/self/fd/{process.stdout.fileno()}")
    assert process.communicate(timeout=60)[0].decode().strip() == ours
    assert "output" not in page(agent)[1]


def test_a_full_disk_behind_stdout_is_the_commands_to_see(agent: Agent) -> None:
    """Else half a dump would look like a whole one."""
    with open("/dev/full", "wb") as full:
        process = begun(agent, "--", "sh", "-c", "echo x || exit 5", stdout=full)
        assert process.wait(timeout=60) == 5
    assert page(agent)[1]["exit"] == 5


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_a_file_is_the_commands_own(agent: Agent, mode: str) -> None:
    """The page has the last lines of standard error's, and only of this run."""
    log = agent.root / "log.txt"
    log.write_text("before\n")
    script = "readlink /proc/$$/fd/1; echo err >&2; exit 1"
    with log.open(mode) as file:
        process = begun(agent, "--", "sh", "-c", script, stdout=file, stderr=file)
        assert process.wait(timeout=60) == 1
    written = f"{log}\nerr"
    assert log.read_text() == ("before\n" if mode == "ab" else "") + written + "\n"
    assert page(agent)[1]["output"] == written


def test_data_in_a_file_are_not_for_a_page(agent: Agent) -> None:
    """Standard output that goes to a file of its own may be anything, such as a dump. The command
    need not be in it either."""
    with (agent.root / "dump").open("wb") as dump:
        process = begun(
            agent, "-f", "command=dump", "--", "sh", "-c", "echo private; echo err >&2; exit 1",
            stdout=dump, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.communicate(timeout=60)[1] == b"err\n"
    assert (agent.root / "dump").read_text() == "private\n"
    details = page(agent)[1]
    assert (details["output"], details["command"]) == ("err", "dump")


def test_output_that_nobody_wants_is_in_the_page(agent: Agent) -> None:
    """As with cron's >/dev/null 2>&1."""
    process = begun(
        agent, "--", "sh", "-c", "echo out; echo err >&2; exit 1",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.wait(timeout=60) == 1
    assert page(agent)[1]["output"] == "out\nerr"


def datagrams() -> tuple[int, int]:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return ends[0].detach(), ends[1].detach()


def packets() -> tuple[int, int]:
    return os.pipe2(os.O_DIRECT)


@pytest.mark.parametrize("made", [datagrams, packets])
def test_messages_stay_apart(agent: Agent, made: Callable[[], tuple[int, int]]) -> None:
    """Where each write is one, the command has our own stream, and the page has no lines of it."""
    reader, writer = made()
    script = "echo one; echo two; exit 1"
    process = begun(agent, "--", "sh", "-c", script, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert process.wait(timeout=60) == 1
    assert [os.read(reader, 100), os.read(reader, 100)] == [b"one\n", b"two\n"]
    os.close(reader)
    assert "output" not in page(agent)[1]


def test_children_are_not_waited_for(agent: Agent) -> None:
    """A child that goes on writing neither holds up the end nor loses what it writes."""
    agent.root.chmod(0o777)
    later = "while [ ! -e go ]; do sleep 0.05; done; echo later; echo and later"
    script = f"({later}) & echo now; exit 6"
    process = begun(agent, "--", "sh", "-c", script, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"now\n"
    assert process.wait(timeout=60) == 6
    assert len(events(agent)) == 1
    (agent.root / "go").touch()
    assert process.stdout.read() == b"later\nand later\n"


def test_a_child_that_ends_while_the_page_is_made(api: EventsApi, agent: Agent) -> None:
    """What it wrote comes through. Here the page takes long, since it is delivered directly."""
    (agent.spool / "pdq").rmdir()
    api.script(KEY, Answer(delay=2.0))
    process = begun(
        agent, "--", "sh", "-c", "(sleep 0.3; echo later) & echo now; exit 6",
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.communicate(timeout=60)[0] == b"now\nlater\n"
    assert process.returncode == 6


def test_a_terminal_stays_one(agent: Agent) -> None:
    """The command has it, ^C reaches it once, and ^Z stops both for the shell."""
    script = "test -t 0 && test -t 1 && test -t 2 && echo terminal; n=0; trap 'n=$((n+1))' INT;"
    script += "echo ready; while [ ! -e go ]; do sleep 0.05; done; echo got $n; exit 8"
    agent.root.chmod(0o777)
    here = f"cd {agent.root}; {script}"
    command = [*agent.command("pd-send"), "--config", str(agent.conf), "run", "-k", KEY, "--"]
    with Terminal([*command, "sh", "-c", here], agent.environment) as terminal:
        terminal.until("ready")
        assert "terminal" in "".join(terminal.lines)
        terminal.type("\x03")
        time.sleep(0.3)  # a second one, which must not come, would come now
        (agent.root / "go").touch()
        terminal.until("got 1")
        assert terminal.process.wait(timeout=60) == 8
    summary, details = page(agent)
    assert "exit 8" in summary
    assert "output" not in details


def test_a_question_on_the_terminal_can_be_answered(agent: Agent) -> None:
    """Such as ssh's for a password, wherever the streams go, and with a time-out too."""
    ask = "echo ask >/dev/tty; read answer </dev/tty; echo got $answer >/dev/tty; exit 8"
    command = [*agent.command("pd-send"), "--config", str(agent.conf), "run", "-k", KEY]
    command += ["--timeout", "1h", "--", "sh", "-c", ask]
    script = '"$@" </dev/null >/dev/null 2>&1'
    with Terminal(["sh", "-c", script, "sh", *command], agent.environment) as terminal:
        terminal.until("ask")
        terminal.type("yes\n")
        terminal.until("got yes")
        assert terminal.end() == 8
