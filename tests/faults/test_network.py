"""The way to PagerDuty broken in every manner: all is kept, it is said why, and all arrives once it
is mended, at the far end: nobody touches the agent."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.events import key
from tests.support.events_api import CertificateAuthority, EventsApi
from tests.support.events_api.certificates import Flaw
from tests.support.mounts import mount, private_mounts
from tests.support.proxies import PASSWORD, Proxy, ProxyPy, Tinyproxy
from tests.support.raw_server import Conversation, black_hole, serving
from tests.support.trial import Trial

PORTAL = b"<html>Please log in</html>"
NAME = "events.test"


def outage(
    trial: Trial, broken: AbstractContextManager[object], why: str, **settings: object
) -> None:
    """What an outage should be, `broken` as long as it lasts."""
    agent = trial.agent
    given = {"events_url": trial.api.url, "send_interval_secs": 1, "backoff_interval_secs": 2}
    agent.configure(**given | settings)
    with broken:
        agent.start()
        for number in range(6):
            trial.send("same", key=key(number % 3))
        trial.injected()
        wait_until(lambda: "cannot be reached" in agent.log)
        [said] = [line for line in agent.log.splitlines() if "cannot be reached" in line]
        assert why in said
        assert len(agent.names("pdq")) == 6
        trial.check()
    trial.recovers()
    assert agent.names("err") == []
    assert agent.log.count("cannot be reached") == agent.log.count("reachable again") == 1


@contextlib.contextmanager
def stopped(api: EventsApi) -> Iterator[None]:
    api.stop()
    yield
    api.start()


@contextlib.contextmanager
def instead(api: EventsApi, other: AbstractContextManager[object]) -> Iterator[None]:
    """Somebody else has the Events API's address."""
    with stopped(api), other:
        yield


class Page(Conversation):
    """A captive portal's, which says that all is well."""

    def handle(self) -> None:
        while self.read():
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
            self.request.sendall(head % len(PORTAL) + PORTAL)


class Elsewhere(Conversation):
    """A captive portal's way to its page."""

    def handle(self) -> None:
        while self.read():
            head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
            self.request.sendall(head + b"Content-Length: 0\r\n\r\n")


class Nothing(Conversation):
    """Takes a connection and closes it when it is spoken to."""

    def handle(self) -> None:
        self.request.recv(1)
        self.reset()


@pytest.mark.fault("network down")
def test_refused(trial: Trial) -> None:
    """Nobody listens there."""
    outage(trial, stopped(trial.api), "Connection refused")


@pytest.mark.fault("network down")
def test_black_hole(trial: Trial) -> None:
    """Packets vanish."""
    outage(trial, instead(trial.api, black_hole("127.0.0.1", trial.api.port)), "timed out")


@pytest.mark.fault("network down")
@pytest.mark.parametrize(
    ("other", "why"),
    [
        (Page, "answered 200 with a web page"),
        (Elsewhere, "answered 302, a redirection"),
        (Nothing, "onnection"),
    ],
)
def test_somebody_else(trial: Trial, other: type[Conversation], why: str) -> None:
    """Who answers is not PagerDuty."""
    outage(trial, instead(trial.api, serving(other, trial.api.port)), why)


@pytest.fixture
def hosts(agent: Agent) -> Iterator[Callable[[str], None]]:
    """/etc/hosts, as far as this test's agent can see. What it gives writes it."""
    path = agent.root / "hosts"

    def write(text: str) -> None:
        path.write_text(text)
        path.chmod(0o644)

    write("")
    with private_mounts():
        mount("--bind", path, "/etc/hosts")
        yield write


@pytest.mark.needs_root
@pytest.mark.fault("network down")
def test_no_such_name(trial: Trial, hosts: Callable[[str], None]) -> None:
    """DNS knows no PagerDuty for a while."""

    @contextlib.contextmanager
    def unknown() -> Iterator[None]:
        yield
        hosts(f"127.0.0.1 {NAME}\n")

    outage(trial, unknown(), "ame", events_url=f"http://{NAME}:{trial.api.port}")


