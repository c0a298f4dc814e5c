"""Nobody gets in: local users may add events, and nothing else."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY
from tests.support.events_api import Answer, EventsApi
from tests.support.users import STRANGER

pytestmark = pytest.mark.needs_root


def stranger(script: str, *arguments: str | Path) -> "subprocess.CompletedProcess[bytes]":
    """Runs a shell command as somebody who has nothing to do with the agent."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *map(str, arguments)], capture_output=True, **STRANGER.popen()
    )


@pytest.mark.parametrize("directory", ["pdq", "tmp", "jobs", "suc", "err", "expect", "expected"])
def test_nobody_lists(agent: Agent, directory: str) -> None:
    """What is queued, by whom, for which key: no directory of the spool tells."""
    agent.send(KEY, "trigger", "-d", "x")
    assert b"Permission denied" in stranger('ls "$1"', agent.spool / directory).stderr


@pytest.mark.parametrize(
    "attempt",
    [
        'cat "$1"',
        'echo x >> "$1"',
        'rm -f "$1"',
        'mv "$1" "$1.moved"',
        'mv "$2/mine" "$1"',
        'ln "$1" "$2/link"',
        'chmod 777 "$1"',
    ],
)
def test_nobody_touches_what_is_not_theirs(agent: Agent, attempt: str) -> None:
    """A stranger who guesses a file's name can't read, change, remove, rename or replace it."""
    agent.send(KEY, "trigger", "-d", "x")
    [name] = agent.names("pdq")
    path = agent.spool / "pdq" / name
    before = path.read_bytes()
    (agent.root / "strangers").mkdir(mode=0o777)
    (agent.root / "strangers").chmod(0o777)
    stranger('echo mine > "$1/mine"', agent.root / "strangers")
    assert stranger(attempt, path, agent.root / "strangers").returncode != 0
    assert agent.names("pdq") == [name]
    assert path.read_bytes() == before


@pytest.mark.parametrize("directory", ["suc", "err", "expected"])
def test_nobody_adds_to_what_is_settled(agent: Agent, directory: str) -> None:
    """Delivered and refused events are the agent's alone."""
    assert stranger('echo x > "$1/1_KEY.txt"', agent.spool / directory).returncode != 0


def test_nobody_reads_what_was_settled(api: EventsApi, agent: Agent) -> None:
    """Delivered events, events in error and their reasons stay private under names that are
    known."""
    api.script(KEY, Answer(400))
    agent.start()
    agent.send(KEY, "trigger", "-d", "refused")
    agent.send(KEY, "trigger", "-d", "delivered")
    wait_until(lambda: agent.names("suc") and agent.names("err"))
    [delivered], [refused] = agent.names("suc"), agent.names("err")
    for path in (
        agent.spool / "suc" / delivered,
        agent.spool / "err" / refused,
        agent.data_dir / "db" / "reasons" / refused,
    ):
        assert path.exists()
        assert b"Permission denied" in stranger('cat "$1"', path).stderr
    assert b"Permission denied" in stranger('ls "$1"', agent.data_dir / "db" / "reasons").stderr
    assert b"Permission denied" in stranger('cat "$1"', agent.log_file).stderr


def test_nobody_reads_the_wakes(agent: Agent) -> None:
    """The FIFO takes wakes from everybody, and gives them to nobody but the daemon."""
    agent.start()
    assert b"Permission denied" in stranger('cat "$1"', agent.data_dir / "db/wake").stderr
    assert stranger('rm "$1"', agent.data_dir / "db/wake").returncode != 0
    assert stranger('echo x > "$1/daemon.lock"', agent.data_dir / "db").returncode != 0


def test_old_directories_get_their_sticky_bit(agent: Agent) -> None:
    """An upgrade from the old agent's modes closes its doors at the daemon's start."""
    for directory in ("pdq", "tmp"):
        (agent.spool / directory).chmod(0o2753)
    agent.start()
    for directory in ("pdq", "tmp"):
        assert os.stat(agent.spool / directory).st_mode & 0o7777 == 0o3733
