"""What listens is reached by those who may, and nobody can make it work without end."""

import contextlib
import http.client
import os
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pdagent.serve.crowd import Bounds
from pdagent.serve.encryption import Encryption
from pdagent.serve.listen import Listener, is_local
from tests.support.agent import wait_until
from tests.support.events_api.certificates import CertificateAuthority

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class _Tls:
    """Whether what listens speaks TLS in this test, and with what."""

    def __init__(self) -> None:
        self.on = False
        self.context = CertificateAuthority().context()
        self.client = ssl.create_default_context()
        self.client.check_hostname, self.client.verify_mode = False, ssl.CERT_NONE


_TLS = _Tls()


@pytest.fixture(params=["plain", "TLS"], autouse=True)
def wire(request: pytest.FixtureRequest) -> None:
    """All bounds hold over both."""
    _TLS.on = request.param == "TLS"


BOUNDS = Bounds(body_bytes=1000, connections=20, threads=2, seconds=1)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def echo(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@contextmanager
def listening(
    address: str = "127.0.0.1:0", bounds: Bounds = BOUNDS, app: "WSGIApplication" = echo
) -> Iterator[Listener]:
    listener = Listener(address, app, bounds, Encryption(_TLS.context) if _TLS.on else None)
    yield listener
    listener.close()


def connect(listener: Listener) -> socket.socket:
    return to("127.0.0.1", listener)


def to(host: str, listener: Listener) -> socket.socket:
    made = socket.create_connection((host, listener.port), timeout=20)
    return _TLS.client.wrap_socket(made) if _TLS.on else made


def client(listener: Listener) -> http.client.HTTPConnection:
    if _TLS.on:
        return http.client.HTTPSConnection(
            "127.0.0.1", listener.port, timeout=20, context=_TLS.client
        )
    return http.client.HTTPConnection("127.0.0.1", listener.port, timeout=20)


def is_cut_off(connection: socket.socket) -> bool:
    try:
        return connection.recv(100) == b""
    except (ConnectionResetError, ssl.SSLEOFError):  # what it had sent was not read to its end
        return True


def post(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes]:
    connection.request("POST", "/", body)
    response = connection.getresponse()
    return response.status, response.read()


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


def test_requests_are_answered_over_tcp() -> None:
    """Several over one connection, too."""
    with listening() as listener:
        connection = client(listener)
        assert post(connection, b"one") == (200, b"one")
        assert post(connection, b"two") == (200, b"two")


def test_requests_are_answered_over_a_unix_socket_by_anyone(tmp_path: Path) -> None:
    """Whatever the daemon's umask. It is gone afterwards."""
    _TLS.on = False  # nobody but this host is there
    path = tmp_path / "events.sock"
    old = os.umask(0o077)
    try:
        with listening(str(path)):
            assert stat.S_IMODE(path.stat().st_mode) == 0o666
            connection = http.client.HTTPConnection("local", timeout=20)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(path))
            assert post(connection, b"hello") == (200, b"hello")
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
    """A request's first line comes at once or never."""
    bounds = Bounds(1000, seconds=3600, header_seconds=1)
    with listening(bounds=bounds) as listener, connect(listener) as slow, connect(listener) as body:
        slow.sendall(b"POST / HT")
        body.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx")
        assert slow.recv(100) == b""
        body.sendall(b"y")
        assert body.recv(100).startswith(b"HTTP/1.1 200")


def test_whoever_holds_all_connections_keeps_nobody_out() -> None:
    """The one that has kept us waiting longest makes way for the next."""
    bounds = Bounds(1000, connections=5, seconds=3600, header_seconds=3600)
    with listening(bounds=bounds) as listener:
        held = [connect(listener) for _ in range(20)]
        for connection in held:
            connection.send(b"P")
        last = client(listener)
        assert post(last, b"hello") == (200, b"hello")
        assert is_cut_off(held[0])


def test_a_clock_that_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Does not make newcomers those who have kept us waiting longest."""
    bounds = Bounds(1000, connections=5, seconds=3600, header_seconds=3600)
    with listening(bounds=bounds) as listener:
        held = [connect(listener) for _ in range(5)]
        for connection in held:
            connection.send(b"P")
        first = client(listener)
        assert post(first, b"hello") == (200, b"hello")
        assert is_cut_off(held[0])  # so all of them are known
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
        go_on.wait()
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
