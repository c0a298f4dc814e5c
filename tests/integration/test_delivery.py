"""From pd-send to the Events API, with real processes."""

from tests.support.agent import Agent, wait_until
from tests.support.events_api import EventsApi


def test_what_is_sent_arrives(api: EventsApi, agent: Agent) -> None:
    """Trigger, acknowledge, resolve: in order, each once, and counted as delivered."""
    agent.start()
    agent.send("KEY1", "trigger", "-d", "Server is on fire", "-i", "fire", "-f", "rack=7")
    agent.send("KEY1", "acknowledge", "-i", "fire")
    agent.send("KEY1", "resolve", "-i", "fire")
    assert api.wait_for(3)
    bodies = [request.event for request in api.requests]
    assert [body["event_action"] for body in bodies if body] == [
        "trigger",
        "acknowledge",
        "resolve",
    ]
    wait_until(lambda: len(agent.names("suc")) == 3)
    assert agent.names("pdq") == []
    status = agent.run("pd-queue", "status", check=True).stdout.decode()
    assert status.splitlines()[2] == f"{'KEY1':<35}{0:>10}{3:>10}{0:>10}"
