"""The heartbeat: only where somebody asked for it."""

import json

from tests.support.agent import Agent
from tests.support.events import KEY
from tests.support.events_api import EventsApi

PATH = "/agent/2014-03-14/heartbeat"


def test_off_by_default(api: EventsApi, agent: Agent) -> None:
    """Nobody is told that the agent runs."""
    agent.configure(events_url=api.url, heartbeat_url=api.url + PATH)
    agent.start()
    agent.send(KEY, "trigger", "-d", "x")
    api.wait_accepted(1)
    assert agent.stop() == 0
    assert [request.path for request in api.requests] == ["/v2/enqueue"]


def test_opt_in(api: EventsApi, agent: Agent) -> None:
    """With `heartbeat = on` PagerDuty is told what the old agent told it, and no more."""
    agent.configure(events_url=api.url, heartbeat="on", heartbeat_url=api.url + PATH)
    agent.start()
    [request] = api.wait_for(1)
    assert (request.method, request.path) == ("POST", PATH)
    beat = json.loads(request.body)
    assert beat["agent_id"] == (agent.data_dir / "db/agent_id.txt").read_text().strip()
    assert beat["agent_version"].startswith("3.")
    assert set(beat) == {"agent_id", "agent_version", "agent_stats", "system_info"}
    assert agent.stop() == 0


def test_its_failure_harms_nothing(api: EventsApi, agent: Agent) -> None:
    """A heartbeat that nobody takes delays neither events nor a stop."""
    agent.configure(events_url=api.url, heartbeat="on", heartbeat_url="http://127.0.0.1:1")
    agent.start()
    agent.send(KEY, "trigger", "-d", "x")
    api.wait_accepted(1)
    assert agent.stop() == 0
