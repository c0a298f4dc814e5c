"""A connection carries one exchange at a time, in bounded time, and says who refused it."""

import socket
import ssl
import threading

import pytest

from pdagent.config import Config
from pdagent.wire import connections
from pdagent.wire.connections import Connection, Target, Tls, Unreached, said
from pdagent.wire.proxy import Proxy
from tests.support.agent import wait_until
from tests.support.events_api import CertificateAuthority
from tests.support.raw_server import Conversation, RawServer, black_hole, serving
from tests.unit.wire.conversations import REQUEST, Polite, Silent, soon, stage, to


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
    assert stage(to("http://a..b")) == ("name", "the name a..b: it cannot be a host's name")


def test_a_source_address_leaves_addresses_of_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others can't be reached from it, so they do not hide why one of its kind was not."""
    found = [
        (family, socket.SOCK_STREAM, 0, "", address)
        for family, address in (
            (socket.AF_INET, ("127.0.0.1", 1)),
            (socket.AF_INET6, ("::1", 1, 0, 0)),
        )
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    refused = ("connection", "PagerDuty at 127.0.0.1:1: Connection refused")
    url = "http://events.example:1"
    assert stage(Connection(Target(url), None, "127.0.0.1", Tls(Config({})))) == refused
    del found[1]
    assert stage(Connection(Target(url), None, "::1", Tls(Config({})))) == (
        "connection",
        "PagerDuty: it has no address of the kind of source_address = ::1",
    )


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


def test_an_address_of_a_kind_that_this_host_has_not(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as IPv6 where the kernel has none: another address does."""
    kind, protocol = socket.SOCK_STREAM, socket.IPPROTO_TCP
    unknown = (4242, kind, protocol, "", ("::1", server.port, 0, 0))
    found = [unknown, *socket.getaddrinfo("127.0.0.1", server.port, type=kind)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    connection = to(server.url)
    connection.open(soon())
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
        (UnicodeError(), "it cannot be a host's name"),
        (OSError(), "OSError"),
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
