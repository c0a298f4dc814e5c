"""Signals and time for a command of `pd-send run`."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.runs import (
    begun,
    child_of,
    command_of,
    page,
    run,
    state,
)
from tests.support.agent import Agent, beginning_with, wait_until

PR_SET_CHILD_SUBREAPER = 36


@pytest.mark.parametrize(
    "number",
    [
        *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT),
        *(signal.SIGPWR, signal.SIGABRT, signal.SIGRTMIN + 3),
    ],
)
def test_signals_are_handed_on(agent: Agent, number: int) -> None:
    """What somebody sends to pd-send reaches the command, which decides."""
    agent.root.chmod(0o777)
    script = f"trap 'echo got; exit 7' {int(number)}; echo ready; while :; do sleep 0.05; done"
    process = begun(agent, "--", "sh", "-c", script, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert process.stdout.read() == b"got\n"
    assert process.wait(timeout=60) == 7
    assert page(agent)[1]["exit"] == 7


def test_a_signal_that_kills(agent: Agent) -> None:
    """Is the command's end and not ours: the page goes out, with 128+n."""
    process = begun(agent, "--", "sleep", "1000")
    wait_until(lambda: command_of(process.pid) == "sleep")
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert page(agent)[1]["signal"] == "SIGTERM"


def test_what_a_command_leaves_behind_is_reaped(agent: Agent) -> None:
    """Where pd-send is its parent then, as the first process of a container is. Else zombies would
    fill the container's table of processes."""
    agent.root.chmod(0o777)
    count = "set -- $(cat /proc/$PPID/task/$PPID/children)"
    script = f"(sh -c 'while [ ! -e go ]; do sleep 0.05; done' &); {count}; [ $# = 2 ] || exit 9;"
    script += f"touch go; while [ $# = 2 ]; do sleep 0.05; {count}; done; exit 3"
    process = begun(agent, "--", "sh", "-c", script, preexec_fn=become_parent_of_orphans)
    assert process.wait(timeout=60) == 3


def become_parent_of_orphans() -> None:
    """prctl(2): the children's own children come to this process when their parents have ended."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def test_a_signal_that_comes_too_late(agent: Agent) -> None:
    """When the command has ended, the exit code is its own, also where Python is on its way out."""
    end = "{'__del__': lambda _, kill=os.kill, pid=os.getpid(): kill(pid, 15)}"
    late = f"import os, sys; sys.late = type('Late', (), {end})()"
    agent.command = beginning_with(late, "pd-send")
    for code in (0, 3):
        assert run(agent, "--", "sh", "-c", f"exit {code}").returncode == code


def test_ignored_signals_stay_ignored(agent: Agent) -> None:
    """As nohup wants it, and the command begins with the signals of any other."""
    script = 'trap \'\' HUP; exec "$0" "$@"'
    done = run(agent, "--", "grep", "^Sig[BI]", "/proc/self/status", under=["sh", "-c", script])
    masks = dict(line.split(":\t") for line in done.stdout.decode().splitlines())
    assert int(masks["SigBlk"], 16) == 0
    # Whoever runs the tests may have had others ignored.
    assert int(masks["SigIgn"], 16) == ignored() | 1 << (signal.SIGHUP - 1)


def ignored() -> int:
    """The signals that a command ignores which this process starts, as a mask."""
    looked = subprocess.run(
        ["grep", "^SigIgn", "/proc/self/status"], stdout=subprocess.PIPE, check=True
    )
    return int(looked.stdout.split()[1], 16)


def test_the_end_of_a_command_is_seen_whatever_is_blocked(agent: Agent) -> None:
    """Whoever starts pd-send may block SIGCHLD, such as a program that waits for it by signalfd."""

    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})

    # Nothing but its end can wake pd-send.
    script = "exec >&- 2>&-; sleep 0.5; exit 7"
    process = begun(agent, "--", "sh", "-c", script, preexec_fn=block)
    try:
        assert process.wait(timeout=60) == 7
    finally:
        process.kill()
    assert page(agent)[1]["exit"] == 7


def test_stopped_and_continued(agent: Agent) -> None:
    """SIGTSTP stops both, SIGCONT continues both."""
    # In a group of its own: the kernel stops nobody in a group without a parent, which this test's
    # may be (signal(7), setpgid(2): an orphaned process group).
    process = begun(agent, "--", "sh", "-c", "sleep 1000; :", process_group=0)
    wait_until(lambda: command_of(process.pid) == "sh")
    child = child_of(process.pid)
    wait_until(lambda: command_of(child) == "sleep")
    sleep = child_of(child)
    process.send_signal(signal.SIGTSTP)
    wait_until(lambda: state(process.pid) == "T" and state(child) == "T")
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: state(process.pid) == "S" and state(child) == "S")
    os.kill(child, signal.SIGKILL)
    assert process.wait(timeout=60) == 137
    os.kill(sleep, signal.SIGKILL)


def test_time_out(agent: Agent) -> None:
    """Ends the whole of it: a shell's children do not live on."""
    seconds = f"1234.{time.time_ns()}"  # nobody else's
    script = f"sleep {seconds} & wait; :"
    # Whoever runs the tests may have a terminal.
    done = run(agent, "--timeout", "1s", "--", "sh", "-c", script, under=["setsid", "--wait"])
    assert done.returncode == 128 + signal.SIGTERM
    wait_until(lambda: ["sleep", seconds] not in commands())
    summary, details = page(agent)
    assert re.search(r"timed out after \d", summary)
    assert details["signal"] == "SIGTERM"


def commands() -> list[list[str]]:
    """All processes' command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append(path.read_text(errors="replace").split("\0")[:-1])
    return found


def test_time_out_is_no_success(agent: Agent) -> None:
    """Whatever the command makes of SIGTERM: 124, as timeout(1) has it, in the place of 0."""
    script = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
    # by then the shell has set its trap, however busy the machine
    assert run(agent, "--timeout", "4", "--", "sh", "-c", script).returncode == 124
    assert "timed out after" in page(agent)[0]


@pytest.mark.parametrize("time", ["366d", "99999999999d"])
def test_a_time_out_may_be_far_away(agent: Agent, time: str) -> None:
    """The kernel waits for 24 days at once, and no longer."""
    done = run(agent, "--timeout", time, "--", "sh", "-c", "exit 4")
    assert (done.returncode, done.stderr) == (4, b"")
    assert page(agent)[1]["exit"] == 4
