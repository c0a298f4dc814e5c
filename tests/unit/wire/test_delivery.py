"""An event is sent in the form that PagerDuty takes it in, and only its own answer counts."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pdagent.config import Config
from pdagent.queue.pending import Pending, understand
from pdagent.wire import delivery
from pdagent.wire.delivery import Delivery
from pdagent.wire.verdict import Delivered, Refused, Throttled, Troubled, Unreachable
from tests.support.agent import wait_until
from tests.support.events import KEY, OTHER
from tests.support.events_api import Answer, EventsApi
from tests.support.raw_server import ACCEPTED, OK, Conversation, RawServer, serving


def event(key: str = KEY, dedup_key: str | None = "a", details: str = "") -> Pending:
    payload = {"summary": "x", "source": "db1", "severity": "error", "custom_details": details}
    body = {"routing_key": key, "event_action": "trigger", "payload": payload}
    if dedup_key is not None:
        body["dedup_key"] = dedup_key
    return understand("1_K.txt", json.dumps(body).encode())


def by(url: str, **settings: str) -> Delivery:
    return Delivery(Config({"events_url": url, **settings}))


def paths(api: EventsApi) -> list[str]:
    """Where requests went."""
    return [request.path for request in api.requests]


V1, V2 = "/generic/2010-04-15/create_event.json", "/v2/enqueue"


# the version


def test_a_key_that_v2_does_not_know_is_asked_as_v1(api: EventsApi) -> None:
    """What it took once it is asked at once the next time."""
    api.v1_only_keys.add(KEY)
    to = by(api.url)
    assert to.deliver(event()) == Delivered(200)
    assert to.deliver(event()) == Delivered(200)
    assert paths(api) == [V2, V1, V1]


def test_a_key_that_has_changed_its_kind(api: EventsApi) -> None:
    """Is tried as v2 again once v1 refuses it, and from then on."""
    api.v1_only_keys.add(KEY)
    to = by(api.url)
    to.deliver(event())
    api.v1_only_keys.clear()
    api.script(KEY, Answer(400, {"status": "invalid event", "message": "x", "errors": ["y"]}))
    assert to.deliver(event()) == to.deliver(event()) == Delivered(202)
    assert paths(api)[2:] == [V1, V2, V2]


def test_another_configuration_forgets_what_keys_took(api: EventsApi) -> None:
    """It may lead elsewhere."""
    api.v1_only_keys.add(KEY)
    to = by(api.url)
    to.deliver(event())
    to.configure(Config({"events_url": api.url}))
    to.deliver(event())
    assert paths(api) == [V2, V1, V2, V1]


def test_a_key_that_nobody_knows(api: EventsApi) -> None:
    """Is refused with the words for both versions."""
    api.unknown_keys.add(KEY)
    verdict = by(api.url).deliver(event())
    assert isinstance(verdict, Refused)
    assert verdict.about_key
    assert "(and as v1: " in verdict.reason


def test_an_event_that_is_refused_for_itself_is_not_sent_as_v1(api: EventsApi) -> None:
    """Only the key makes a difference between the versions."""
    api.script(KEY, Answer(400, {"status": "invalid event", "message": "x", "errors": ["y"]}))
    assert by(api.url).deliver(event()) == Refused(400, "x; y")
    assert paths(api) == [V2]


def test_v2_alone_where_the_configuration_says_so(api: EventsApi) -> None:
    """`events_api = v2`."""
    api.v1_only_keys.add(KEY)
    assert isinstance(by(api.url, events_api="v2").deliver(event()), Refused)
    assert paths(api) == [V2]


# the size


def test_an_event_that_is_too_large_is_sent_with_less_detail(api: EventsApi) -> None:
    """Once."""
    api.script(KEY, Answer(413))
    assert by(api.url).deliver(event(details="x" * 10_000)) == Delivered(202)
    first, second = api.requests
    assert len(second.body) < len(first.body) / 10


def test_an_event_that_stays_too_large_is_refused(api: EventsApi) -> None:
    """It would never fit."""
    api.always(KEY, Answer(413))
    assert isinstance(by(api.url).deliver(event()), Refused)
    assert len(api.requests) == 2


# connections


@contextmanager
def talking(*answers: bytes) -> Iterator[tuple[RawServer, Delivery]]:
    """A server that says these one after the other, whatever it is asked, and then closes the
    connection; and a delivery to it."""
    left = list(answers)

    class Parrot(Conversation):
        def handle(self) -> None:
            while left and self.read():
                self.request.sendall(left.pop(0))

    with serving(Parrot) as server:
        yield server, by(server.url)


def test_a_connection_is_kept_after_a_yes_to_this_event() -> None:
    """And carries the next event."""
    with talking(OK, OK) as (server, to):
        assert to.deliver(event()) == to.deliver(event()) == Delivered(202)
        assert (server.requests, server.connections) == (2, 1)


def test_a_yes_to_another_event_is_none() -> None:
    """Over a connection that was kept, the event is sent again over a new one."""
    with talking(OK, OK, OK.replace(b'"a"', b'"b"')) as (server, to):
        to.deliver(event())
        assert to.deliver(event(dedup_key="b")) == Delivered(202)
        assert (server.requests, server.connections) == (3, 2)


def test_an_event_without_a_dedup_key_has_a_connection_of_its_own() -> None:
    """No answer can name it."""
    with talking(OK, OK) as (server, to):
        to.deliver(event())
        assert to.deliver(event(dedup_key=None)) == Delivered(202)
        assert server.connections == 2


def test_a_connection_that_the_server_has_closed_costs_no_try() -> None:
    """The event goes out over a new one."""
    closing = OK.replace(b"\r\n\r\n", b"\r\nX-Last: 1\r\n\r\n")
    left = [closing, OK]

    class Closing(Conversation):
        def handle(self) -> None:
            while left and self.read():
                answer = left.pop(0)
                self.request.sendall(answer)
                if answer is closing and self.read():
                    return  # the next event was read, and gets no answer

    with serving(Closing) as server:
        to = by(server.url)
        to.deliver(event())
        assert to.deliver(event()) == Delivered(202)
        assert server.connections == 2


def test_somebody_elses_answer_ends_all_connections() -> None:
    """On them he would go on answering: also on one that was kept, and had no part in it."""
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"
    with talking(OK, page, OK) as (server, to):
        to.deliver(event())
        assert to.deliver(event(dedup_key=None)) == Unreachable(
            "answered 200 with a web page, which PagerDuty does not", content=True
        )
        assert to.deliver(event()) == Delivered(202)
        assert server.connections == 3


# no answer


def test_nobody_there() -> None:
    """Nothing of the event was seen by anybody."""
    verdict = by("http://127.0.0.1:1").deliver(event())
    assert isinstance(verdict, Unreachable)
    assert not verdict.content


def test_a_server_that_never_answers(api: EventsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event may have been taken or not. A post has one deadline for all of it."""
    monkeypatch.setattr(delivery, "TOTAL_SECONDS", 3.0)
    api.always(None, Answer(hang=True))
    assert by(api.url).deliver(event()) == Troubled("no answer within 3 s")


