"""The documents, followed word by word on hosts."""

import functools
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from tests.hosts import repository
from tests.hosts.engine import Engine
from tests.hosts.host import Host
from tests.hosts.test_network import trusted
from tests.support.documents import Block, blocks, documents
from tests.support.events_api import CertificateAuthority, EventsApi

# sudo is not on every host, and root needs none
PRELUDE = 'sudo() { "$@"; }\n'


def examples(kind: str, host: Host) -> list[Block]:
    """The documents' examples of a kind that are for such a host."""
    ours = {"all", host.spec.family, host.spec.init}
    found = [block for page in documents() for block in blocks(page) if block.kind == kind]
    return [block for block in found if set(block.argument.split()) & ours]


@pytest.fixture
def web(bare: Host, engine: Engine) -> Iterator[None]:
    """The repositories where hosts look for them first: on port 80, of the network that this worker
    has for its hosts. It is there once a host is."""
    handler = functools.partial(repository.Quiet, directory=str(repository.ROOT))
    with ThreadingHTTPServer((engine.gateway, 80), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@pytest.mark.only("systemd")
def test_installing_by_the_book(bare: Host, web: None) -> None:
    """docs/install.md: key, repository, packages, by its own commands; then the agent
    runs, and will after a reboot."""
    bare.sh("""
        mkdir -p /etc/apt/apt.conf.d && echo 'APT::Get::Assume-Yes "true";' >/etc/apt/apt.conf.d/yes
        [ ! -e /etc/dnf/dnf.conf ] || echo assumeyes=1 >>/etc/dnf/dnf.conf""")
    steps = examples("bare", bare)
    assert len(steps) >= 3
    for step in steps:
        text = step.text.replace(
            "https://packages.pagerduty.com", f"http://{repository.NAME}/current"
        )
        bare.sh(PRELUDE + text)
    assert bare.service.is_running
    assert bare.service.is_enabled
    assert "pdagent 3" in bare.sh("pdagent version")


@pytest.mark.latest
def test_examples(host: Host) -> None:
    """What the other pages have people type on a host with the agent."""
    with EventsApi(bind="0.0.0.0", tls=CertificateAuthority(), hosts=["events.test"]) as api:
        url = f"https://events.test:{api.port}"
        host.configure(events_url=url, ca_file=trusted(host, api.ca_file))
        host.service.restart()
        for example in examples("host", host):
            host.sh(PRELUDE + example.text)
    assert host.service.is_running
