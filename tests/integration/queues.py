"""What pd-queue of a test said, and events that are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastjsonschema

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, enqueue
from tests.support.events_api import Answer, EventsApi

REPOSITORY = Path(__file__).parents[2]
check_schema = fastjsonschema.compile(
    json.loads((REPOSITORY / "docs" / "pd-queue-1.schema.json").read_text())
)
Queue = Callable[..., str]


def document(queue: Queue, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The JSON that pd-queue prints: as the schema has it."""
    said = queue(*arguments, "--json", code=code)
    found = json.loads(said.partition("\npd-queue: ")[0])
    check_schema(found)
    assert isinstance(found, dict)
    return found


def refuse(api: EventsApi, agent: Agent, dedup_key: str, text: str, action: str = "trigger") -> str:
    """Has PagerDuty refuse an event; its name."""
    before = set(agent.names("err"))
    api.script(KEY, Answer(400))
    enqueue(agent, KEY, dedup_key, text, action)
    wait_until(lambda: set(agent.names("err")) > before)
    [name] = set(agent.names("err")) - before
    return name
