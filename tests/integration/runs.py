"""Runs of commands by `pd-send run`, for tests, and what came of them."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.agent import Agent
from tests.support.events import KEY
from tests.support.users import SENDER, User

Done = subprocess.CompletedProcess[bytes]


def run(agent: Agent, *words: str, user: User = SENDER, under: Sequence[str] = ()) -> Done:
    return agent.run("pd-send", "run", "-k", KEY, *words, user=user, under=under)


def begun(agent: Agent, *words: str, **how: object) -> "subprocess.Popen[bytes]":
    """A run that goes on."""
    command = [*agent.command("pd-send"), "--config", str(agent.conf), "run", "-k", KEY, *words]
    return subprocess.Popen(
        command,
        cwd=agent.root,
        env=agent.environment,
        stdin=subprocess.DEVNULL,
        **{**SENDER.popen(), **how},
    )


def events(agent: Agent) -> list[dict[str, object]]:
    """The bodies that are pending, in order."""
    return [json.loads((agent.spool / "pdq" / name).read_bytes()) for name in agent.names("pdq")]


def actions(agent: Agent) -> list[object]:
    return [event["event_action"] for event in events(agent)]


def page(agent: Agent) -> tuple[str, dict[str, object]]:
    """The summary and the details of the one event."""
    [event] = events(agent)
    payload = event["payload"]
    assert isinstance(payload, dict)
    return payload["summary"], payload["custom_details"]


def files(agent: Agent) -> list[str]:
    return os.listdir(agent.spool / "jobs")


def child_of(pid: int) -> int:
    [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def command_of(pid: int) -> str:
    """The name of a process's child, once it has one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return Path(f"/proc/{children[0]}/comm").read_text().strip() if children else ""


def state(pid: int) -> str:
    """As ps has it: R, S, T..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
