"""What listens is reached by those who may, and nobody can make it work without end."""

import contextlib
import errno
import http.client
import logging
import os
import socket
import stat
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from pdagent import threads
from pdagent.serve.crowd import Bounds
from pdagent.serve.listen import LARGE_BYTES, Listener, _Dispatcher, is_local, open_socket
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
)


@pytest.fixture(params=["plain", "TLS"], autouse=True)
def wire(request: pytest.FixtureRequest) -> None:
    """All bounds hold over both."""
    TLS.on = request.param == "TLS"


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:1", True),
        ("127.1.2.3:1", True),
        ("[::1]:1", True),
        ("/run/x.sock", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("192.0.2.1:1", False),
        ("[2001:db8::1]:1", False),
    ],
)
def test_who_can_reach_an_address(address: str, local: bool) -> None:
    """Only loopback and Unix sockets keep other hosts out."""
    assert is_local(address) is local


def test_an_address_has_its_own_family(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every host has both."""
    asked: list[object] = []
    monkeypatch.setattr(socket, "create_server", lambda *args, **names: asked.append((args, names)))
    open_socket("127.0.0.1:8471")
    open_socket("[::1]:8472")
    assert asked == [
        ((("127.0.0.1", 8471),), {"family": socket.AF_INET}),
        ((("::1", 8472),), {"family": socket.AF_INET6}),
    ]


def test_what_is_in_line_is_no_news() -> None:
    """Clients could fill the log with it."""
    logger = logging.getLogger("waitress")
    logger.setLevel(logging.NOTSET)
    with listening():
        assert logger.level == logging.ERROR


def test_an_address_that_is_taken() -> None:
    """In the system's words alone: whoever listens has named the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="in use") as caught:
            open_socket(f"127.0.0.1:{taken.getsockname()[1]}")
        assert caught.value.strerror == "Address already in use"


def test_requests_are_answered_over_tcp() -> None:
    """Several over one connection, too."""
    with listening() as listener:
        connection = client(listener)
        assert post(connection, b"one") == (200, b"one")
        assert post(connection, b"two") == (200, b"two")


def local(path: Path) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("local")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(20)
    connection.sock.connect(str(path))
    return connection


def test_requests_are_answered_over_a_unix_socket_by_anyone(tmp_path: Path) -> None:
    """Whatever the daemon's umask. It is gone afterwards."""
    TLS.on = False  # nobody but this host is there
    path = tmp_path / "events.sock"
    old = os.umask(0o077)
    try:
        with listening(str(path)):
            assert stat.S_IMODE(path.stat().st_mode) == 0o666
            assert post(local(path), b"hello") == (200, b"hello")
    finally:
        os.umask(old)
    assert not path.exists()


def test_a_socket_that_a_dead_daemon_left_is_replaced(tmp_path: Path) -> None:
    """One that somebody serves is not, nor is a file."""
    path = str(tmp_path / "events.sock")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(path)
    dead.close()
    with listening(path), pytest.raises(OSError, match="in use"):
        Listener(path, echo, BOUNDS)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="in use"):
        Listener(str(tmp_path / "file"), echo, BOUNDS)


def test_a_socket_whose_server_takes_nobody_is_in_use(tmp_path: Path) -> None:
    """And whoever looks does not wait for it."""
    path = str(tmp_path / "events.sock")
    with ExitStack() as stack:
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(path)
        busy.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                waits = stack.enter_context(socket.socket(socket.AF_UNIX))
                waits.setblocking(False)
                waits.connect(path)

        said = []

        def look() -> None:
            with pytest.raises(OSError, match="in use") as raised:
                open_socket(path)
            said.append(raised.value.errno)

        looks = threading.Thread(target=look, daemon=True)
        looks.start()
        looks.join(20)
        assert said == [errno.EADDRINUSE]


def test_a_socket_that_somebody_removes_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, and the program's children do not get it."""
    TLS.on = False
    path = tmp_path / "events.sock"
    with listening(str(path)) as listener:
        path.unlink()
        loop = listener._thread
        for _ in range(2):
            listener.tend()
        assert caplog.text.count("made anew") == 1
        assert listener._thread is loop
        descriptor = listener._socket.fileno()
        assert (os.get_inheritable(descriptor), os.get_blocking(descriptor)) == (False, False)
        assert post(local(path), b"hello") == (200, b"hello")
        path.unlink()  # and it ends as ever


def test_who_listens_is_told_what_the_application_does_not_see() -> None:
    """Each answer that the listener gives by itself, for whoever counts them, and no other."""
    told: list[int] = []
    with listening(turned_away=told.append) as listener:
        for request, status in (
            (GET, b"200"),
            (GET.replace(b"\r\n\r\n", b"\r\nOrigin: http://evil.example\r\n\r\n"), b"403"),
            (b"POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n", b"413"),
            (b"GET / HTTP/1.1\r\nX: " + b"x" * 17_000 + b"\r\n\r\n", b"431"),
            (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        ):
            with connect(listener) as connection:
                connection.sendall(request)
                assert connection.recv(1000).split()[1] == status
    assert told == [403, 413, 431, 400]


def test_a_body_that_is_too_large_is_not_read() -> None:
    """Not even to its end, and not when its length is hidden."""
    with listening() as listener:
        with connect(listener) as large:
            large.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
            assert large.recv(100).startswith(b"HTTP/1.1 413")
        with connect(listener) as chunked:
            chunked.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            chunked.sendall(b"800\r\n" + b"x" * 0x800 + b"\r\n0\r\n\r\n")
            assert chunked.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "start", [b"", b"POST / HT", b"POST / HTTP/1.1\r\nContent-Length: 900\r\n\r\n"]
)
def test_a_slow_client_is_cut_off(start: bytes) -> None:
    """One that says nothing, or a byte at a time; others are served meanwhile."""
    with listening() as listener, connect(listener) as slow:
        slow.sendall(start)
        slow.settimeout(0.1)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if start:
                    slow.send(b"x")
                if not slow.recv(100):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            pytest.fail("still connected")
        other = client(listener)
        assert post(other, b"hello") == (200, b"hello")


