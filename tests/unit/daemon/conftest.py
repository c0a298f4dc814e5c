"""A bench to handle events on, and a crew of workers, as fixtures."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.events_api import EventsApi
from tests.unit.daemon.bench import Bench
from tests.unit.daemon.crew import Crew


@pytest.fixture
def bench(tmp_path: Path, api: EventsApi) -> Iterator[Bench]:
    made = Bench(tmp_path, events_url=api.url)
    yield made
    made.handling.path.abort_all()


@pytest.fixture
def crew(tmp_path: Path, api: EventsApi) -> Iterator[Crew]:
    crew = Crew(tmp_path, api.url)
    yield crew
    crew.workers.stop(5.0)
