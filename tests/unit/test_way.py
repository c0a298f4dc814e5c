"""CONTRIBUTING.md says what is so: the way of one event, function by function."""

import posix
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import FrameType

import pytest

from pdagent import quick
from pdagent.config import Config
from pdagent.daemon.handling import Handling
from pdagent.queue.backlog import Backlog
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import Counters, State
from pdagent.schedule.limits import Limits
from pdagent.schedule.scheduler import Scheduler
from tests.support.documents import REPOSITORY
from tests.support.events import KEY
from tests.support.events_api import EventsApi

HEADING = "## The way of one event"
LINE = re.compile(r" {4} *((?:[a-z_]+\.)+[A-Za-z_.]+)(?: .*)?")


class Exit(BaseException):
    """Instead of the process, the test's call ends."""


def told() -> list[str]:
    """The functions of the page, in order."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text().partition(HEADING)[2].partition("\n## ")[0]
    return [match[1] for line in text.split("\n") if (match := LINE.fullmatch(line))]


@contextmanager
def traced(calls: list[str]) -> Iterator[None]:
    """Adds the functions of the page that are called, each when it is called first."""
    wanted = set(told())

    def note(frame: FrameType, event: str, _: object) -> None:
        module = frame.f_globals.get("__name__", "").removeprefix("pdagent.")
        name = f"{module}.{frame.f_code.co_qualname}"
        if event == "call" and name in wanted and name not in calls:
            calls.append(name)

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


def test_the_functions_are_there() -> None:
    """By the names that the page has."""
    assert len(told()) > 30
    for path in told():
        module, _, name = re.fullmatch(
            r"((?:[a-z_]+\.)*?[a-z_]+)(\.)([A-Z].*|[a-z_]+)", path
        ).groups()  # type: ignore[union-attr]
        assert callable(attrgetter(name)(import_module(f"pdagent.{module}"))), path


def test_an_event_goes_that_way(
    root: Path, api: EventsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the command line to suc/, in the order that the page has."""
    conf = root.parent / "pdagent.conf"
    conf.write_text(f"[Main]\ndata_dir = {root.parent}\n")

    def leave(code: int) -> None:
        raise Exit(code)

    monkeypatch.setattr(posix, "_exit", leave)
    monkeypatch.setattr(quick, "handover", quick.Handover())
    calls: list[str] = []
    with traced(calls), pytest.raises(Exit):
        quick.main(
            ["-k", KEY, "-t", "trigger", "-d", "disk full", "-i", "x", "--config", str(conf)]
        )
    [name] = [path.name for path in (root / "pdq").iterdir()]
    state, backlog = State(str(root.parent)), Backlog(str(root))
    scheduler = Scheduler(Limits(60.0, 3, 4, 1), lambda: 0.5)
    settlement = Settlement(backlog, state, Counters(state, 0.0))
    config = Config({"events_url": api.url})
    lock = threading.Condition()
    handling = Handling(config, backlog, settlement, scheduler, lock, nullcontext())
    with traced(calls):
        scheduler.add(name, KEY)
        entry = scheduler.claim(0.0)
        assert entry is not None
        handling.handle(entry)
    assert [path.name for path in (root / "suc").iterdir()] == [name]
    others = ("__main__", "daemon.arrivals", "daemon.workers", "queue.backlog.Backlog.seen")
    assert calls == [path for path in told() if not path.startswith(others)]
