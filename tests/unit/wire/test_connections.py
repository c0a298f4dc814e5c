"""A connection carries one exchange at a time, in bounded time, and says who refused it."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from pdagent.config import Config
from pdagent.wire.connections import Connection, Post, Target, Tls, Unreached
from pdagent.wire.proxy import Proxy
from tests.support.agent import wait_until
from tests.support.events_api import CertificateAuthority
from tests.support.raw_server import OK, Conversation, RawServer, black_hole, serving

REQUEST = b"POST /v2/enqueue HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


class Polite(Conversation):
    """Answers each request."""

    def handle(self) -> None:
        while self.read():
            self.request.sendall(OK)


@pytest.fixture
def server() -> Iterator[RawServer]:
    with serving(Polite) as server:
        yield server


def to(url: str, proxy: Proxy | None = None, **settings: str) -> Connection:
    return Connection(Target(url), proxy, "", Tls(Config(dict(settings))))


def soon(seconds: float = 20.0) -> Post:
    return Post(time.monotonic() + seconds)


# the target


@pytest.mark.parametrize(
    ("url", "host", "port", "authority"),
    [
        ("https://events.pagerduty.com", "events.pagerduty.com", 443, "events.pagerduty.com"),
        ("http://relay.example.:8080/x", "relay.example", 8080, "relay.example:8080"),
        ("http://[::1]", "::1", 80, "[::1]"),
    ],
)
def test_target(url: str, host: str, port: int, authority: str) -> None:
    """Host and port, and the header Host."""
    found = Target(url)
    assert (found.host, found.port, found.authority) == (host, port, authority)


# the post


def test_a_post_has_one_deadline() -> None:
    """What is left of it bounds each wait; after it there is none."""
    post = soon(100)
    assert post.left(5) == 5
    assert 5 < post.left() <= 100
    late = Post(time.monotonic() - 1)
    with pytest.raises(TimeoutError):
        late.left()
    assert late.overdue


def test_an_aborted_post_is_over(server: RawServer) -> None:
    """Also one that is aborted before it has a socket."""
    post = soon()
    post.abort()
    with pytest.raises(TimeoutError):
        to(server.url).open(post)
    assert server.requests == 0


def test_an_abort_ends_a_wait() -> None:
    """From another thread, at once, whatever the deadline is."""

    class Silent(Conversation):
        def handle(self) -> None:
            self.read()
            self.request.recv(1)

    with serving(Silent) as server:
        post = soon(3600)
        ended: list[type[BaseException]] = []

        def exchange() -> None:
            connection = to(server.url)
            try:
                connection.open(post)
                connection.exchange(REQUEST, post)
            except (Unreached, TimeoutError) as error:
                ended.append(type(error))
            connection.close()

        thread = threading.Thread(target=exchange)
        thread.start()
        wait_until(lambda: server.requests == 1)
        post.abort()
        thread.join(30)
        assert len(ended) == 1


# exchanges


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
        with pytest.raises(Unreached, match="spoke before it was asked"):
            connection.exchange(REQUEST, post)
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
        connection.close()


# on the way there


def stage(connection: Connection, post: Post | None = None) -> tuple[str, str]:
    """How far it got, and why not further."""
    with pytest.raises(Unreached) as caught:
        connection.open(post or soon())
    connection.close()
    return caught.value.stage, str(caught.value)


def test_nobody_listens() -> None:
    """PagerDuty's address is named, or the proxy's, without its password."""
    assert stage(to("http://127.0.0.1:1")) == (
        "connection",
        "PagerDuty at 127.0.0.1:1: Connection refused",
    )
    proxy = Proxy("http", "127.0.0.1", 1, "https_proxy", "Basic c2VjcmV0")
    assert stage(to("http://events.example", proxy)) == (
        "proxy",
        "the proxy at 127.0.0.1:1: Connection refused",
    )


def test_a_name_without_an_address() -> None:
    """Whose name it is is said."""
    found, why = stage(to("http://no.such.host.invalid"))
    assert found == "name"
    assert why.startswith("the name no.such.host.invalid: ")


def test_a_black_hole_leaves_time_for_the_other_addresses(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All addresses of a name share the seconds for connecting."""
    with black_hole("::1", server.port):
        found = [
            *socket.getaddrinfo("::1", server.port, type=socket.SOCK_STREAM),
            *socket.getaddrinfo("127.0.0.1", server.port, type=socket.SOCK_STREAM),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        connection, post = to(server.url), soon(4.0)
        connection.open(post)
        assert connection.exchange(REQUEST, soon()).status == 202
        connection.close()


def test_a_certificate_that_is_not_believed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Who issued it is said. The authorities are read anew the next time: they may be right by
    then."""
    theirs = CertificateAuthority(str(tmp_path_factory.mktemp("theirs")))
    other = CertificateAuthority(str(tmp_path_factory.mktemp("other")))
    bundle = tmp_path_factory.mktemp("ours") / "ca.pem"
    with open(other.ca_file, encoding="ascii") as file:
        bundle.write_text(file.read())
    with serving(Polite, tls=theirs.context()) as server:
        connection = to(server.url, ca_file=str(bundle))
        found, why = stage(connection)
        assert found == "tls"
        assert "certificate verify failed" in why
        with open(theirs.ca_file, encoding="ascii") as file:
            bundle.write_text(file.read())
        post = soon()
        connection.open(post)
        assert connection.exchange(REQUEST, post).status == 202
        connection.close()


def test_no_authorities_at_all() -> None:
    """Nothing can be believed then."""
    with serving(Polite) as server:
        url = server.url.replace("http:", "https:")
        assert stage(to(url, ca_file="/none"))[0] == "trust"


def test_a_tunnel(server: RawServer) -> None:
    """Through the proxy to PagerDuty, with the proxy's password and nothing else; a refusal does
    not quote the proxy's words."""
    asked: list[bytes] = []
    said = [b"HTTP/1.1 407 secret\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nmore"]

    class Gate(Conversation):
        def handle(self) -> None:
            asked.append(self.request.recv(65_536))
            self.request.sendall(said.pop(0))
            self.request.recv(1)

    with serving(Gate) as gate:
        proxy = Proxy("http", "127.0.0.1", gate.port, "proxy_url", "Basic c2VjcmV0")
        connection = to("https://events.example", proxy)
        where = f"the proxy at 127.0.0.1:{gate.port}"
        assert stage(connection) == (
            "proxy",
            f"{where} answered 407 Proxy Authentication Required",
        )
        assert stage(connection) == ("proxy", f"{where}: it sent more than its answer")
    [first, _] = asked
    lines = first.decode().split("\r\n")
    assert lines[0] == "CONNECT events.example:443 HTTP/1.1"
    assert "Proxy-Authorization: Basic c2VjcmV0" in lines
