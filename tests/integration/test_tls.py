"""TLS: whom the agent trusts, and what it says where it can't."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agent import Agent, directory, wait_until
from tests.support.events import KEY, enqueue, summaries
from tests.support.events_api import CertificateAuthority, EventsApi


@pytest.fixture
def api(authority: CertificateAuthority) -> Iterator[EventsApi]:
    with EventsApi(tls=authority) as api:
        yield api


@pytest.fixture
def untrusted(agent: Agent, api: EventsApi) -> Callable[[str], None]:
    """Shows that what waits is not sent, and why the log says so."""

    def check(why: str) -> None:
        name = enqueue(agent, KEY, "a", "waits")
        agent.start()
        wait_until(lambda: "cannot be reached" in agent.log)
        [line] = [line for line in agent.log.splitlines() if "cannot be reached" in line]
        assert " ERROR " in line
        assert api.url in line
        assert why in line
        assert agent.names("pdq") == [name]
        assert api.requests == ()

    return check


def test_a_private_authority_through_ca_file(api: EventsApi, agent: Agent) -> None:
    """`ca_file` names whom to trust."""
    agent.configure(events_url=api.url, ca_file=api.ca_file)
    agent.start()
    agent.send(KEY, "trigger", "-d", "over TLS")
    assert summaries(api.wait_accepted(1)) == ["over TLS"]


def test_a_private_authority_through_the_environment(api: EventsApi, agent: Agent) -> None:
    """SSL_CERT_FILE does too, as everywhere with OpenSSL; REQUESTS_CA_BUNDLE means nothing here."""
    agent.environment["SSL_CERT_FILE"] = api.ca_file
    agent.environment["REQUESTS_CA_BUNDLE"] = "/nonexistent"
    agent.environment["CURL_CA_BUNDLE"] = "/nonexistent"
    agent.start()
    agent.send(KEY, "trigger", "-d", "over TLS")
    assert summaries(api.wait_accepted(1)) == ["over TLS"]


def test_requests_own_variables_win_nobodys_trust(
    api: EventsApi, agent: Agent, untrusted: Callable[[str], None]
) -> None:
    """REQUESTS_CA_BUNDLE does not make the agent trust an authority that the host does not."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    agent.environment["REQUESTS_CA_BUNDLE"] = api.ca_file
    untrusted("certificate verify failed")


def test_an_unknown_authority_until_it_is_known(
    api: EventsApi, agent: Agent, untrusted: Callable[[str], None]
) -> None:
    """An untrusted certificate holds everything, said once; when the host's CAs have been put
    right, events flow without a restart."""
    ca_file = agent.root / "ca.pem"
    with directory() as root:
        ca_file.write_bytes(Path(CertificateAuthority(str(root)).ca_file).read_bytes())
    ca_file.chmod(0o644)
    agent.configure(events_url=api.url, ca_file=ca_file, backoff_interval_secs=1)
    untrusted("certificate verify failed")
    ca_file.write_bytes(Path(api.ca_file).read_bytes())
    assert summaries(api.wait_accepted(1)) == ["waits"]
    wait_until(lambda: "reachable again" in agent.log)
    assert agent.log.count("cannot be reached") == 1


def test_a_certificate_for_another_host(
    authority: CertificateAuthority, api: EventsApi, agent: Agent
) -> None:
    """A trusted authority's certificate for somebody else is refused."""
    with EventsApi(tls=authority, hosts=["events.example.com"]) as elsewhere:
        agent.configure(events_url=elsewhere.url, ca_file=elsewhere.ca_file)
        enqueue(agent, KEY, "a", "waits")
        agent.start()
        wait_until(lambda: "cannot be reached" in agent.log)
        assert "IP address mismatch" in agent.log
        assert elsewhere.requests == ()


def test_a_ca_file_that_is_none(api: EventsApi, agent: Agent) -> None:
    """A missing or senseless ca_file is named; the event waits, and goes when it is put right."""
    ca_file = agent.root / "ca.pem"
    agent.configure(events_url=api.url, ca_file=ca_file, backoff_interval_secs=1)
    enqueue(agent, KEY, "a", "waits")
    agent.start()
    wait_until(lambda: "cannot be reached" in agent.log)
    assert f"cannot use the CA certificates in {ca_file}" in agent.log
    ca_file.write_bytes(Path(api.ca_file).read_bytes())
    ca_file.chmod(0o644)
    assert summaries(api.wait_accepted(1)) == ["waits"]


def test_connections_are_kept(api: EventsApi, agent: Agent) -> None:
    """A TLS handshake is for a connection, not for each event."""
    agent.configure(events_url=api.url, ca_file=api.ca_file, max_per_key=1)
    for number in range(20):
        enqueue(agent, KEY, f"{number}", "x")
    agent.start()
    assert {request.connection for request in api.wait_accepted(20)} == {0}