@pytest.mark.parametrize("overdue", [True, False])
def test_a_post_can_be_cut_off_from_another_thread(api: EventsApi, overdue: bool) -> None:
    """When it is overdue, or all at once; the event counts as one without an answer."""
    api.always(None, Answer(hang=True))
    to = by(api.url)
    verdicts: list[object] = []
    thread = threading.Thread(target=lambda: verdicts.append(to.deliver(event())))
    thread.start()
    wait_until(lambda: len(api.requests) == 1)
    to.abort_overdue(time.monotonic())  # not yet
    assert thread.is_alive()
    if overdue:
        to.abort_overdue(time.monotonic() + 3600)
    else:
        to.abort_all()
    thread.join(30)
    [verdict] = verdicts
    assert isinstance(verdict, Troubled)
    assert verdict.why.startswith("no answer within ")


def test_throttled(api: EventsApi) -> None:
    """For as long as PagerDuty says."""
    api.always(OTHER, Answer(429, retry_after=7))
    assert by(api.url).deliver(event(OTHER)) == Throttled(429, 7.0)


# the question


def test_a_probe_holds_nothing_of_any_event() -> None:
    """PagerDuty refuses it in words of its own, and so is reached. It has its own connection."""
    asked: list[object] = []
    words = b'{"status":"invalid event","message":"x","errors":["y"]}'

    class Strict(Conversation):
        def handle(self) -> None:
            while self.read():
                asked.append(self.event)
                head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(words)
                self.request.sendall(head + words)

    with serving(Strict) as server:
        assert by(server.url).probe() == Refused(400, "x; y")
        assert (asked, server.connections) == ([{}], 1)
    assert isinstance(by("http://127.0.0.1:1").probe(), Unreachable)


def test_the_server_of_these_tests_names_the_event() -> None:
    """As PagerDuty does."""
    assert json.loads(ACCEPTED)["dedup_key"] == event().dedup_key
