"""`pdagent check` as tests read it: its exit code and its lines."""

import json
from dataclasses import dataclass

from tests.support.agent import Agent
from tests.support.users import User


@dataclass(frozen=True, slots=True)
class Line:
    """One finding."""

    level: str
    subject: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Looked:
    """What one check said."""

    code: int
    lines: tuple[Line, ...]
    result: str


def looked(agent: Agent, *arguments: str, user: User | None = None) -> Looked:
    """Runs the check. It says nothing on stderr, and each line that is wrong has a remedy."""
    done = agent.run("pdagent", "check", "--json", *arguments, user=user)
    assert done.stderr == b"", done.stderr
    said = json.loads(done.stdout)
    lines = tuple(Line(**each) for each in said["findings"])
    assert all(line.remedy for line in lines if line.level in ("warning", "failed")), lines
    return Looked(done.returncode, lines, said["result"])
