"""Clients have bounds, each of them and all together, so that nobody keeps others out."""

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pdagent.serve import crowd
from pdagent.serve.crowd import Bounds
from pdagent.serve.listen import Listener
from tests.support.agent import wait_until
from tests.unit.serve.clients import (
    BOUNDS,
    GET,
    TLS,
    client,
    connect,
    echo,
    is_cut_off,
    listening,
    post,
    to,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@pytest.fixture(params=["plain", "TLS"], autouse=True)
def wire(request: pytest.FixtureRequest) -> None:
    """All bounds hold over both."""
    TLS.on = request.param == "TLS"


FIVE = Bounds(1000, connections=5, seconds=3600, header_seconds=3600)


def waiting(listener: Listener, number: int) -> list[socket.socket]:
    """Connections that have begun a request, and say no more."""
    held = [connect(listener) for _ in range(number)]
    for connection in held:
        connection.send(b"P")
    return held


def test_whoever_holds_all_connections_keeps_nobody_out() -> None:
    """The one that has kept us waiting longest makes way for the next."""
    with listening(bounds=FIVE) as listener:
        held = waiting(listener, 20)
        last = client(listener)
        assert post(last, b"hello") == (200, b"hello")
        assert is_cut_off(held[0])


def test_a_clock_that_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Does not make newcomers those who have kept us waiting longest."""
    with listening(bounds=FIVE) as listener:
        held = waiting(listener, 5)
        wait_until(lambda: sum(c.request is not None for c in listener._crowd._open()) == 5)
        first = client(listener)
        assert post(first, b"hello") == (200, b"hello")
        assert is_cut_off(held[0])
        present = time.time
        monkeypatch.setattr(time, "time", lambda: present() - 3600)
        assert post(client(listener), b"hello") == (200, b"hello")
        assert is_cut_off(held[1])


def of_this_host() -> str:
    """An address of this host that is not on the loopback interface, so that it is another peer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


def test_a_crowd_does_not_take_the_places_of_others() -> None:
    """It is the peer with the most connections who loses one, however old those of others are."""
    bounds = Bounds(1000, connections=3, seconds=3600, header_seconds=3600)
    with listening("0.0.0.0:0", bounds) as listener:
        quiet = to(of_this_host(), listener)
        quiet.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")
        held = [connect(listener) for _ in range(10)]
        last = client(listener)
        assert post(last, b"hello") == (200, b"hello")
        quiet.sendall(b"y")
        assert quiet.recv(100).startswith(b"HTTP/1.1 200")
        assert is_cut_off(held[0])


def test_a_busy_crowd_does_not_take_the_places_of_others() -> None:
    """Not even one whose connections all wait for an answer: it loses one of these."""
    bounds = Bounds(1000, connections=3, threads=1, seconds=3600, header_seconds=3600)
    go_on = threading.Event()

    def slow(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        go_on.wait(60)
        return echo(environ, start)

    with listening("0.0.0.0:0", bounds, slow) as listener:
        busy = [connect(listener) for _ in range(3)]
        for connection in busy:
            connection.sendall(GET)
        wait_until(lambda: [c.is_served for c in listener._crowd._open()] == [True] * 3)
        other = to(of_this_host(), listener)
        other.sendall(GET)
        wait_until(lambda: [is_held(each, listener) for each in busy].count(True) == 2)
        go_on.set()
        assert other.recv(100).startswith(b"HTTP/1.1 200")


def test_who_is_being_answered_does_not_make_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """For whoever comes, one that keeps us waiting does, however long the answer takes."""
    monkeypatch.setattr(crowd, "WAIT_SECONDS", 0.0)
    bounds = Bounds(1000, connections=3, seconds=3600, header_seconds=3600)
    go_on = threading.Event()

    def slow(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        go_on.wait(60)
        return echo(environ, start)

    with listening(bounds=bounds, app=slow) as listener:
        answered = connect(listener)
        answered.sendall(GET)
        wait_until(lambda: [c.is_served for c in listener._crowd._open()] == [True])
        held = waiting(listener, 3)
        wait_until(lambda: [is_held(each, listener) for each in held].count(True) == 2)
        go_on.set()
        assert answered.recv(100).startswith(b"HTTP/1.1 200")


def test_who_asks_again_has_not_kept_us_waiting() -> None:
    """However old the connection is: the one that has said nothing since then makes way."""
    begun, go_on = threading.Event(), threading.Event()

    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            begun.set()
            go_on.wait(60)
        return echo(environ, start)

    with listening(bounds=replace(FIVE, connections=2), app=app) as listener:
        again = connect(listener)
        again.sendall(GET)
        assert again.recv(100).startswith(b"HTTP/1.1 200")
        mute = connect(listener)
        wait_until(lambda: len(listener._crowd._open()) == 2)
        again.sendall(GET.replace(b"/", b"/slow", 1))
        assert begun.wait(60)
        with connect(listener):
            assert is_cut_off(mute)
        go_on.set()
        assert again.recv(100).startswith(b"HTTP/1.1 200")


def test_where_nobody_has_many_places_a_newcomer_finds_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tenth of all places is not many: none of those who wait for an answer loses it."""
    peers = count()
    monkeypatch.setattr(crowd, "_peer", lambda *_: next(peers))
    bounds = Bounds(1000, connections=10, threads=1, seconds=3600, header_seconds=3600)
    go_on = threading.Event()

    def slow(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        go_on.wait(60)
        return echo(environ, start)

    with listening(bounds=bounds, app=slow) as listener:
        busy = [connect(listener) for _ in range(10)]
        for connection in busy:
            connection.sendall(GET)
        wait_until(lambda: [c.is_served for c in listener._crowd._open()] == [True] * 10)
        with contextlib.suppress(ConnectionError, ssl.SSLError):  # in TLS's handshake
            assert is_cut_off(connect(listener))
        go_on.set()
        for connection in busy:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_one_client_cannot_fill_the_line() -> None:
    """If it sends hundreds of requests before it reads an answer, it is cut off. A few are fine."""
    with listening() as listener, connect(listener) as eager, connect(listener) as few:
        few.sendall(GET * 5)
        answers = b""
        while answers.count(b"200 OK") < 5:
            answers += few.recv(1000)
        eager.sendall(GET * 500)
        answers = b""
        with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
            while part := eager.recv(10_000):
                answers += part
        assert answers.count(b"200 OK") < 500


def test_a_client_that_does_not_read_is_cut_off() -> None:
    """The system keeps what it can of an answer, and the rest would wait for ever."""

    def much(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        start("200 OK", [("Content-Length", "16000000")])
        return [b"x" * 16_000_000]

    with listening(app=much) as listener, connect(listener) as deaf:
        deaf.sendall(GET)
        assert deaf.recv(8) == b"HTTP/1.1"
        wait_until(lambda: not is_held(deaf, listener))


def test_an_answer_that_is_being_written_does_not_keep_the_loop_busy() -> None:
    """Else, with 200 clients, the loop takes the processor from the threads that it waits for."""
    begun, go_on = threading.Event(), threading.Event()
    told = []

    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            channel = environ["waitress.client_disconnected"].__self__
            send = channel.send

            def send_later(*args: Any, **kwargs: Any) -> Any:
                begun.set()
                assert go_on.wait(60)
                return send(*args, **kwargs)

            channel.send, channel.handle_write = send_later, lambda: told.append("may write")
        return echo(environ, start)

    with listening(app=app, bounds=replace(BOUNDS, seconds=60)) as listener:
        slow = connect(listener)
        slow.sendall(GET.replace(b"/", b"/slow", 1))
        assert begun.wait(60)
        other = client(listener)
        for _ in range(5):  # the loop comes round for each of them
            assert post(other, b"hello") == (200, b"hello")
        assert told == []
        go_on.set()
        assert slow.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_what_is_left_of_an_answer_comes_once_the_client_reads() -> None:
    whole = bytes(16 * 1024 * 1024)  # more than the kernel keeps for a client

    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/large":
            return echo(environ, start)
        start("200 OK", [("Content-Length", str(len(whole)))])
        return [whole]

    with listening(app=app, bounds=replace(BOUNDS, threads=1, seconds=60)) as listener:
        late = client(listener)
        late.request("GET", "/large")
        # the only thread has done with the large answer when it gives another
        assert post(client(listener), b"hello") == (200, b"hello")
        assert late.getresponse().read() == whole


def test_the_loop_wakes_when_the_first_client_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not a second after that."""
    made = crowd.Crowd(Bounds(1000, seconds=3600), lambda _: None)
    late = SimpleNamespace(is_served=False, is_in_headers=False)
    monkeypatch.setattr(made, "_open", lambda: [late])
    late.active_at = time.monotonic() - 3599.5
    assert made.seconds_left() <= 0.5
    late.active_at -= 60.0
    assert made.seconds_left() == 0.0


@pytest.mark.needs_root
def test_clients_of_a_unix_socket_are_told_apart_by_their_user() -> None:
    """And not by their group or process, of which one user may have many."""
    os.setegid(54_321)
    os.seteuid(12_345)
    try:
        one, other = socket.socketpair(socket.AF_UNIX)
    finally:
        os.seteuid(0)
        os.setegid(0)
    with one, other:
        assert crowd._peer(one, ("", 0)) == 12_345


def is_held(connection: socket.socket, listener: Listener) -> bool:
    """Whether the listener has its end of a connection still. The kernel goes on alone with what
    nobody has any more: then there is no inode."""
    ends = [f":{port:04X}" for port in (listener.port, connection.getsockname()[1])]
    for line in Path("/proc/net/tcp").read_text().splitlines():
        fields = line.split()
        if [fields[1][-5:], fields[2][-5:]] == ends:
            return fields[9] != "0"
    return False


def test_large_bodies_take_no_places_of_others() -> None:
    """Who sends large ones loses one, and not who has more connections."""
    bounds = Bounds(100_000, all_bytes=250_000, seconds=3600)
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n"
    with listening("0.0.0.0:0", bounds) as listener:
        many = [to(of_this_host(), listener) for _ in range(9)]
        for connection in many:
            connection.sendall(GET)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        held = [connect(listener) for _ in range(5)]
        for connection in held:
            connection.sendall(head + b"x" * 90_000)
        assert [is_cut_off(connection) for connection in held[:3]] == [True] * 3
        for connection in many:
            connection.sendall(GET)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_many_bodies_take_no_places_of_a_larger_one() -> None:
    """It is the peer whose bodies are the largest together who loses one that has a body."""
    bounds = Bounds(100_000, all_bytes=250_000, seconds=3600, header_seconds=3600)
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n"
    with listening("0.0.0.0:0", bounds) as listener:
        [quiet] = waiting(listener, 1)
        large = to(of_this_host(), listener)
        large.sendall(head + b"x" * 80_000)
        wait_until(lambda: sum(c.body_bytes for c in listener._crowd._open()) == 80_000)
        many = [connect(listener) for _ in range(3)]
        for connection in many:
            connection.sendall(head + b"x" * 60_000)
        wait_until(lambda: [is_held(each, listener) for each in many].count(True) == 2)
        large.sendall(b"x" * 10_000)
        assert large.recv(100).startswith(b"HTTP/1.1 200")
        quiet.sendall(GET[1:].replace(b"ET", b"OST", 1))
        assert quiet.recv(100).startswith(b"HTTP/1.1 200")


def test_large_bodies_take_no_threads_of_others() -> None:
    """However many come, and however long each takes: small ones are answered meanwhile, and then
    all of them."""
    bounds = Bounds(100_000, threads=4, seconds=3600)
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n"
    go_on = threading.Event()

    def slow(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if int(environ["CONTENT_LENGTH"]) > 1000:
            go_on.wait(60)
        return echo(environ, start)

    with listening(bounds=bounds, app=slow) as listener:
        large = [connect(listener) for _ in range(8)]
        for connection in large:
            connection.sendall(head + b"x" * 20_000)
        wait_until(lambda: [c.is_served for c in listener._crowd._open()] == [True] * 8)
        assert post(client(listener), b"hello") == (200, b"hello")
        go_on.set()
        for connection in large:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("threads", "order"), [(4, ["many", "many", "one"]), (8, ["one"])])
def test_peers_with_large_bodies_take_turns(threads: int, order: list[str]) -> None:
    """Who sends one waits for one of another's, and not for all of them; or for none, where there
    is more than one thread for them."""
    bounds = Bounds(100_000, threads=threads, seconds=3600)
    head = b"POST /%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n"
    go_on = threading.Event()
    answered = []

    def slow(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"].removeprefix("/")
        if path == "many" or threads == 4:
            go_on.wait()
        answered.append(path)
        return echo(environ, start)

    with listening("0.0.0.0:0", bounds, slow) as listener:
        many = [to(of_this_host(), listener) for _ in range(6)]
        for connection in many:
            connection.sendall(head % b"many" + b"x" * 20_000)
        wait_until(lambda: [c.is_served for c in listener._crowd._open()] == [True] * 6)
        with connect(listener) as one:
            one.sendall(head % b"one" + b"x" * 20_000)
            wait_until(lambda: len(listener._crowd._open()) == 7)
            wait_until(lambda: all(c.is_served for c in listener._crowd._open()) or answered)
            if threads == 8:
                assert one.recv(100).startswith(b"HTTP/1.1 200")
            go_on.set()
            for connection in many:
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert answered[: len(order)] == order


def test_all_bodies_together_are_bounded() -> None:
    """Those that are on their way; who comes with a small one is served."""
    bounds = Bounds(100_000, all_bytes=250_000, seconds=3600)
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n"
    with listening(bounds=bounds) as listener:
        held = [connect(listener) for _ in range(5)]
        for connection in held:
            connection.sendall(head + b"x" * 90_000)
        # Three have to go before there is room. By then the last of them has been read, too, so
        # that whoever comes now has waited for a shorter time than all of these.
        assert [is_cut_off(connection) for connection in held[:3]] == [True] * 3
        assert post(client(listener), b"hello") == (200, b"hello")
        held[-1].sendall(b"x" * 9_999)
        assert held[-1].recv(100).startswith(b"HTTP/1.1 200")
