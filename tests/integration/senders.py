"""What a pd-send of a test said and queued."""

import json
from collections.abc import Callable

from tests.support.agent import Agent

Said = tuple[int, str, str]
Sender = Callable[..., Said]


def problem(stderr: bytes) -> str:
    """The last line of stderr, but for the usage."""
    lines = ["", *stderr.decode().splitlines()]
    if lines[-1].startswith("usage: "):
        assert lines.pop().endswith(" (pd-send -h shows the options)")
    return lines[-1]


def queued(agent: Agent) -> dict[str, object]:
    """The one pending event."""
    [name] = agent.names("pdq")
    body = json.loads((agent.spool / "pdq" / name).read_bytes())
    assert isinstance(body, dict)
    return body
