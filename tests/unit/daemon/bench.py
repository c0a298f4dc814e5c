"""A handling with all that it needs, for tests."""

import json
import os
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.daemon.handling import Handling
from pdagent.queue.backlog import Backlog
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import Counters, Reason, State
from pdagent.schedule.entry import Entry
from pdagent.schedule.limits import Limits
from pdagent.schedule.scheduler import Scheduler
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, file_name
from tests.support.events import KEY, OTHER

FAR = 1e12
NAME = "1_key.txt"
FIRST, SECOND, THIRD = (file_name(number, KEY) for number in (1, 2, 3))
OTHER_ONE = file_name(1, OTHER)


class Bench:
    """Handling, with a real spool and a real Events API, and one worker: the test."""

    def __init__(self, top: Path, events_url: str) -> None:
        self.spool = top / "outqueue"
        for name in ("tmp", PENDING, DELIVERED, IN_ERROR):
            (self.spool / name).mkdir(parents=True)
        (top / "db").mkdir()
        self.went_away = 0
        self.state = State(str(top))
        self.config = Config({"events_url": events_url}, {"db": KEY})
        self.backlog = Backlog(str(self.spool))
        self.settlement = Settlement(self.backlog, self.state, Counters(self.state, 0.0))
        limits = Limits(60.0, 3, 8, 8, self.config.relays)
        self.scheduler = Scheduler(limits, lambda: 0.5)
        lock = threading.Condition()
        self.handling = Handling(
            self.config, self.backlog, self.settlement, self.scheduler, lock, self
        )

    def __enter__(self) -> None:
        """The worker goes away."""
        self.went_away += 1

    def __exit__(self, *_: object) -> None:
        pass

    def write(
        self, name: str, summary: str = "x", key: str = KEY, dedup_key: str = "a", **more: object
    ) -> None:
        payload = {"summary": summary, "source": "db1", "severity": "error"}
        body = {"routing_key": key, "event_action": "trigger", "dedup_key": dedup_key}
        event = {**body, "payload": payload, **more}
        (self.spool / PENDING / name).write_text(json.dumps(event))

    def take(self, name: str, key: str = KEY, retried: bool = False, owner: int = 0) -> Entry:
        """The event of that name, claimed."""
        self.scheduler.add(name, key, retried, owner)
        return self.next()

    def next(self, now: float | None = None) -> Entry:
        entry = self.scheduler.claim(time.monotonic() if now is None else now)
        assert entry is not None
        return entry

    def handle(self, name: str, key: str = KEY, retried: bool = False) -> None:
        self.handling.handle(self.take(name, key, retried))

    def names(self, place: str) -> list[str]:
        return sorted(os.listdir(self.spool / place))

    def reason(self, name: str) -> Reason:
        found = self.state.reason(name)
        assert found is not None
        return found


def failing(patch: pytest.MonkeyPatch, number: int) -> None:
    """Has the system open no pending file from now on, with this error."""
    really = os.open

    def opens(path: str, *rest: int) -> int:
        if f"/{PENDING}/" in path:
            raise OSError(number, os.strerror(number))
        return really(path, *rest)

    patch.setattr(os, "open", opens)


def said(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


class Clock:
    """The time, but for the first few times, when memory is short."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.really = time.monotonic

    def __call__(self) -> float:
        self.failures -= 1
        if self.failures >= 0:
            raise MemoryError
        return self.really()


def handling_of(root: Path, scheduler: Scheduler) -> Handling:
    state, backlog = State(str(root)), Backlog(str(root))
    settlement = Settlement(backlog, state, Counters(state, 0.0))
    return Handling(
        Config({}), backlog, settlement, scheduler, threading.Condition(), nullcontext()
    )


def claimed(scheduler: Scheduler, chain: str | None) -> Entry:
    entry = scheduler.claim(0.0)
    assert entry is not None
    entry.chain = chain
    return entry
