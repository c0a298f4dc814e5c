"""Any bytes at all, where the daemon and its senders read: they are understood, or refused in the
way that is documented, and nothing else. `--long` takes ten minutes."""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdagent import config
from pdagent.config import Config
from pdagent.daemon.logbook import note
from pdagent.queue.backlog import Backlog
from pdagent.queue.pending import Hostile, Pending
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import Counters, State
from pdagent.schedule.entry import Entry
from pdagent.schedule.rules import Fate, Ruling
from pdagent.settings import DEFAULTS
from pdagent.shown import masked_name
from pdagent.spool import PENDING
from pdagent.wire.delivery import Delivery
from pdagent.wire.verdict import Verdict
from tests.support.events_api import Answer, EventsApi
from tests.support.looking import looked

Fuzz = Callable[[Callable[[], None]], None]
fuzzed = settings(
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def fuzz(request: pytest.FixtureRequest) -> Iterator[Fuzz]:
    """Runs a property once, or for two minutes and a half."""
    seconds = 150.0 if request.config.getoption("--long") else 0.0

    def run(check: Callable[[], None]) -> None:
        until = time.monotonic() + seconds
        check()
        while time.monotonic() < until:
            check()

    logging.disable()  # a thousand lines say nothing
    yield run
    logging.disable(logging.NOTSET)


# --- what may be in a file ------------------------------------------------------------------------

STRANGE = ["\0", "\ud800", "\u2028", "\x1b[31m", "9" * 400, "x" * 2000, "../..", "", "NaN", "%s"]
WORDS = ["trigger", "acknowledge", "resolve", "critical", "KEY", "V1ONLY", "2026-11-23T00:00:00Z"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(STRANGE + WORDS)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
FIELDS = ["routing_key", "service_key", "event_action", "event_type", "dedup_key", "incident_key"]
FIELDS += [
    "payload",
    "description",
    "details",
    "client",
    "client_url",
    "links",
    "images",
    "contexts",
]
PAYLOAD = ["summary", "source", "severity", "timestamp", "component", "group", "class"]
PAYLOAD += ["custom_details"]


def objects(fields: list[str], values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(fields, values))


EVENTS = objects(FIELDS, VALUES | objects(PAYLOAD, VALUES) | st.lists(objects(["href"], VALUES)))
DEEP = st.integers(1, 30_000).map(lambda depth: b'{"routing_key":' + b"[" * depth + b"]" * depth)


@st.composite
def damaged(draw: st.DrawFn, good: st.SearchStrategy[bytes]) -> bytes:
    """Something good with a piece of it lost, or something else in its place."""
    data = draw(good)
    start = draw(st.integers(0, len(data)))
    return data[:start] + draw(st.binary(max_size=5)) + data[start + draw(st.integers(0, 20)) :]


WRITTEN = EVENTS.map(lambda event: json.dumps(event).encode())
FILES = WRITTEN | damaged(WRITTEN) | DEEP | st.binary()
ANSWERS = st.sampled_from(
    [
        Answer(),
        Answer(413),
        Answer(400),
        Answer(400, body=b"\xff"),
        Answer(503),
        Answer(202, body=b""),
    ]
)
NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("tmp", "pdq", "suc", "err", "expect", "expected"):
        (tmp_path / "outqueue" / name).mkdir(parents=True)
    return tmp_path / "outqueue"


def test_pending_files(fuzz: Fuzz, api: EventsApi, root: Path) -> None:
    """Whatever is in a pending file, whatever PagerDuty makes of it: it is hostile, for a reason
    that one line can hold, or it is posted as it is and there is a verdict."""
    api.v1_only_keys.add("V1ONLY")
    backlog = Backlog(str(root))
    delivery = Delivery(Config({"events_url": api.url}))
    file = root / PENDING / "1_KEY.txt"

    @fuzzed
    @given(FILES, ANSWERS)
    def check(data: bytes, answer: Answer) -> None:
        file.write_bytes(data)
        try:
            pending = backlog.load(file.name)
        except Hostile as reason:
            why = str(reason)
        else:
            why = ""
        assert why.isprintable()
        if why:
            return
        assert isinstance(pending, Pending)
        assert isinstance(pending.chain, str)
        api.always(None, answer)
        count = len(api.requests)
        verdict = delivery.deliver(pending)
        assert isinstance(verdict, get_args(Verdict))
        assert api.requests[count].body == data
        for fate in Fate:
            note(Entry(file.name, "KEY"), pending, verdict, Ruling(fate), 0.0)
        api.reset()

    fuzz(check)


def test_names(fuzz: Fuzz, root: Path, tmp_path: Path) -> None:
    """Whatever an entry of pdq/ is called, it is listed, shown on one line, and set aside."""
    backlog = Backlog(str(root))
    state = State(str(tmp_path))
    (tmp_path / "db").mkdir()
    settlement = Settlement(backlog, state, Counters(state, 0.0))

    @fuzzed
    @given(st.sets(NAMES, max_size=5))
    def check(made: set[bytes]) -> None:
        for raw in made:
            (root / PENDING / os.fsdecode(raw)).write_bytes(b"{")
        events, others = looked(backlog)
        assert {os.fsencode(name) for name in events + others} == made
        for name in events + others:
            assert masked_name(name).isprintable()
            settlement.in_error(name, "x")
            assert name not in settlement
        assert looked(backlog) == ([], [])

    fuzz(check)


LINES = st.sampled_from(
    ["[Main]", "[", "]", "=", ":", "#", ";", " ", "\t", "\n", "\r", "\0", "\ufeff", "٣", "²", "://"]
)
SETTING_NAMES = st.sampled_from(list(DEFAULTS))
CONFIGURATIONS = st.lists(LINES | SETTING_NAMES | st.text(), max_size=30)
TEXTS = CONFIGURATIONS.map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass"))
ASSIGNED = st.tuples(SETTING_NAMES, SCALARS).map(
    lambda pair: f"[Main]\n{pair[0]} = {pair[1]}\n".encode("utf-8", "surrogatepass")
)


def test_configuration_files(fuzz: Fuzz, tmp_path: Path) -> None:
    """Whatever is in the configuration, there are usable settings of the right types, and problems
    that one line can hold."""
    file = tmp_path / "pdagent.conf"
    defaults = Config({})

    @fuzzed
    @given(TEXTS | ASSIGNED | damaged(ASSIGNED) | st.binary())
    def check(data: bytes) -> None:
        file.write_bytes(data)
        loaded, problems = config.load(str(file))
        for name in DEFAULTS:
            assert type(getattr(loaded, name)) is type(getattr(defaults, name))
        for problem in problems:
            assert problem.text.isprintable(), problem.text
        assert loaded.spool_dir.startswith("/")
        assert "\0" not in loaded.spool_dir

    fuzz(check)


def test_state_files(fuzz: Fuzz, tmp_path: Path) -> None:
    """Whatever is in what the daemon remembers, it goes on."""
    (tmp_path / "db" / "reasons").mkdir(parents=True)
    state = State(str(tmp_path))
    counters = objects(["failed_events_count", "successful_events_count", "started_on"], VALUES)
    reasons = objects(["at", "status", "reason", "attempts"], VALUES)
    written = (counters | reasons).map(lambda value: json.dumps(value).encode())

    @fuzzed
    @given(written | damaged(written) | DEEP | st.binary())
    def check(data: bytes) -> None:
        for name in ("db/aggregates", "db/clock", "db/reasons/1_KEY.txt", "db/agent_id.txt"):
            (tmp_path / name).write_bytes(data)
        counted = Counters(state, 0.0)
        assert counted.delivered >= 0
        assert counted.refused >= 0
        state.read("clock")
        state.reason("1_KEY.txt")
        assert len(state.agent_id()) == 36

    fuzz(check)
