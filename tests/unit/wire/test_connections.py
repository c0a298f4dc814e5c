"""A connection carries one exchange at a time, in bounded time, and says who refused it."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.wire import connections
from pdagent.wire.connections import AGENT, Connection, Stale, Target, Tls, Unreached, said
from pdagent.wire.post import Post
from pdagent.wire.proxy import Proxy
from tests.support.agent import wait_until
from tests.support.events_api import CertificateAuthority
from tests.support.events_api.certificates import home_made
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


def soon(seconds: float = 60.0) -> Post:
    return Post(time.monotonic() + seconds)


class Absence:
    """How often somebody went away, and whether he is now. Nobody goes away twice."""

    def __init__(self) -> None:
        self.times = 0
        self.is_on = False

    def __enter__(self) -> None:
        assert not self.is_on
        self.times += 1
        self.is_on = True

    def __exit__(self, *_: object) -> None:
        self.is_on = False

    def post(self) -> Post:
        return Post(time.monotonic() + 60.0, away=self)


# the target


@pytest.mark.parametrize(
    ("url", "host", "port", "authority"),
    [
        ("https://events.pagerduty.com", "events.pagerduty.com", 443, "events.pagerduty.com"),
        ("http://relay.example.:8080/x", "relay.example", 8080, "relay.example:8080"),
        ("http://[::1]", "::1", 80, "[::1]"),
        ("https://[::1]:80", "::1", 80, "[::1]:80"),
        ("http://relay.example:443", "relay.example", 443, "relay.example:443"),
        ("http:///x", "", 80, ""),
    ],
)
def test_target(url: str, host: str, port: int, authority: str) -> None:
    """Host and port, and the header Host."""
    found = Target(url)
    assert (found.host, found.port, found.authority) == (host, port, authority)
    assert found.tls is url.startswith("https:")
    assert found.name == (f"[{host}]" if ":" in host else host)


def test_why_something_is_not_reached() -> None:
    """In one printable line, which is not too long."""
    error = Unreached("name", "a\nb\x1b" + "c" * 1000)
    assert error.stage == "name"
    assert str(error) == "a b " + "c" * 496


def test_an_aborted_post_is_over(server: RawServer) -> None:
    """Also one that is aborted before it has a socket."""
    post = soon()
    post.abort()
    with pytest.raises(TimeoutError):
        to(server.url).open(post)
    assert server.requests == 0


class Silent(Conversation):
    """It reads the request, and never answers."""

    def handle(self) -> None:
        self.read()
        self.request.recv(1)


def test_an_abort_ends_a_wait() -> None:
    """From another thread, at once, whatever the deadline is."""
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
        with pytest.raises(Unreached) as caught:
            connection.exchange(REQUEST, post)
        where = f"PagerDuty at 127.0.0.1:{server.port}"
        assert str(caught.value) == f"{where}: it spoke before it was asked"
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


@pytest.mark.parametrize(("seconds", "least", "most"), [(1000.0, 500.0, 1000.0), (0.01, 0.1, 0.1)])
def test_what_earlier_addresses_leave_is_for_the_last(
    server: RawServer,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    least: float,
    most: float,
) -> None:
    """An address that refuses at once takes no time from the others. Each has a moment at least."""
    monkeypatch.setattr(connections, "CONNECT_SECONDS", seconds)
    ports = (1, server.port)  # nobody listens at the first
    found = [socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)[0] for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    connection = to(server.url)
    connection.open(soon(10_000))
    assert least <= connection.sock.gettimeout() <= most
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


@pytest.mark.parametrize("authorization", ["", "Basic c2VjcmV0"])
def test_what_a_proxy_is_asked(authorization: str) -> None:
    """For a tunnel, and nothing else of ours is in it."""
    asked: list[bytes] = []

    class Gate(Conversation):
        def handle(self) -> None:
            asked.append(self.request.recv(65_536))
            self.request.sendall(b"HTTP/1.1 300 Choose\r\n\r\n")

    with serving(Gate) as gate:
        proxy = Proxy("http", "127.0.0.1", gate.port, "proxy_url", authorization)
        found = stage(to("https://[::1]:8443", proxy))
        assert found == (
            "proxy",
            f"the proxy at 127.0.0.1:{gate.port} answered 300 Multiple Choices",
        )
    lines = ["CONNECT [::1]:8443 HTTP/1.1", "Host: [::1]:8443", f"User-Agent: {AGENT}"]
    lines += [f"Proxy-Authorization: {authorization}"] if authorization else []
    assert asked == ["\r\n".join([*lines, "", ""]).encode()]


class Passing(Conversation):
    """A proxy that makes a tunnel to wherever it is asked for."""

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(1)
        port = int(head.split()[1].rpartition(b":")[2])
        with socket.create_connection(("127.0.0.1", port)) as beyond:
            self.request.sendall(b"HTTP/1.1 299 Fine\r\n\r\n")
            back = threading.Thread(target=self.pass_on, args=(beyond, self.request))
            back.start()
            self.pass_on(self.request, beyond)
            back.join()

    def pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(str(tmp_path_factory.mktemp("authority")))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_tls_through_a_tunnel(authority: CertificateAuthority, scheme: str) -> None:
    """Also through a proxy that speaks TLS itself. What goes wrong then is PagerDuty's, and the
    proxy is named beside it."""

    class Rude(Conversation):
        def handle(self) -> None:
            if self.read():
                self.request.sendall(OK)
            if self.read():
                self.request.sendall(b"no\r\n\r\n")

    outer = authority.context() if scheme == "https" else None
    with serving(Rude, tls=authority.context()) as server, serving(Passing, tls=outer) as gate:
        proxy = Proxy(scheme, "localhost", gate.port, "proxy_url")
        connection = to(server.url, proxy, ca_file=authority.ca_file)
        away = Absence()
        with away:  # as the adapter is while it opens one
            connection.open(away.post())
        assert connection.exchange(REQUEST, soon()).status == 202
        assert connection.sound
        with pytest.raises(Unreached) as caught:
            connection.exchange(REQUEST, soon())
        connection.close()
    where = f"PagerDuty, through the proxy at localhost:{gate.port}: "
    assert (caught.value.stage, str(caught.value)[: len(where)]) == ("connection", where)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_certificate_beyond_a_tunnel(
    authority: CertificateAuthority, tmp_path: Path, scheme: str
) -> None:
    """Who issued the one that is not believed is said, whatever is around it."""
    outer = authority.context() if scheme == "https" else None
    other, _ = home_made(str(tmp_path))
    with serving(Polite, tls=other) as server, serving(Passing, tls=outer) as gate:
        proxy = Proxy(scheme, "localhost", gate.port, "proxy_url")
        found, why = stage(to(server.url, proxy, ca_file=authority.ca_file))
    assert found == "tls"
    assert '; it was issued by "Home-made Gateway CA"' in why


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_certificate_of_another_host_beyond_a_tunnel(
    authority: CertificateAuthority, scheme: str
) -> None:
    """It is not believed, though its authority is. Whoever holds it is not PagerDuty."""
    outer = authority.context() if scheme == "https" else None
    other = authority.context(["elsewhere.example"])
    with serving(Polite, tls=other) as server, serving(Passing, tls=outer) as gate:
        proxy = Proxy(scheme, "localhost", gate.port, "proxy_url")
        found, why = stage(to(server.url, proxy, ca_file=authority.ca_file))
    assert found == "tls"
    assert "certificate verify failed" in why


def test_a_proxy_that_speaks_tls(authority: CertificateAuthority) -> None:
    """Plain HTTP goes through it without a tunnel. Its certificate has to be believed."""
    with serving(Polite, tls=authority.context()) as gate:
        proxy = Proxy("https", "localhost", gate.port, "proxy_url")
        connection = to("http://events.example", proxy, ca_file=authority.ca_file)
        connection.open(soon())
        assert connection.exchange(REQUEST, soon()).status == 202
        connection.close()
        assert gate.requests == 1
    with serving(Polite, tls=authority.context(["elsewhere.example"])) as gate:
        proxy = Proxy("https", "localhost", gate.port, "proxy_url")
        found, why = stage(to("http://events.example", proxy, ca_file=authority.ca_file))
        assert found == "proxy"
        assert why.startswith(f"the proxy at localhost:{gate.port}: certificate verify failed: ")
        assert gate.connections == 1  # nobody asks it for plain HTTP


def test_a_proxy_that_does_not_speak_tls(authority: CertificateAuthority) -> None:
    """It is said what to write, if it speaks HTTP. The question holds no password."""
    asked: list[bytes] = []
    answer = [b"HTTP/1.1 400 Bad Request\r\n\r\n"]

    class Plain(Conversation):
        def handle(self) -> None:
            data = self.request.recv(65_536)
            asked.append(data)
            if data.startswith(b"OPTIONS"):
                self.request.sendall(answer[0])

    with serving(Plain) as gate:
        where = f"localhost:{gate.port}"
        proxy = Proxy("https", "localhost", gate.port, "https_proxy", "Basic c2VjcmV0")
        assert stage(to("https://events.example", proxy, ca_file=authority.ca_file)) == (
            "proxy",
            f"the proxy at {where}: it speaks plain HTTP: write http:// before it, not https:// "
            "(https_proxy)",
        )
        assert asked[1] == f"OPTIONS * HTTP/1.1\r\nHost: {where}\r\n\r\n".encode()
        answer[0] = b"hello"
        found, why = stage(to("https://events.example", proxy, ca_file=authority.ca_file))
        assert found == "proxy"
        assert why.startswith(f"the proxy at {where}: no TLS: ")


class Mute(Conversation):
    """Reads, and says nothing."""

    def handle(self) -> None:
        while self.request.recv(65_536):
            pass


def test_a_proxy_that_says_nothing(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for, neither for TLS nor for plain HTTP, and nobody knows what it speaks."""
    monkeypatch.setattr(connections, "PROXY_TLS_SECONDS", 0.1)
    monkeypatch.setattr(connections, "PLAIN_SECONDS", 0.1)

    with serving(Mute) as gate:
        proxy = Proxy("https", "localhost", gate.port, "https_proxy")
        assert stage(to("https://events.example", proxy, ca_file=authority.ca_file)) == (
            "proxy",
            f"the proxy at localhost:{gate.port}: no TLS: timed out",
        )


