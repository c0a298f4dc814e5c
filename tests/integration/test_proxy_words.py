"""Proxies that are spelt, or set, in a way that does not work as it is meant: what is said of it,
by name, without the password; and proxies that are spoken to by TLS."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdagent.config import Config
from pdagent.wire.delivery import Delivery
from pdagent.wire.verdict import Refused, Unreachable, Verdict
from tests.support.agent import Agent, directory, wait_until
from tests.support.events import KEY, enqueue
from tests.support.events_api import Answer, CertificateAuthority, EventsApi
from tests.support.raw_server import Conversation, RawServer, serving

SECRET = "S3cret#9"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Relay(Conversation):
    """A proxy that passes all on, by CONNECT, or a request of plain HTTP to where it is for."""

    seen: list[bytes]

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            part = self.request.recv(65_536)
            if not part:
                return
            head += part
        type(self).seen.append(head)
        word, place = head.split()[:2]
        if word == b"OPTIONS":
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return
        authority = place.decode().removeprefix("http://").partition("/")[0]
        host, _, port = authority.rpartition(":")
        with socket.create_connection((host, int(port))) as onward:
            if word == b"CONNECT":
                self.request.sendall(b"HTTP/1.1 200 Established\r\n\r\n")
            else:
                onward.sendall(head)
            back = threading.Thread(target=self._pass, args=(onward, self.request), daemon=True)
            back.start()
            self._pass(self.request, onward)
            back.join(5)

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while part := source.recv(65_536):
                sink.sendall(part)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.fixture
def relay(authority: CertificateAuthority, request: pytest.FixtureRequest) -> Iterator[RawServer]:
    Relay.seen = []
    context: ssl.SSLContext | None = authority.context() if request.param == "https" else None
    with serving(Relay, tls=context) as server:
        yield server


def probe(url: str, ca_file: str = "", **settings: str) -> Verdict:
    return Delivery(Config({"events_url": url, "ca_file": ca_file, **settings})).probe()


@pytest.mark.parametrize("relay", ["http", "https"], indirect=True)
@pytest.mark.parametrize("tls", [False, True], ids=["to http", "to https"])
def test_by_tls_or_not(authority: CertificateAuthority, relay: RawServer, tls: bool) -> None:
    """TLS to the proxy, with the authorities of ca_file, and TLS to PagerDuty in it."""
    with EventsApi(tls=authority if tls else None) as api:
        scheme = "https" if relay.tls else "http"
        found = probe(
            api.url, authority.ca_file, proxy_url=f"{scheme}://me:{SECRET}@127.0.0.1:{relay.port}"
        )
        assert isinstance(found, Refused), found
    [head] = Relay.seen
    assert b"Proxy-Authorization: Basic bWU6UzNjcmV0Izk=\r\n" in head
    assert head.startswith(b"CONNECT " if tls else b"POST http://127.0.0.1:")


@pytest.mark.parametrize("relay", ["https"], indirect=True)
def test_a_proxy_that_is_not_trusted(authority: CertificateAuthority, relay: RawServer) -> None:
    """Its certificate is verified as PagerDuty's is, and it gets no password."""
    other = f"https://me:{SECRET}@127.0.0.1:{relay.port}"
    found = probe("http://127.0.0.1:1", proxy_url=other)
    assert isinstance(found, Unreachable)
    assert "certificate verify failed" in found.why
    assert f"the proxy at 127.0.0.1:{relay.port}" in found.why
    assert Relay.seen == []


@pytest.mark.parametrize("relay", ["http", "https"], indirect=True)
def test_pagerduty_is_not_trusted_behind_a_proxy(
    authority: CertificateAuthority, relay: RawServer
) -> None:
    """Whoever answers at the end of the tunnel is verified too, and it is said who issued his
    certificate."""
    with directory() as root, EventsApi(tls=CertificateAuthority(str(root))) as api:
        url = relay.url.replace("://", f"://me:{SECRET}@")
        found = probe(api.url, proxy_url=url, ca_file=authority.ca_file)
        assert isinstance(found, Unreachable)
        assert f"through the proxy at 127.0.0.1:{relay.port}" in found.why
        assert "certificate verify failed" in found.why
        assert "it was issued by" in found.why
        assert api.requests == ()