def test_large_bodies_have_a_number_of_threads_for_good() -> None:
    """As many as at first, however many have been answered. Others do not wait for them."""
    dispatcher, served = _Dispatcher(2), []

    def add(size: int, peer: int = 0) -> None:
        request = SimpleNamespace(body_bytes_received=size)
        task = SimpleNamespace(requests=[request], service=lambda: served.append(size), peer=peer)
        dispatcher.add_task(task)

    for _ in range(3):
        for peer in (1, 2, 1, 2):
            add(LARGE_BYTES + 1, peer)
        assert len(dispatcher.queue) == 2
        add(LARGE_BYTES)
        assert len(dispatcher.queue) == 3
        while dispatcher.queue:
            dispatcher.queue.popleft().service()
            assert len(dispatcher.queue) <= 3
    assert sorted(served) == [LARGE_BYTES] * 3 + [LARGE_BYTES + 1] * 12


def test_headers_that_are_too_large_are_refused() -> None:
    """Others wait in memory until they are whole. Whoever asks is told who answers."""
    with listening() as listener:
        for size, answer in ((15_000, b"200"), (17_000, b"431")):
            with connect(listener) as large:
                large.sendall(GET[:-2] + b"X-Large: " + b"x" * size + b"\r\n\r\n")
                found = large.recv(1000)
                assert found[9:12] == answer
                assert b"\r\nServer: pdagent\r\n" in found


def test_as_many_connections_and_threads_as_its_bounds_say() -> None:
    """Not waitress's own number."""
    bounds = Bounds(1000, connections=120, threads=3, seconds=3600, header_seconds=3600)
    with listening(bounds=bounds) as listener, ExitStack() as stack:
        for _ in range(110):
            stack.enter_context(connect(listener))
        last = stack.enter_context(connect(listener))
        last.sendall(GET)
        assert last.recv(1000).startswith(b"HTTP/1.1 200")
        assert len(listener._server.task_dispatcher.threads) == 3


def test_threads_that_the_system_does_not_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are asked for once more, and not counted meanwhile."""
    dispatcher, given = _Dispatcher(1), [True, False, True, False, False, True]
    asked = []

    def start(task: object, name: str) -> object:
        asked.append(name)
        return task if given.pop(0) else None

    monkeypatch.setattr(threads, "start", start)
    dispatcher.set_thread_count(3)
    assert (dispatcher.threads, dispatcher.active_count) == ({0, 2}, 2)
    for _ in range(3):
        dispatcher.set_thread_count(3)
    assert (dispatcher.threads, dispatcher.active_count) == ({0, 1, 2}, 3)
    assert asked == [f"waitress-{number}" for number in (0, 1, 2, 1, 1, 1)]


def test_what_can_be_understood_in_two_ways_is_refused() -> None:
    """Whoever stands between may have understood it in the other (request smuggling)."""
    with listening() as listener, connect(listener) as both:
        both.sendall(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        assert both.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "start",
    [
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 5000,
        b"POST http://[::1/ HTTP/1.1\r\nHost: localhost",
        b"GET http://[x]y/ HTTP/1.1\r\nHost: localhost",
    ],
)
def test_what_no_parser_expects_is_answered(start: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """And is nothing for the log, which strangers could fill with it."""
    with listening() as listener, connect(listener) as stranger:
        stranger.sendall(start + b"\r\n\r\n")
        assert stranger.recv(100)[9:12] == b"400"
    assert caplog.text == ""


def test_headers_have_less_time_than_a_body() -> None:
    """A request's first line comes at once or never. Between two requests there is more time."""
    bounds = Bounds(1000, seconds=3600, header_seconds=1)
    with (
        listening(bounds=bounds) as listener,
        connect(listener) as asked,
        connect(listener) as mute,
    ):
        asked.sendall(GET)
        assert asked.recv(1000).startswith(b"HTTP/1.1 200")
        slow, body = connect(listener), connect(listener)
        slow.sendall(b"POST / HT")
        body.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx")
        assert slow.recv(100) == b""
        assert mute.recv(100) == b""
        body.sendall(b"y")
        assert body.recv(100).startswith(b"HTTP/1.1 200")
        asked.sendall(GET)
        assert asked.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_connection_ends_with_its_last_answer() -> None:
    """Where the client says that it asks no more, it need not wait for its time to be over."""
    with listening(bounds=Bounds(1000, seconds=3600)) as listener, connect(listener) as last:
        last.sendall(GET[:-2] + b"Connection: close\r\n\r\n")
        assert last.recv(1000).startswith(b"HTTP/1.1 200")
        while not is_cut_off(last):
            pass
