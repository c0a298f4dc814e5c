"""Fixtures that bring the real parts: an Events API and an agent."""

from collections.abc import Iterator

import pytest

from tests.support.agent import Agent, directory
from tests.support.events_api import EventsApi


@pytest.fixture
def api() -> Iterator[EventsApi]:
    with EventsApi() as api:
        yield api


@pytest.fixture
def agent(api: EventsApi) -> Iterator[Agent]:
    """An agent that sends to `api`; its daemon is not started yet. Whatever a test does with it, no
    integration key may show in what it logs and says."""
    with directory() as root, Agent(root, api.url) as agent:
        yield agent
        assert agent.shown_keys({request.key for request in api.requests}) == []