@pytest.mark.parametrize("relay", ["http"], indirect=True)
def test_https_before_a_proxy_that_speaks_plain_http(relay: RawServer) -> None:
    """It is said by name, and the password is not sent in plain to learn it."""
    found = probe("https://127.0.0.1:1", proxy_url=f"https://me:{SECRET}@127.0.0.1:{relay.port}")
    assert isinstance(found, Unreachable)
    assert "it speaks plain HTTP: write http://" in found.why
    assert f"127.0.0.1:{relay.port}" in found.why
    assert b"Proxy-Authorization" not in b"".join(Relay.seen)


def test_who_refused() -> None:
    """The proxy, or PagerDuty."""
    for settings_, who in (
        ({}, "PagerDuty at 127.0.0.1:1: Connection refused"),
        ({"proxy_url": "127.0.0.1:2"}, "the proxy at 127.0.0.1:2: Connection refused"),
    ):
        assert probe("http://127.0.0.1:1", **settings_) == Unreachable(who)


def test_no_proxy_alone_is_no_proxy(api: EventsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 502 is then PagerDuty's own."""
    monkeypatch.setenv("no_proxy", "localhost")
    api.always(None, Answer(502, b""))
    assert not isinstance(probe(api.url), Unreachable)


def test_an_all_proxy_that_is_not_supported(api: EventsApi, agent: Agent) -> None:
    """It is named, and events go out all the same."""
    agent.environment["all_proxy"] = f"socks5://me:{SECRET}@127.0.0.1:1080"
    agent.start()
    agent.send(KEY, "trigger", "-d", "x")
    api.wait_accepted(1)
    assert "all_proxy names a socks5:// proxy" in agent.log
    assert "the way is direct" in agent.log
    found = agent.run("pdagent", "check", "--json").stdout.decode()
    assert "all_proxy names a socks5:// proxy" in found
    assert "S3cr" not in agent.log + agent.output.read_text() + found


# A password's letters that nothing of ours has four of in a row.
_password = st.text("QZXJ7#?/@\\%:&=;", min_size=6, max_size=12).filter(
    lambda text: sum(c in "QZXJ" for c in text) > 3
)


@pytest.mark.parametrize(
    "spelling",
    [
        "http://me:{}@127.0.0.1:1",
        "me:{}@127.0.0.1:1",
        "https://me:{}@127.0.0.1:{port}",
        "http://me:{}@127.0.0.1:{port}",
        "socks5://me:{}@127.0.0.1:1",
        "http://me:{}@",
        "http://CORP\\me:{}@127.0.0.1:1/",
    ],
)
@settings(
    max_examples=1,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    password=_password,
    by_file=st.booleans(),
)
def test_no_fragment_of_a_password_shows(
    agent: Agent, password: str, spelling: str, by_file: bool
) -> None:
    """However a proxy is spelt, and however it fails: not in the log, not on stderr, not in what
    pd-send or a check says."""

    class Refusing(Conversation):
        def handle(self) -> None:
            self.request.recv(65_536)
            body = b'{"status": "x", "message": "' + password.encode() + b'"}'
            head = b"HTTP/1.1 407 %b\r\nContent-Length: %d\r\n\r\n"
            # all that a proxy can say of the password that it was told
            self.request.sendall(head % (password.encode(), len(body)) + body)

    with serving(Refusing) as server:
        proxy = spelling.replace("{port}", str(server.port)).replace("{}", password)
        agent.environment.pop("https_proxy", None)
        given_ = {"events_url": "https://127.0.0.1:1", "backoff_interval_secs": 1}
        if by_file:
            given_["proxy_url"] = proxy
        else:
            agent.environment["https_proxy"] = proxy
        agent.configure(**given_)
        outputs = []
        for arguments in (["check"], ["check", "--json"]):
            done = agent.run("pdagent", *arguments)
            outputs.append(done.stdout + done.stderr)
        agent.configure(**given_, data_dir="/nonexistent")
        done = agent.run("pd-send", "-k", KEY, "-t", "trigger", "-d", "x")
        outputs.append(done.stdout + done.stderr)
        agent.configure(**given_)
        if "socks5" not in proxy and not proxy.endswith("@"):  # with these it may not start
            enqueue(agent, KEY, None, "x")
            agent.start()
            wait_until(lambda: "cannot be reached" in agent.log)
            agent.stop()
    log = Path(agent.log_file).read_text() if agent.log_file.exists() else ""
    text = b"".join(outputs).decode() + log
    if agent.output.exists():  # the daemon was not started where no proxy can be used
        text += agent.output.read_text()
    text += json.dumps(text)
    fragments = {password[at : at + 4] for at in range(len(password) - 3)}
    shown = [part for part in fragments if any(c in "QZXJ" for c in part) and part in text]
    assert shown == []
    agent.log_file.unlink(missing_ok=True)
