"""Where an event goes, and whether the way is open at all."""

import json
import math
import time
from contextlib import nullcontext

import pytest

from pdagent import threads
from pdagent.config import Config
from pdagent.daemon import path
from pdagent.daemon.path import Path
from pdagent.queue.pending import Pending, understand
from pdagent.wire import delivery, question
from pdagent.wire.verdict import Delivered, Troubled, Unreachable
from tests.support.agent import wait_until
from tests.support.events import KEY
from tests.support.events_api import Answer, EventsApi
from tests.support.raw_server import Conversation, serving

MISSED = Unreachable("a page", content=True)
WORDS = b'{"status":"invalid event","message":"x","errors":["y"]}'


class Strict(Conversation):
    def handle(self) -> None:
        while self.read():
            head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(WORDS)
            self.request.sendall(head + WORDS)


class Silent(Conversation):
    def handle(self) -> None:
        while self.read():
            pass


def event() -> Pending:
    payload = {"summary": "x", "source": "db1", "severity": "error"}
    body = {"routing_key": KEY, "event_action": "trigger", "dedup_key": "a", "payload": payload}
    return understand("1_K.txt", json.dumps(body).encode())


def test_another_configuration_counts_from_the_next_post_on(api: EventsApi) -> None:
    """Before the first event nothing is there that it would change."""
    [nowhere] = Config({"events_url": "http://127.0.0.1:1"}).relays
    way = Path(Config({"events_url": "http://127.0.0.1:1"}), nullcontext())
    assert isinstance(way.deliver(event(), nowhere), Unreachable)
    config = Config({"events_url": api.url})
    way.configure(config)
    assert way.deliver(event(), config.relays[0]) == Delivered(202)


def test_only_an_events_own_content_is_a_reason_to_ask() -> None:
    """Nobody was reached: that says it all."""
    config = Config({"events_url": "http://127.0.0.1:1"})
    way = Path(config, nullcontext())
    assert not way.is_open(Unreachable("refused"), config.relays[0])
    assert way._asked == {}


def test_one_of_several_relays_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not reached, unless it answers a request without an event: others may be well. The only
    one that there is may be in trouble with this event."""
    monkeypatch.setattr(delivery, "TOTAL_SECONDS", 0.2)
    monkeypatch.setattr(question, "SECONDS", 0.2)

    with serving(Silent) as server:
        config = Config({"events_url": f"{server.url} http://127.0.0.1:1"})
        way = Path(config, nullcontext())
        missed = way.deliver(event(), server.url)
        assert isinstance(missed, Unreachable)
        assert not way.is_open(missed, server.url)
        config = Config({"events_url": server.url})
        assert isinstance(Path(config, nullcontext()).deliver(event(), ""), Troubled)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_one_of_several_relays_is_in_trouble(api: EventsApi, status: int) -> None:
    """It is not reached either, such as one behind a gateway, unless it answers a request without
    an event: then it is in trouble with this one."""
    way = Path(Config({"events_url": f"{api.url} http://127.0.0.1:1"}), nullcontext())
    api.script(KEY, Answer(status, html="<h1>in trouble</h1>"))
    assert isinstance(way.deliver(event(), api.url), Troubled)
    api.always(None, Answer(status, html="<h1>in trouble</h1>"))
    way = Path(Config({"events_url": f"{api.url} http://127.0.0.1:1"}), nullcontext())
    missed = way.deliver(event(), api.url)
    assert isinstance(missed, Unreachable)
    assert not way.is_open(missed, api.url)
    only = Path(Config({"events_url": api.url}), nullcontext())
    assert isinstance(only.deliver(event(), ""), Troubled)
    assert only.is_open(MISSED, "")


def test_who_is_in_a_hurry_asks_nobody(api: EventsApi) -> None:
    """What begins after the call has no more time than what began before it, until that is over."""
    way, relay = Path(Config({"events_url": api.url}), nullcontext()), ""
    assert way.deliver(event(), relay) == Delivered(202)
    way.hurry(time.monotonic())
    assert way.deliver(event(), relay) == Unreachable("timed out")
    assert not way.is_open(MISSED, relay)
    assert len(api.requests) == 1
    way.hurry(math.inf)
    assert way.deliver(event(), relay) == Delivered(202)


def test_all_who_ask_at_a_time_get_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a while; then it is asked anew."""
    monkeypatch.setattr(path, "FRESH_SECONDS", 1e9)
    with serving(Strict) as server:
        config = Config({"events_url": server.url})
        way, relay = Path(config, nullcontext()), config.relays[0]
        assert way.is_open(MISSED, relay)
        assert way.is_open(MISSED, relay)
        assert server.requests == 1
        monkeypatch.setattr(path, "FRESH_SECONDS", -1.0)
        assert way.is_open(MISSED, relay)
        assert server.requests == 2
    assert not way.is_open(MISSED, relay)


def test_who_asks_one_relay_does_not_wait_for_another() -> None:
    """That may be silent, and its question takes 20 seconds."""
    with serving(Silent) as silent, serving(Strict) as strict:
        way = Path(Config({"events_url": f"{silent.url} {strict.url}"}), nullcontext())
        asking = threads.start(lambda: way.is_open(MISSED, silent.url), "Asking")
        assert asking is not None
        wait_until(lambda: silent.requests == 1)
        assert way.is_open(MISSED, strict.url)
        assert asking.is_alive()
        way.abort_all()
        asking.join(20.0)
