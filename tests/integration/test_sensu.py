"""Sensu's events, whole as Core and Go document them, piped in as their handlers do.

What is in sensu/, an event a line, was written by their schemas: no server is at hand to record.
"""

import json
from pathlib import Path

import pytest

from tests.support.agent import Agent
from tests.support.events import KEY, sent
from tests.support.events_api import EventsApi
from tests.support.users import SENDER

EVENTS = Path(__file__).parent / "sensu"


@pytest.mark.parametrize("sensu", ["core", "go"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_life(agent: Agent, api: EventsApi, sensu: str, version: str) -> None:
    """Fails, fails again, recovers: one incident, opened once and resolved, with all details."""
    agent.start()
    recorded = (EVENTS / f"{sensu}.jsonl").read_bytes().splitlines()
    for event in recorded:
        arguments = ["-k", KEY, "--events-api", version]
        done = agent.run("pd-sensu", *arguments, input=event, user=SENDER, check=True)
        assert (done.stdout, done.stderr) == (b"", b"")

    got = [sent(request) for request in api.wait_accepted(3)]
    incident = api.incident(KEY, "web-01/disk_usage")
    assert (incident.state, incident.opened, incident.events) == ("resolved", 1, 3)
    assert incident.summary.startswith('web-01/disk_usage : CheckDisk CRITICAL: /var 97 %, "Günt')
    details = [event.get("details") or event["payload"]["custom_details"] for event in got]
    assert details == [json.loads(event) for event in recorded]