@pytest.mark.needs_root
@pytest.mark.fault("IPv6 broken, IPv4 good")
@pytest.mark.parametrize("broken", [contextlib.nullcontext, lambda port: black_hole("::1", port)])
def test_ipv6(
    trial: Trial,
    hosts: Callable[[str], None],
    broken: Callable[[int], AbstractContextManager[object]],
) -> None:
    """IPv6 that refuses, or where packets vanish, costs seconds, and no event."""
    hosts(f"::1 {NAME}\n127.0.0.1 {NAME}\n")
    with broken(trial.api.port):
        trial.agent.configure(events_url=f"http://{NAME}:{trial.api.port}")
        trial.agent.start()
        for number in range(3):
            trial.send("same", key=key(number))
        trial.injected()
        trial.recovers()
    assert "cannot be reached" not in trial.agent.log


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def api(request: pytest.FixtureRequest) -> Iterator[EventsApi]:
    """Over TLS, where a test has an authority."""
    tls = None
    if "authority" in request.fixturenames:
        tls = request.getfixturevalue("authority")
    with EventsApi(tls=tls) as api:
        yield api


FLAWS: list[tuple[Flaw, str]] = [
    ("expired", "certificate has expired"),
    ("another host", "mismatch"),
    ("unknown authority", "certificate verify failed"),
    ("TLS 1.1", "rotocol"),
]


@pytest.mark.fault("TLS that must not be trusted")
@pytest.mark.parametrize(("flaw", "why"), FLAWS, ids=[flaw for flaw, _ in FLAWS])
def test_tls(trial: Trial, authority: CertificateAuthority, flaw: Flaw, why: str) -> None:
    """Nothing is said to whom it must not be said to."""
    api = trial.api

    @contextlib.contextmanager
    def flawed() -> Iterator[None]:
        api.stop()
        authority.flaw = flaw
        api.start()
        yield
        assert api.requests == ()
        api.stop()
        authority.flaw = None
        api.start()

    outage(trial, flawed(), why, ca_file=authority.ca_file)


# --- proxies --------------------------------------------------------------------------------------

needs_tinyproxy = pytest.mark.skipif(
    not shutil.which("tinyproxy"), reason="tinyproxy is not installed: see ci/packages.txt"
)


@contextlib.contextmanager
def until_mended(broken: Proxy, mended: Callable[[], Proxy]) -> Iterator[None]:
    """One proxy, and then another in its place, until the test is over."""
    with broken:
        yield
    _mended.enter_context(mended())


_mended = contextlib.ExitStack()


@pytest.fixture
def place(agent: Agent) -> Iterator[Path]:
    """Where proxies may write."""
    agent.own(agent.root / "proxy")
    with _mended:
        yield agent.root / "proxy"


@pytest.mark.fault("proxy in trouble")
def test_407_for_a_tunnel(trial: Trial, authority: CertificateAuthority, place: Path) -> None:
    """The proxy has another password for a while."""
    broken = ProxyPy(place, password=PASSWORD[::-1])
    outage(
        trial,
        until_mended(broken, lambda: ProxyPy(place, port=broken.port)),
        "407",
        ca_file=authority.ca_file,
        proxy_url=broken.url_with_password,
    )
    assert PASSWORD not in trial.agent.log


@pytest.mark.fault("proxy in trouble")
def test_407(trial: Trial, place: Path) -> None:
    """The same without TLS."""
    broken = ProxyPy(place, password=PASSWORD[::-1])
    mended = until_mended(broken, lambda: ProxyPy(place, port=broken.port))
    outage(trial, mended, "407", proxy_url=broken.url_with_password)
    assert PASSWORD not in trial.agent.log


@pytest.mark.fault("proxy in trouble")
def test_502(trial: Trial, authority: CertificateAuthority, place: Path) -> None:
    """The proxy does not reach PagerDuty."""
    with ProxyPy(place) as proxy:
        outage(
            trial,
            stopped(trial.api),
            "502",
            ca_file=authority.ca_file,
            proxy_url=proxy.url_with_password,
        )


@needs_tinyproxy
@pytest.mark.fault("proxy in trouble")
def test_filtered(trial: Trial, place: Path) -> None:
    """The proxy has a page that says no."""
    broken = Tinyproxy(place, filtering=True)
    mended = until_mended(broken, lambda: Tinyproxy(place, port=broken.port))
    outage(trial, mended, "answered 403, and not in PagerDuty's words", proxy_url=broken.url)


@needs_tinyproxy
@pytest.mark.fault("proxy in trouble")
def test_no_proxy(trial: Trial, place: Path) -> None:
    """The proxy is not there."""
    proxy = Tinyproxy(place)
    mended = until_mended(contextlib.nullcontext(), lambda: proxy)  # type: ignore[arg-type]
    outage(trial, mended, "refused", proxy_url=proxy.url)
