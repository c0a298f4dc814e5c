"""What the daemon remembers, damaged: set aside and said, never in the way."""

import json
import os
from pathlib import Path

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, enqueue
from tests.support.events_api import Answer, EventsApi
from tests.support.users import AGENT, ROOT

DAMAGED = {
    "empty": b"",
    "zeros": bytes(512),
    "cut off": b'{"failed_events_count": 6, "star',
    "not an object": b"[]\n",
    "not UTF-8": b"\xff\xfe",
    "nested": b"[" * 100_000,
}


def damage(agent: Agent, path: Path, data: bytes) -> None:
    if path.parent != agent.data_dir:
        agent.own(path.parent)
    path.write_bytes(data)
    if ROOT:
        os.chown(path, AGENT.uid, AGENT.gid)


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_state(api: EventsApi, agent: Agent, kind: str) -> None:
    """Empty or damaged files in db/, and the agent's id: it starts, delivers, keeps what it found
    beside, and says so once for each."""
    files = ["db/aggregates", "db/clock", "db/agent_id.txt"]
    for file in files:
        damage(agent, agent.data_dir / file, DAMAGED[kind])
    agent.start()
    agent.send(KEY, "trigger", "-d", "x")
    api.wait_accepted(1)
    wait_until(lambda: agent.log.count("is damaged") == 3)
    assert agent.stop() == 0
    for file in files:
        path = agent.data_dir / file
        assert (path.parent / f"{path.name}.damaged").read_bytes() == DAMAGED[kind]
    counted = json.loads((agent.data_dir / "db" / "aggregates").read_text())
    assert counted["successful_events_count"] == 1
    assert len((agent.data_dir / "db/agent_id.txt").read_text()) == 37


def test_the_old_agents_state(api: EventsApi, agent: Agent) -> None:
    """The old agent's counters go on, its id stays, and its other file harms nothing."""
    agent_id = "0d6eee92-9cbb-4c4f-9d52-9d4ac4ef3c3b"
    damage(agent, agent.data_dir / "agent_id.txt", agent_id.encode() + b"\n")
    counters = {
        "failed_events_count": 6,
        "started_on": "2016-11-23T02:53:50Z",
        "successful_events_count": 41,
    }
    damage(agent, agent.data_dir / "db" / "aggregates", json.dumps(counters, indent=4).encode())
    backoff = {"attempts": {"KEY": 11}, "next_retries": {"KEY": 1795403144}}
    damage(agent, agent.data_dir / "db" / "backoff", json.dumps(backoff).encode())
    agent.start()
    agent.send(KEY, "trigger", "-d", "x")
    api.wait_accepted(1)
    wait_until(lambda: len(agent.names("suc")) == 1)
    assert agent.stop() == 0
    assert (agent.data_dir / "agent_id.txt").read_text() == agent_id + "\n"
    assert json.loads((agent.data_dir / "db" / "aggregates").read_text()) == counters | {
        "successful_events_count": 42
    }


def test_memory_that_can_not_be_written(api: EventsApi, agent: Agent) -> None:
    """Where db/ can't be written, events in error are set aside all the same, and others flow."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    api.script(KEY, Answer(400))
    agent.start()
    (agent.data_dir / "db").chmod(0o555)
    agent.drop("no event's name", b"x")
    refused = enqueue(agent, KEY, "a", "x")
    enqueue(agent, KEY, "a", "y")
    wait_until(lambda: agent.names("err") == sorted([refused, "no event's name"]))
    api.wait_accepted(1)
    assert len(api.requests) == 2
    assert "cannot write" in agent.log
