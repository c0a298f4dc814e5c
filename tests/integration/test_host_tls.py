"""The host's own library encrypts, where only that may: the haproxy of docs/security.md, which
really runs."""

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.documents import REPOSITORY, blocks
from tests.support.events import KEY, summaries
from tests.support.events_api import CertificateAuthority, EventsApi
from tests.support.ports import free_port, listens

HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
PAGERDUTY = "events.pagerduty.com"

pytestmark = pytest.mark.skipif(
    not Path(HAPROXY).exists(), reason="haproxy is not installed: see ci/packages.txt"
)


def example() -> str:
    """The page's configuration."""
    page = REPOSITORY / "docs" / "security.md"
    (block,) = (block for block in blocks(page) if block.argument == "haproxy.cfg")
    return block.text


@contextmanager
def haproxy(place: Path, api: EventsApi, port: int) -> Iterator[None]:
    """As the page has it, but that PagerDuty is the test's, whose name it keeps, and its authority
    too."""
    text = example().replace("127.0.0.1:8442", f"127.0.0.1:{port}")
    text = text.replace(f"{PAGERDUTY}:443", api.url.removeprefix("https://"))
    text = text.replace("/etc/ssl/certs/ca-certificates.crt", str(api.ca_file))
    file = place / "haproxy.cfg"
    file.write_text(text + "\n")
    with subprocess.Popen([HAPROXY, "-db", "-f", file]) as process:
        try:
            wait_until(lambda: listens(port) or process.poll() is not None)
            assert process.poll() is None
            yield
        finally:
            process.send_signal(signal.SIGTERM)


@pytest.fixture
def through(agent: Agent, tmp_path: Path) -> Iterator[Callable[[EventsApi], None]]:
    """The agent's events go through haproxy to this API."""
    with ExitStack() as running:

        def start(api: EventsApi) -> None:
            port = free_port()
            running.enter_context(haproxy(tmp_path, api, port))
            agent.configure(events_url=f"http://127.0.0.1:{port}", backoff_interval_secs=1)
            agent.start()

        yield start


def test_delivered(
    authority: CertificateAuthority, agent: Agent, through: Callable[[EventsApi], None]
) -> None:
    """With PagerDuty's name in the request."""
    with EventsApi(tls=authority, hosts=[PAGERDUTY]) as api:
        through(api)
        agent.send(KEY, "trigger", "-d", "by the host's library")
        assert summaries(api.wait_accepted(1)) == ["by the host's library"]
        assert {request.headers["Host"] for request in api.requests} == {PAGERDUTY}


def test_somebody_else_gets_nothing(
    authority: CertificateAuthority, agent: Agent, through: Callable[[EventsApi], None]
) -> None:
    """haproxy checks the name as the agent does; the event waits."""
    with EventsApi(tls=authority, hosts=["events.example.com"]) as elsewhere:
        through(elsewhere)
        agent.send(KEY, "trigger", "-d", "waits")
        wait_until(lambda: "answered 503" in agent.log)
        assert elsewhere.requests == ()
        assert len(agent.names("pdq")) == 1
