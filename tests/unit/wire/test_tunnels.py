"""The way there through proxies, and with certificates: where it stops, and why."""

import ssl
from pathlib import Path

import pytest

from pdagent.wire import connections
from pdagent.wire.connections import AGENT, Unreached
from pdagent.wire.proxy import Proxy
from tests.support.agent import wait_until
from tests.support.events_api import CertificateAuthority
from tests.support.events_api.certificates import home_made
from tests.support.raw_server import OK, Conversation, RawServer, serving
from tests.unit.wire.conversations import REQUEST, Away, Mute, Passing, Polite, soon, stage, to


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
        away = Away()
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
