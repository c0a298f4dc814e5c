"""A queue, and the expectations that page through it, as fixtures."""

from pathlib import Path

import pytest

from pdagent.queue.expected import Expected
from pdagent.queue.state import State
from tests.unit.queue.expectations import Queue, begun


@pytest.fixture
def state(root: Path) -> State:
    (root.parent / "db").mkdir()
    return State(str(root.parent))


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def expected(root: Path, queue: Queue) -> Expected:
    return begun(root, queue)
