"""The disk budget of a running agent: delivered events make way, and pending ones are spoken of."""

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, enqueue
from tests.support.events_api import Answer, EventsApi


def test_delivered_events_stay_within_bounds(api: EventsApi, agent: Agent) -> None:
    """A daemon keeps the newest of what it has delivered, without waiting for its clean-up."""
    agent.configure(events_url=api.url, send_interval_secs=1, max_delivered_events=3)
    agent.start()
    names = [enqueue(agent, KEY, "a", f"{number}") for number in range(8)]
    api.wait_accepted(8)
    wait_until(lambda: agent.names("suc") == names[-3:])


def test_many_pending_events_are_spoken_of(api: EventsApi, agent: Agent) -> None:
    """Once in the log, and by pd-queue status as long as it lasts; and when it is over."""
    agent.configure(
        events_url=api.url, send_interval_secs=1, pending_warning=3, backoff_interval_secs=1
    )
    api.always(KEY, Answer(429))
    for number in range(4):
        enqueue(agent, KEY, "a", f"{number}")
    agent.start()
    text = "4 events are pending, more than pending_warning = 3"
    wait_until(lambda: text in agent.log)
    status = agent.run("pd-queue", "status", check=True).stderr.decode().splitlines()
    assert status[-1] == f"Warning: {text}."
    api.always(KEY, None)
    api.wait_accepted(4)
    wait_until(lambda: "no longer many" in agent.log)
    assert agent.log.count(text) == 1
    assert b"Warning" not in agent.run("pd-queue", "status", check=True).stderr
