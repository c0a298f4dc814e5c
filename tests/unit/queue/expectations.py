"""Expectations, and a queue, for tests of what becomes of them."""

import json
import os
from pathlib import Path

from pdagent.event import Event
from pdagent.queue.elapsed import Moment
from pdagent.queue.expectation import Expectation, written
from pdagent.queue.expected import Expected
from pdagent.queue.renewal import ExpectationSpool
from pdagent.spool import SpoolError
from tests.support.events import KEY

SINCE = Moment(1_790_000_000.0, 100.0, 100.0, "boot")
ACCEPTED = int(SINCE.wall * 1e6)


def later(seconds: float) -> Moment:
    return Moment(SINCE.wall + seconds, 100.0 + seconds, 100.0 + seconds, "boot")


class Died(BaseException):
    """A daemon did."""


class Queue:
    """What was enqueued: actions and places."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self.full = False

    def page(self, identity: str, found: Expectation, body: bytes, place: int) -> None:
        assert json.loads(body)["event_action"] == "trigger"
        self.enqueue(identity, found, body, place)

    def resolve(self, identity: str, found: Expectation, body: bytes, place: int) -> None:
        assert json.loads(body)["event_action"] == "resolve"
        self.enqueue(identity, found, body, place)

    def enqueue(self, identity: str, found: Expectation, body: bytes, place: int) -> None:
        if self.full:
            raise SpoolError(found.key, body, "no room", "")
        self.events.append((json.loads(body)["event_action"], place))

    @property
    def actions(self) -> list[str]:
        return [action for action, _ in self.events]


def begun(root: Path, queue: Queue) -> Expected:
    """As a daemon begins that finds what the one before it has left."""
    found = Expected(str(root), queue.page, queue.resolve)
    found.load()
    return found


def accept(
    root: Path,
    dedup_key: str = "backup",
    term: float = 60.0,
    at: float = 0.0,
    data: bytes = b"",
    by: str = "",
) -> str:
    """An expectation as `pd-send` leaves it."""
    trigger = Event(KEY, "trigger", "no backup", dedup_key).body("v2", 0)
    spool = ExpectationSpool(str(root), lambda: int((SINCE.wall + at) * 1e9))
    return spool.enqueue(KEY, data or written(trigger, term, later(at), by))


def kept(root: Path) -> list[str]:
    """The marks of what is kept."""
    return sorted(
        name.partition(".")[2].partition("-")[0] for name in os.listdir(root / "expected")
    )
