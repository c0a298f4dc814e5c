"""What the daemon tells of itself, to whoever asks on this host."""

import os

import pytest

from pdagent.config import load
from pdagent.queue.condition import Condition, read
from tests.support.agent import Agent, wait_until
from tests.support.events import KEY
from tests.support.events_api import Answer, EventsApi
from tests.support.users import ROOT, SENDER

needs_root = pytest.mark.skipif(not ROOT, reason="needs root: several users")


def told(agent: Agent) -> Condition:
    """Asks, as a sender may, and gives the answer."""
    settings, _ = load(str(agent.conf))
    before = read(settings)
    fd = os.open(agent.data_dir / "db/wake", os.O_WRONLY | os.O_NONBLOCK)
    os.write(fd, b"\n")
    os.close(fd)
    wait_until(lambda: (now := read(settings)) is not None and now != before)
    found = read(settings)
    assert found is not None
    return found


def test_anybody_may_read_it(api: EventsApi, agent: Agent) -> None:
    """It is fresh after an empty line on the FIFO, says what waits and why, names no key and
    nothing of an event; and it is gone with the daemon."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    api.stop()
    agent.start()
    assert told(agent).pending == 0
    agent.send(KEY, "trigger", "-d", "of nobody's concern", "-i", "my own")
    wait_until(lambda: told(agent).unreachable)
    found = told(agent)
    assert found.pending == 1
    assert "Connection refused" in found.unreachable
    path = agent.root / "run/condition"
    assert path.stat().st_mode & 0o777 == 0o644
    text = path.read_text()
    for secret in (KEY, KEY[-4:], "concern", "my own"):
        assert secret not in text
    api.start()
    # What is held is told a moment after what is delivered.
    wait_until(lambda: told(agent).delivered and not told(agent).unreachable)
    agent.stop()
    assert not path.exists()


def test_causes(api: EventsApi, agent: Agent) -> None:
    """What PagerDuty throttles, what it fails on and what has no key are told apart."""
    other = KEY[::-1]
    api.always(KEY, Answer(429, retry_after=100))
    api.always(other, Answer(503))
    agent.configure(events_url=api.url, send_interval_secs=1)
    agent.start()
    agent.send(KEY, "trigger", "-d", "x")
    agent.send(other, "trigger", "-d", "x")
    agent.drop("1000_@nobody.txt", b'{"routing_key": "@nobody", "event_action": "trigger"}')
    wait_until(lambda: set(told(agent).holds) == {"throttled", "failing", "unnamed"})


@needs_root
def test_it_says_at_once_what_it_cannot_read(api: EventsApi, agent: Agent) -> None:
    """A queue that somebody took away from the service: the log says so within a moment of the
    next pd-send, and once; when it is there again, that too."""
    agent.configure(events_url=api.url, send_interval_secs=3600)
    agent.start()
    os.chown(agent.spool / "pdq", 0, 0)
    (agent.spool / "pdq").chmod(0o733)
    agent.send(KEY, "trigger", "-d", "x")
    line = f"the service cannot write {agent.spool}/pdq: Permission denied. "
    wait_until(lambda: line in agent.log)
    wait_until(lambda: told(agent).troubles)  # one that was told of before may come in between
    [trouble] = told(agent).troubles
    assert (trouble.kind, trouble.path) == ("queue", str(agent.spool / "pdq"))
    for _ in range(3):
        told(agent)
    assert agent.log.count(line) == 1
    os.chown(agent.spool / "pdq", SENDER.uid + 1, SENDER.gid)
    (agent.spool / "pdq").chmod(0o777)
    wait_until(lambda: told(agent).troubles == ())
    wait_until(lambda: "no longer so: the service cannot write" in agent.log)


def test_a_run_dir_that_cannot_be_written(api: EventsApi, agent: Agent) -> None:
    """Nobody is told then, and pages go out all the same."""
    (agent.root / "file").touch()
    agent.configure(events_url=api.url, run_dir=agent.root / "file")
    agent.start()
    agent.send(KEY, "trigger", "-d", "x")
    api.wait_accepted(1)
    wait_until(lambda: "cannot write" in agent.log)
    assert agent.stop() == 0
