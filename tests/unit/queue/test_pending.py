"""What understanding a stranger's file may cost, and that every event within PagerDuty's limit is
understood."""

import json
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent import api
from pdagent.encoding import DEPTH_MOST
from pdagent.event import BadEvent, Event
from pdagent.queue.elapsed import Moment
from pdagent.queue.expectation import understood, written
from pdagent.queue.pending import (
    EVENT_BYTES_MOST,
    WEIGHT_MOST,
    Hostile,
    Incomplete,
    chain_of,
    understand,
)

NAME = "1_K.txt"
START = b'{"routing_key":"K","event_action":"trigger","dedup_key":"d","x":['
BOMBS = {
    "lists": b"[],",
    "lists in lists": b"[[]],",
    "objects": b"{},",
    "objects with a field": b'{"":1},',
    "texts": b'"ab",',
    "wide texts": '"\u4e00",'.encode(),
    "numbers": b"1.1,",
    "texts of escapes": b'"\\\\",',
}


def filled(part: bytes, size: int) -> bytes:
    return START + part * ((size - len(START) - 10) // len(part)) + b"1]}"


@pytest.mark.parametrize("part", BOMBS.values(), ids=BOMBS)
def test_no_body_of_4_mb_takes_more_memory_than_it_may(part: bytes) -> None:
    """Whatever it consists of: it is cut to PagerDuty's limit within a bound, or not parsed."""
    data = filled(part, EVENT_BYTES_MOST)
    tracemalloc.start()
    with suppress(Hostile):  # it has too many parts
        pending = understand(NAME, data, fitting=True)
        assert len(pending.data) <= api.BODY_BYTES
        assert json.loads(pending.data)["dedup_key"] == "d"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < WEIGHT_MOST + 4 * EVENT_BYTES_MOST


@pytest.mark.parametrize("part", BOMBS.values(), ids=BOMBS)
def test_whatever_pagerduty_would_take_is_understood(part: bytes) -> None:
    """However intricate it is, and byte for byte."""
    data = filled(part, api.BODY_BYTES)
    assert understand(NAME, data, fitting=True).data is data


def test_a_long_text_is_cut_whatever_is_in_it() -> None:
    """A log of 4 MB that a script pasted, commas and braces and quotes in it."""
    line = 'GET /a?b={"c":[1,2]} 200, 17 ms, "curl"\n'
    text = line * (3_500_000 // len(json.dumps(line)))
    body = {"service_key": "K", "event_type": "trigger", "details": {"log": text}}
    pending = understand(NAME, json.dumps(body).encode(), fitting=True)
    assert len(pending.data) <= api.BODY_BYTES
    assert json.loads(pending.data)["details"]["log"].startswith("GET /a")


@pytest.mark.parametrize(
    "text",
    [b"\x7f" * 4_000_000, b"{" * 270_000 + rb"\\" * 1_800_000],
    ids=["each six times as long in JSON", "escapes, and what looks like structure"],
)
def test_a_text_of_4_mb_takes_no_more_memory_than_the_rest(text: bytes) -> None:
    """Whatever it takes to write it as JSON, or to find its end."""
    peaks = []
    for x in (b"k" * len(text), text):
        tracemalloc.start()
        pending = understand(NAME, START[:-1] + b'"' + x + b'"}', fitting=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(pending.data) <= api.BODY_BYTES
    assert peaks[1] < peaks[0] + 16 * 1024 * 1024


def test_a_text_without_an_end_takes_no_hours() -> None:
    """What looks like structure in it has to be told from structure, which was quadratic."""
    data = b'{"a":"' + b"{" * 270_000 + rb"\"" * 1_900_000 + b"}"
    started = time.thread_time()
    with pytest.raises(Hostile):
        understand(NAME, data)
    assert time.thread_time() - started < 2


def test_the_beginning_of_an_event_is_not_parsed() -> None:
    """Each time it is looked at it would hold up everybody."""
    data = filled(b"[],", EVENT_BYTES_MOST)[:-1]
    started = time.thread_time()
    with pytest.raises(Incomplete):
        understand(NAME, data)
    assert time.thread_time() - started < 0.01


def test_no_depth_is_too_much() -> None:
    """It is an event, or it is none; the process lives."""
    for depth in (500, 900, 5_000, 500_000):
        data = START + b"[" * depth + b"]" * depth + b"]}"
        with suppress(Hostile):
            understand(NAME, data, fitting=True)


@pytest.mark.parametrize("part", [("[", "]"), ('{"a":', "}"), ('[{"[":', "}]")])
def test_what_is_nested_deep_is_not_parsed(part: tuple[str, str]) -> None:
    """Each thread that parses one would keep three megabytes. Brackets in texts are no depth."""
    begin, end = part
    deep = START[:-1].decode() + begin * 600 + "1" + end * 600 + "}"
    with pytest.raises(Hostile, match="nested too deep"):
        understand(NAME, deep.encode())
    understand(NAME, json.dumps({**json.loads(START + b"]}"), "x": [deep] * 9}).encode())


@pytest.fixture
def room() -> Iterator[None]:
    """For all levels: before Python 3.12 each of them is two calls."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(5000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("room")
def test_what_the_front_doors_take_is_read() -> None:
    """To the level: an event that is accepted must not be set aside later."""

    def event(levels: int) -> Event:
        deep: object = 1
        for _ in range(levels - 2):  # the body and its payload are two
            deep = {"a": deep}
        return Event("K", "trigger", description="x", details=deep)  # type: ignore[arg-type]

    data = event(DEPTH_MOST).body("v2", 0)
    assert understand(NAME, data).version == "v2"
    since = Moment(1.0, 1.0, 1.0, "boot")
    inside = event(DEPTH_MOST)
    inside.dedup_key = "backup"
    assert understood(written(inside.body("v2", 0), 60.0, since)).dedup_key == "backup"
    with pytest.raises(BadEvent, match="nested too deep"):
        event(DEPTH_MOST + 1).body("v2", 0)


@given(st.text(min_size=1))
def test_chains_are_short_and_differ(key: str) -> None:
    """Two long keys that begin alike are two incidents; a short key is its chain."""
    assert chain_of(key, NAME) == chain_of(key, "2_K.txt")
    if len(key) <= api.DEDUP_KEY_CHARS:
        assert chain_of(key, NAME) == "=" + key
    long = "x" * 300 + key
    assert len(chain_of(long, NAME)) < 200
    assert chain_of(long, NAME) != chain_of("y" + long, NAME) != chain_of("x" * 300, NAME)
    assert chain_of("x" * 300 + "a", NAME) != chain_of("x" * 300 + "b", NAME)


def test_what_a_person_sees_of_an_event_is_short() -> None:
    """And so is every line of the log that it is in."""
    big = "k" * 4_000_000
    body = {"routing_key": "K", "event_action": "trigger", "dedup_key": big}
    found = understand(NAME, json.dumps(body).encode())
    texts = (found.dedup_key or "", found.summary, found.action, found.chain)
    assert max(map(len, texts)) <= api.SUMMARY_CHARS
