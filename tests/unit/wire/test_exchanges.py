"""Exchanges over one connection: which may follow another, and how each may end."""

import contextlib
import threading

import pytest

from pdagent.wire.connections import Stale, Unreached
from tests.support.agent import wait_until
from tests.support.raw_server import OK, Conversation, RawServer, serving
from tests.unit.wire.conversations import (
    REQUEST,
    Away,
    Silent,
    soon,
    to,
)


def test_a_sound_connection_carries_the_next_request(server: RawServer) -> None:
    """After a whole and final answer; the second post knows that it is not the first."""
    connection, first, second = to(server.url), soon(), soon()
    connection.open(first)
    assert not connection.sound
    assert connection.exchange(REQUEST, first).status == 202
    assert connection.sound
    assert connection.exchange(REQUEST, second).status == 202
    assert (first.reused, second.reused) == (False, True)
    assert (second.begun, second.sent) == (True, True)
    connection.close()
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        OK + b"H",
    ],
)
def test_after_an_answer_that_may_not_be_the_last_there_is_no_other(answer: bytes) -> None:
    """Nobody may take what comes then for an answer."""

    class Odd(Conversation):
        def handle(self) -> None:
            self.read()
            self.request.sendall(answer)
            self.read()

    with serving(Odd) as server:
        connection = to(server.url)
        connection.open(soon())
        assert connection.exchange(REQUEST, soon()).status == 202
        assert not connection.sound
        connection.close()


def test_who_speaks_before_he_is_asked_is_not_listened_to() -> None:
    """What he says could be taken for the answer. Nothing is sent."""

    class Eager(Conversation):
        def handle(self) -> None:
            self.request.sendall(OK)
            self.read()

    with serving(Eager) as server:
        connection, post = to(server.url), soon()
        connection.open(post)
        wait_until(lambda: not connection.silent())
        with pytest.raises(Unreached) as caught:
            connection.exchange(REQUEST, post)
        where = f"PagerDuty at 127.0.0.1:{server.port}"
        assert str(caught.value) == f"{where}: it spoke before it was asked"
        assert type(caught.value) is Unreached  # another connection would be like this one
        assert not post.begun
        connection.close()


def test_a_connection_whose_other_end_is_gone_is_not_silent() -> None:
    """So it carries nothing more."""

    class Brief(Conversation):
        def handle(self) -> None:
            self.read()
            self.request.sendall(OK)

    with serving(Brief) as server:
        connection = to(server.url)
        connection.open(soon())
        connection.exchange(REQUEST, soon())
        wait_until(lambda: not connection.silent())
        with pytest.raises(Stale):  # nobody has seen the request, so another may carry it
            connection.exchange(REQUEST, post := soon())
        assert not post.begun
        connection.close()


def test_who_answers_before_all_was_sent() -> None:
    """The answer counts. The connection carries nothing more, and the post was not all sent."""

    class Hasty(Conversation):
        def handle(self) -> None:
            self.request.recv(1)
            self.request.sendall(OK)
            self.reset()

    with serving(Hasty) as server:
        connection, post = to(server.url), soon()
        connection.open(post)
        with contextlib.suppress(Unreached):  # the answer may be lost with the rest
            assert connection.exchange(REQUEST + b"x" * 10_000_000, post).status == 202
        assert (post.begun, post.sent, connection.sound) == (True, False, False)
        connection.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "closed the connection without a whole answer"),
        (b"no\r\n", "its answer is not HTTP/1.1"),
    ],
)
def test_who_does_not_answer(answer: bytes, why: str) -> None:
    """Who it was is said."""

    class Odd(Conversation):
        def handle(self) -> None:
            self.read()
            self.request.sendall(answer)

    with serving(Odd) as server:
        connection, post = to(server.url), soon()
        connection.open(post)
        with pytest.raises(Unreached) as caught:
            connection.exchange(REQUEST, post)
        assert caught.value.stage == "connection"
        assert str(caught.value) == f"PagerDuty at 127.0.0.1:{server.port}: {why}"
        assert (post.sent, connection.sound) == (True, False)
        connection.close()


def test_an_answer_in_many_pieces_is_waited_for_twice_at_most() -> None:
    """For the first, and for the rest. Whoever came back for each byte would keep others from their
    work."""

    class Drip(Conversation):
        def handle(self) -> None:
            self.read()
            for byte in OK:
                self.request.sendall(bytes([byte]))

    away = Away()
    with serving(Drip) as server:
        connection = to(server.url)
        connection.open(soon())
        assert connection.exchange(REQUEST, away.post()).status == 202
        connection.close()
    assert away.times in (1, 2)
    assert not away.is_on


def test_a_long_request_keeps_nobody_from_his_work() -> None:
    """Its sender is away, since the kernel may not take all of it at once."""
    request, may_end = REQUEST + b"x" * 20_000_000, threading.Event()  # more than the kernel holds

    class Deaf(Conversation):
        def handle(self) -> None:
            may_end.wait(60)
            self.reset()

    away = Away()
    with serving(Deaf) as server:
        connection, post = to(server.url), away.post()
        connection.open(soon())

        def exchange() -> None:
            with contextlib.suppress(Unreached):
                connection.exchange(request, post)

        thread = threading.Thread(target=exchange)
        thread.start()
        wait_until(lambda: away.is_on)
        assert not post.sent
        may_end.set()
        thread.join(60)
        assert not thread.is_alive()
        connection.close()
    assert not away.is_on


def test_a_deadline_in_the_middle_of_an_answer() -> None:
    """It is no word of the other side's."""
    with serving(Silent) as server:
        connection, post = to(server.url), soon()
        connection.open(post)
        with pytest.raises(TimeoutError):
            connection.exchange(REQUEST, soon(0.2))
        assert not connection.sound
        connection.close()


def test_a_deadline_in_the_middle_of_the_request() -> None:
    """Whoever takes too long to read a request has not answered in time either."""
    request, may_end = REQUEST + b"x" * 20_000_000, threading.Event()  # more than the kernel holds

    gave_up: list[bool] = []

    class Deaf(Conversation):
        def handle(self) -> None:
            gave_up.append(not may_end.wait(40))

    with serving(Deaf) as server:
        connection = to(server.url)
        connection.open(soon())
        post = soon(0.2)
        with pytest.raises(TimeoutError):
            connection.exchange(request, post)
        assert not post.sent
        may_end.set()
        connection.close()
        wait_until(lambda: gave_up != [])
    assert gave_up == [False]
