"""Fixtures that bring the real parts: an Events API and an agent."""

import signal
from collections.abc import Iterator

import pytest

from tests.support.agent import Agent, directory
from tests.support.events_api import CertificateAuthority, EventsApi


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="all faults instead of a choice of them")


def pytest_configure() -> None:
    # A job in the background starts with these ignored, as nohup ignores the third, and so does
    # whoever is started by it: some tests send them. What is handled is not ignored in a child.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)


@pytest.fixture
def api() -> Iterator[EventsApi]:
    with EventsApi() as api:
        yield api


@pytest.fixture
def authority() -> Iterator[CertificateAuthority]:
    """Whom the agent can be told to trust."""
    with directory() as root:
        yield CertificateAuthority(str(root))


@pytest.fixture
def tls_api(authority: CertificateAuthority) -> Iterator[EventsApi]:
    """An Events API that speaks TLS."""
    with EventsApi(tls=authority) as api:
        yield api


@pytest.fixture
def agent(api: EventsApi) -> Iterator[Agent]:
    """An agent that sends to `api`; its daemon is not started yet. Whatever a test does with it, no
    integration key may show in what it logs and says."""
    with directory() as root, Agent(root, api.url) as agent:
        agent.in_order = True
        agent.configure(events_url=api.url)
        yield agent
        assert agent.shown_keys({request.key for request in api.requests}) == []
