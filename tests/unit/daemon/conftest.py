"""A bench to handle events on, as a fixture."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.events_api import EventsApi
from tests.unit.daemon.bench import Bench


@pytest.fixture
def bench(tmp_path: Path, api: EventsApi) -> Iterator[Bench]:
    made = Bench(tmp_path, events_url=api.url)
    yield made
    made.handling.path.abort_all()
