"""Integration keys and events for tests, and how to read what arrived."""

import json
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pdagent.api import BODY_BYTES
from pdagent.event import Event
from pdagent.spool import Spool
from tests.support.agent import Agent
from tests.support.events_api import EventsApi, Request

KEY = "c7a4f1e2b9d84c6fa0b1c2d3e4f50617"
OTHER = "0e31d9c5aa6b4f0e9f5d2c7b8a916342"


def key(number: int) -> str:
    """One of many keys."""
    return f"{number:04}{KEY[4:]}"


def enqueue(
    agent: Agent, to: str, dedup_key: str | None, text: str, action: str = "trigger"
) -> str:
    """What `pd-send` does, without a process for each event. Returns the file's name."""
    event = Event(to, action, description=text, dedup_key=dedup_key, source="test")
    return Spool(str(agent.spool)).enqueue(to, event.body("v2", time.time_ns()))


def body_of(data: bytes) -> dict[str, Any]:
    """A body that PagerDuty can read: ASCII, valid JSON, within its limit."""
    assert len(data) <= BODY_BYTES
    body = json.loads(data.decode("ascii"))
    assert isinstance(body, dict)
    return body


def sent(request: Request) -> dict[str, Any]:
    """The event in a request."""
    assert request.event is not None
    return dict(request.event)


def summaries(requests: Iterable[Request]) -> list[str]:
    """The descriptions of events, in this order."""
    return [sent(request)["payload"]["summary"] for request in requests]


def actions(api: EventsApi) -> list[tuple[str, str | None]]:
    """What was accepted: actions and dedup keys, in this order."""
    return [(sent(request)["event_action"], request.dedup_key) for request in api.accepted]


def chains(requests: Iterable[Request]) -> dict[tuple[str | None, str | None], list[str]]:
    """The descriptions of events by key and dedup key, resent ones once."""
    found: dict[tuple[str | None, str | None], list[str]] = defaultdict(list)
    for request in requests:
        text = sent(request)["payload"]["summary"]
        chain = found[request.key, request.dedup_key]
        if text not in chain:
            chain.append(text)
    return dict(found)