def test_pagerduty_that_does_not_speak_tls(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words of OpenSSL's, as a person can read them. Whoever says nothing is not waited for."""

    class Plain(Conversation):
        def handle(self) -> None:
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            self.request.recv(65_536)

    with serving(Plain) as server:
        url = server.url.replace("http:", "https:")
        found, why = stage(to(url, ca_file=authority.ca_file))
    where = f"PagerDuty at 127.0.0.1:{server.port}: no TLS: "
    assert found == "tls"
    assert why in (f"{where}wrong version number", f"{where}record layer failure")
    monkeypatch.setattr(connections, "CONNECT_SECONDS", 0.1)
    with serving(Mute) as silent:
        url = silent.url.replace("http:", "https:")
        assert stage(to(url, ca_file=authority.ca_file)) == (
            "tls",
            f"PagerDuty at 127.0.0.1:{silent.port}: no TLS: timed out",
        )


def test_a_certificate_of_ours_that_cannot_be_used(authority: CertificateAuthority) -> None:
    """The setting is named."""
    with serving(Polite, tls=authority.context()) as server:
        url, cert = server.url, "/none"
        connection = to(
            url, None, events_url=url, ca_file=authority.ca_file, events_client_cert=cert
        )
        found = stage(connection)
    assert found == ("identity", "events_client_cert = /none: No such file or directory")


def test_a_certificate_of_ours(authority: CertificateAuthority, tmp_path: Path) -> None:
    """A relay that asks for one takes the event."""
    strict = authority.context()
    strict.verify_mode = ssl.CERT_REQUIRED
    strict.load_verify_locations(authority.ca_file)
    cert, key = authority.files(str(tmp_path), "client")
    with serving(Polite, tls=strict) as server:
        connection = to(
            server.url,
            events_url=server.url,
            ca_file=authority.ca_file,
            events_client_cert=cert,
            events_client_key=key,
        )
        connection.open(soon())
        assert connection.exchange(REQUEST, soon()).status == 202
        connection.close()


def test_authorities_of_the_environment(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE counts where the configuration names none, as for OpenSSL."""
    monkeypatch.setenv("SSL_CERT_FILE", authority.ca_file)
    with serving(Polite, tls=authority.context()) as server:
        connection = to(server.url)
        connection.open(soon())
        assert connection.exchange(REQUEST, soon()).status == 202
        connection.close()


def test_a_certificate_of_ours_that_is_not_accepted(authority: CertificateAuthority) -> None:
    """The other side says so after the handshake, where an answer would be."""
    strict = authority.context()
    strict.verify_mode = ssl.CERT_REQUIRED
    strict.load_verify_locations(authority.ca_file)
    with serving(Polite, tls=strict) as server:
        connection = to(server.url, ca_file=authority.ca_file)
        connection.open(soon())
        wait_until(lambda: not connection.silent())
        with pytest.raises(Unreached) as caught:
            connection.exchange(REQUEST, soon())
        connection.close()
    assert caught.value.stage == "connection"
    assert str(caught.value).startswith(f"PagerDuty at 127.0.0.1:{server.port}: ")
    assert str(caught.value).endswith(
        "certificate required: it does not accept this host's certificate (events_client_cert)"
    )


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


def test_an_answer_in_many_pieces_is_waited_for_once() -> None:
    """Whoever came back for each byte would keep others from their work."""

    class Drip(Conversation):
        def handle(self) -> None:
            self.read()
            for byte in OK:
                self.request.sendall(bytes([byte]))

    away = Absence()
    with serving(Drip) as server:
        connection = to(server.url)
        connection.open(soon())
        assert connection.exchange(REQUEST, away.post()).status == 202
        connection.close()
    assert (away.times, away.is_on) == (1, False)


def test_a_long_request_keeps_nobody_from_his_work() -> None:
    """Its sender is away, since the kernel may not take all of it at once."""
    request, may_end = REQUEST + b"x" * 20_000_000, threading.Event()  # more than the kernel holds

    class Deaf(Conversation):
        def handle(self) -> None:
            may_end.wait(60)
            self.reset()

    away = Absence()
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


def test_which_way_it_goes() -> None:
    """From the address that is set and any port, and to one of either family, which is named as
    people write it."""
    came_from: list[tuple[str, int]] = []

    class Curious(Conversation):
        def handle(self) -> None:
            came_from.append(self.client_address)
            self.request.recv(1)

    with serving(Curious) as server:
        connection = Connection(Target(server.url), None, "127.0.0.9", Tls(Config({})))
        connection.open(soon())
        nodelay = connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        connection.close()
        wait_until(lambda: bool(came_from))
    [(address, port)] = came_from
    assert address == "127.0.0.9"
    assert port > 1023  # the system's choice: two connections at a time have one each
    assert nodelay
    assert stage(to("http://[::1]:1")) == ("connection", "PagerDuty at [::1]:1: Connection refused")


def test_a_name_that_stands_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy's, or PagerDuty's; also one that resolves to no address."""
    proxy = Proxy("http", "no.such.proxy.invalid", 3128, "https_proxy")
    found, why = stage(to("http://events.example", proxy))
    assert found == "name"
    assert why.startswith("the proxy's name no.such.proxy.invalid: ")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    assert stage(to("http://events.example")) == ("connection", "PagerDuty: it has no address")


def test_what_is_open_is_closed(server: RawServer) -> None:
    """Also where the connection is closed twice."""
    connection, post = to(server.url), soon()
    connection.close()
    connection.open(post)
    sock, twin = connection.sock, post.twin
    assert twin is not None
    connection.close()
    assert (sock.fileno(), twin.fileno()) == (-1, -1)
    connection.close()
    post.abort()  # which comes too late, and harms nobody
    assert post.overdue


def test_one_context_for_all_connections(authority: CertificateAuthority) -> None:
    """Reading the authorities takes time. After a refusal they are read anew."""
    tls = Tls(Config({"ca_file": authority.ca_file}))
    first = tls.context()
    assert tls.context() is first
    tls.forget()
    assert tls.context() is not first


@pytest.mark.parametrize(
    ("status", "words"),
    [(502, "502 Bad Gateway"), (407, "407 Proxy Authentication Required"), (599, "599")],
)
def test_a_status_in_words(status: int, words: str) -> None:
    """If it has any."""
    assert said(status) == words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(110, "Connection timed out"), "timed out"),
        (ssl.SSLEOFError(8, "EOF"), "the connection was closed in violation of the protocol"),
        (OSError(111, "Connection refused"), "Connection refused"),
        (OSError("it has no address"), "it has no address"),
        (UnicodeError(), "UnicodeError"),
    ],
)
def test_an_error_in_words(error: Exception, words: str) -> None:
    """Never in none."""
    assert connections._words(error) == words


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("WRONG_VERSION_NUMBER", "wrong version number"),
        ("TLSV1_ALERT_UNKNOWN_CA", f"tlsv1 alert unknown ca: {connections._NOT_OURS}"),
        (None, "it failed"),
    ],
)
def test_openssls_words(reason: str | None, words: str) -> None:
    """As a person can read them. Some errors have no name."""
    error = ssl.SSLError(1, "IT_failed")
    error.reason = reason  # type: ignore[assignment]
    assert connections._words(error) == words


@pytest.mark.parametrize(
    ("words", "is_about_us"),
    [
        ("tlsv13 alert certificate required", True),
        ("tlsv1 alert unknown ca", True),
        ("tlsv1 alert internal error", False),
        ("certificate verify failed", False),
        ("unknown ca", False),
    ],
)
def test_an_alert_about_our_certificate(words: str, is_about_us: bool) -> None:
    """Which only the other side's alerts are."""
    assert connections._is_about_us(words) is is_about_us
