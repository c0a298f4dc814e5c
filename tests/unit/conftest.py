"""What several unit tests stand on: a spool on a real disk, and a client."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from hypothesis import settings

from pdagent.queue import opening
from tests.support.calls import Calls

# no deadline: a busy machine is not a bug
settings.register_profile("unit", deadline=None, max_examples=60)
settings.load_profile("unit")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty spool."""
    spool = tmp_path / "outqueue"
    for name in ("tmp", "pdq", "suc", "err", "expect", "expected"):
        (spool / name).mkdir(parents=True)
    return spool


@pytest.fixture
def opening_calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The calls of the system with which files are opened and read: a test may have them fail."""
    calls = Calls(os)
    monkeypatch.setattr(opening, "os", calls)
    return calls


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """A client that looks at nothing in the environment."""
    with requests.Session() as session:
        session.trust_env = False
        yield session
