"""The frozen program, for tests that are about it: `make freeze` builds it."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.agent import Agent, Command, directory, from_program
from tests.support.events_api import EventsApi

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "build" / "freeze" / "pdagent"
ARM64_PROGRAM = ROOT / "build" / "freeze-arm64" / "pdagent"

needs_program = pytest.mark.skipif(
    not PROGRAM.exists(), reason="build/freeze/pdagent is not there: run 'make freeze'"
)


def one_file() -> bool:
    """Whether it was built on our own runtime; the stock one is a directory."""
    return PROGRAM.exists() and not (PROGRAM.parent / "_internal").exists()


needs_one_file = pytest.mark.skipif(
    not one_file(), reason="build/freeze/pdagent is not the one-file program: run 'make freeze'"
)

needs_arm64_program = pytest.mark.skipif(
    not ARM64_PROGRAM.exists(), reason="build/freeze-arm64 is not there: run 'make freeze'"
)


_copies: list["tempfile.TemporaryDirectory[str]"] = []  # kept until the process ends


@cache
def command(program: Path = PROGRAM) -> Command:
    """How to run a command from the frozen program, by any user: a checkout may lie where only its
    owner can go, so what runs is a copy."""
    copy = tempfile.TemporaryDirectory(prefix="pdagent-program-")
    _copies.append(copy)
    os.chmod(copy.name, 0o755)
    shutil.copytree(program.parent, copy.name, dirs_exist_ok=True)
    return from_program(Path(copy.name) / program.name)


@contextlib.contextmanager
def on_its_own(api: EventsApi) -> Iterator[Agent]:
    """An agent of which all commands are the frozen program, in a directory that it shares with
    nobody."""
    with directory() as root:
        program = root / "program"
        shutil.copytree(PROGRAM.parent, program)
        with Agent(root, api.url, from_program(program / "pdagent")) as agent:
            yield agent
