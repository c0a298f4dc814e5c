"""A queue, and the expectations that page through it, as fixtures."""

from pathlib import Path

import pytest

from pdagent.queue.expected import Expected
from tests.unit.queue.expectations import Queue, begun


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def expected(root: Path, queue: Queue) -> Expected:
    return begun(root, queue)
