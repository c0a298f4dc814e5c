"""The commands, and relays, as fixtures."""

from collections.abc import Iterator

import pytest

from tests.integration.queues import Queue
from tests.integration.relays import WEB1, Relay
from tests.integration.senders import Said, Sender, problem
from tests.support.agent import Agent, directory
from tests.support.events import KEY
from tests.support.events_api import EventsApi
from tests.support.users import SENDER


@pytest.fixture
def pd_send(agent: Agent) -> Sender:
    """Runs pd-send; gives its exit code, stdout, and the last line of stderr but for the usage."""

    def run(*arguments: str | bytes, **environment: str) -> Said:
        result = agent.run("pd-send", *arguments, user=SENDER, environment=environment)
        return result.returncode, result.stdout.decode(), problem(result.stderr)

    return run


@pytest.fixture
def queue(agent: Agent) -> Queue:
    """Runs pd-queue; gives stdout, and stderr behind it."""

    def run(*arguments: str, code: int = 0) -> str:
        result = agent.run("pd-queue", *arguments)
        said = (result.stdout + result.stderr).decode()
        assert result.returncode == code, said
        assert KEY not in said or arguments[0] == "status"
        return said

    return run


@pytest.fixture
def relay(api: EventsApi, agent: Agent) -> Iterator[Relay]:
    relay = Relay(agent, api)
    agent.start()
    yield relay
    assert WEB1 not in agent.log + agent.said


@pytest.fixture
def sender(relay: Relay, api: EventsApi) -> Iterator[Agent]:
    """An agent on another host, so to say, that has no way but the relay. Its name there: web1."""
    with directory() as root, Agent(root, api.url) as sender:
        token = root / "token"
        token.write_text(WEB1 + "\n")
        relay.own(token)
        sender.configure(
            events_url=relay.url,
            ca_file=relay.ca.ca_file,
            events_token_file=token,
            backoff_interval_secs=1,
            send_interval_secs=1,
        )
        yield sender
        assert WEB1 not in sender.log + sender.said
