"""An agent that other hosts may reach: over TLS, and by name."""

import http.client
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.relays import DB1, WEB1, Relay, checked
from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, OTHER, sent
from tests.support.events_api import Answer, EventsApi
from tests.support.events_api.certificates import CertificateAuthority
from tests.support.ports import free_port


def test_senders_are_known_by_name(api: EventsApi, agent: Agent, relay: Relay) -> None:
    """In the log; one that is taken out of the file is nobody from the next reload on, and the
    others stay."""
    assert [relay.ask(WEB1), relay.ask(DB1), relay.ask("another-0123456789")] == [202, 202, 401]
    api.wait_accepted(2)
    assert "accepted an event from web1" in agent.log
    relay.name("db1")
    relay.reload()
    assert [relay.ask(WEB1), relay.ask(DB1)] == [401, 202]


def test_a_reload_takes_up_a_new_certificate(agent: Agent, relay: Relay) -> None:
    """One that is no use is named, and the one that is there serves on."""
    other = CertificateAuthority()
    good = Path(relay.cert).read_bytes()
    Path(relay.cert).write_bytes(b"nothing")
    relay.reload()
    assert relay.cert in agent.log
    assert relay.ask(WEB1) == 202
    Path(relay.cert).write_bytes(good)
    relay.certificate(other)
    relay.reload()
    assert relay.ask(WEB1, other) == 202


@pytest.mark.parametrize("missing", ["listen_cert", "listen_tokens_file"])
def test_without_all_of_it_nobody_gets_in(agent: Agent, api: EventsApi, missing: str) -> None:
    """The log and the check name what to set. Pages go out, and once it is set, a reload opens."""
    relay = Relay(agent, api)
    text = agent.conf.read_text()
    lines = [line for line in text.splitlines() if not line.startswith(missing)]
    if missing == "listen_cert":
        lines = [line for line in lines if not line.startswith("listen_key")]
    agent.conf.write_text("\n".join(lines) + "\n")
    agent.start()
    assert f"set {missing}" in agent.log
    assert str(relay.port) in agent.log
    with pytest.raises(OSError, match="refused"):
        relay.ask(WEB1)
    assert agent.run("pd-send", "-k", KEY, "-t", "trigger", "-d", "x").returncode == 0
    api.wait_for(lambda requests: len(requests) == 1)
    wait_until(lambda: f"set {missing}" in agent.run("pdagent", "check").stdout.decode())
    agent.conf.write_text(text)
    relay.reload()
    wait_until(lambda: "Listening at" in agent.log)
    assert relay.ask(WEB1) == 202


CLIENT = """
import pagerduty, sys
client = pagerduty.EventsApiV2Client(sys.argv[1], base_url=sys.argv[2])
key = client.trigger("disk full", "db1")
client.acknowledge(key)
client.resolve(key)
client.send_change_event({"summary": "deployed", "source": "ci"})
"""


def test_the_python_client_as_it_is(api: EventsApi, agent: Agent, relay: Relay) -> None:
    """It insists on https, and has it; its token is in the address."""
    url = f"https://web1:{WEB1}@127.0.0.1:{relay.port}"
    subprocess.run(
        [sys.executable, "-c", CLIENT, KEY, url],
        env={**os.environ, "SSL_CERT_FILE": relay.ca.ca_file},
        check=True,
        timeout=120,
    )
    accepted = api.wait_accepted(4)
    actions = [sent(request).get("event_action") for request in accepted]
    assert [action for action in actions if action] == ["trigger", "acknowledge", "resolve"]


def test_hop_by_hop(api: EventsApi, agent: Agent, relay: Relay, sender: Agent) -> None:
    """What the relay has taken it keeps, and what it has not taken the sender keeps: in order."""
    api.stop()
    sender.start()
    sender.send(KEY, "trigger", "-i", "disk", "-d", "full")
    wait_until(lambda: len(agent.names("pdq")) == 1 and not sender.names("pdq"))
    agent.end(signal.SIGKILL)
    sender.send(KEY, "resolve", "-i", "disk")
    assert len(sender.names("pdq")) == 1
    agent.start()
    api.start()
    accepted = api.wait_accepted(2)
    assert [sent(request)["event_action"] for request in accepted] == ["trigger", "resolve"]


def test_a_token_that_the_relay_does_not_know(
    api: EventsApi, agent: Agent, relay: Relay, sender: Agent
) -> None:
    """The events are kept, not in error; the log and the check say why; then they go."""
    relay.name("db1")
    relay.reload()
    sender.start()
    sender.send(KEY, "trigger", "-i", "a", "-d", "x")
    sender.send(OTHER, "trigger", "-i", "b", "-d", "x")
    wait_until(lambda: "does not know this host's token" in sender.log)
    found = checked(sender)
    assert "the relay answered 401" in found
    assert "listen_tokens_file on the relay" in found
    assert (len(sender.names("pdq")), sender.names("err")) == (2, [])
    relay.name("web1")
    relay.reload()
    api.wait_accepted(2)


def test_a_relay_that_is_full(api: EventsApi, agent: Agent, relay: Relay, sender: Agent) -> None:
    """It takes no more than listen_pending_most; the sender keeps the rest, and says why."""
    api.stop()
    with agent.conf.open("a") as conf:
        conf.write("listen_pending_most = 1\n")
    relay.reload()
    sender.start()
    full = "the relay answered 429: it is full"
    names = [f"{number}" for number in range(50)]
    sent_names = []
    while full not in sender.log:  # what comes at once may be let in together
        sent_names.append(names.pop())
        sender.send(KEY, "trigger", "-i", sent_names[-1], "-d", "x")
        wait_until(lambda: full in sender.log or not sender.names("pdq"))
    wait_until(lambda: sender.names("pdq"))
    assert sender.names("err") == []
    wait_until(lambda: "the relay answered 429" in checked(sender))
    api.start()
    accepted = api.wait_accepted(len(sent_names))
    assert {request.dedup_key for request in accepted} == set(sent_names)


def test_one_sender_too_many(api: EventsApi, agent: Agent, relay: Relay, sender: Agent) -> None:
    """What it sends beyond its bound it keeps, and others are taken: also by the relay's next
    daemon, which finds whose the pending events are. The check and the log name it."""
    api.stop()
    with agent.conf.open("a") as conf:
        conf.write("listen_pending_per_sender = 2\n")
    relay.reload()
    assert [relay.ask(WEB1) for _ in range(3)] == [202, 202, 429]
    assert relay.ask(DB1) == 202
    agent.end(signal.SIGKILL)
    agent.start()
    assert [relay.ask(WEB1), relay.ask(DB1), relay.ask(DB1)] == [429, 202, 429]
    assert "web1 has 2 events pending" in agent.log
    assert "web1 has 2 events pending, and no more of its events are taken" in checked(agent)
    sender.start()
    sender.send(KEY, "trigger", "-i", "mine", "-d", "x")
    wait_until(lambda: "the relay answered 429: it is full" in sender.log)
    assert len(sender.names("pdq")) == 1
    api.start()
    assert "mine" in {request.dedup_key for request in api.wait_accepted(5)}
    wait_until(lambda: relay.ask(WEB1) == 202)


def test_a_client_certificate_that_expires(
    api: EventsApi, agent: Agent, relay: Relay, sender: Agent
) -> None:
    """The events are kept, and the log and the check name the certificate. Once it is renewed, they
    go out by themselves."""
    with agent.conf.open("a") as conf:
        conf.write(f"listen_client_ca = {relay.ca.ca_file}\n")
    relay.reload()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    cert, key = relay.ca.files(str(sender.root), "web1", until=yesterday)
    relay.own(Path(key))
    with sender.conf.open("a") as conf:
        conf.write(f"events_client_cert = {cert}\nevents_client_key = {key}\n")
    sender.start()
    sender.send(KEY, "trigger", "-i", "a", "-d", "x")
    wait_until(lambda: "certificate expired" in sender.log)
    found = checked(sender)
    assert "does not accept this host's certificate" in found
    assert "Renew the certificate in events_client_cert" in found
    assert (len(sender.names("pdq")), sender.names("err")) == (1, [])
    wait_until(lambda: "certificate has expired" in agent.log)
    cert, key = relay.ca.files(str(sender.root), "web1")
    relay.own(Path(key))
    api.wait_accepted(1)


def test_a_token_that_is_changed_on_both_hosts(api: EventsApi, relay: Relay, sender: Agent) -> None:
    """Is read anew by the sender, once the relay refuses the old one; so is one that comes late."""
    token = sender.root / "changing"
    with sender.conf.open("a") as conf:
        conf.write(f"events_token_file = {token}\n")
    sender.start()
    sender.send(KEY, "trigger", "-i", "a", "-d", "x")
    wait_until(lambda: f"{token}: No such file" in sender.log)
    token.write_text(WEB1)
    relay.own(token)
    api.wait_accepted(1)
    relay.name("db1")
    relay.reload()
    sender.send(KEY, "trigger", "-i", "b", "-d", "x")
    wait_until(lambda: "it does not know this host's token" in sender.log)
    token.write_text(DB1)
    api.wait_accepted(2)


@pytest.mark.parametrize("name", ["events_token_file", "events_client_cert"])
def test_a_file_that_is_not_there(relay: Relay, sender: Agent, name: str) -> None:
    """Is named by the log and the check; nothing is lost."""
    with sender.conf.open("a") as conf:
        conf.write(f"{name} = /nowhere\n")
    sender.start()
    sender.send(KEY, "trigger", "-i", "a", "-d", "x")
    wait_until(lambda: f"{name} = /nowhere: No such file" in sender.log)
    assert f"{name} = /nowhere: No such file" in checked(sender)
    assert (len(sender.names("pdq")), sender.names("err")) == (1, [])


@pytest.mark.parametrize("form", ["/integration/{}/enqueue", "/x-ere/{}"])
def test_an_integrations_own_address(
    api: EventsApi, agent: Agent, relay: Relay, sender: Agent, form: str
) -> None:
    """Passed on hop by hop, and byte for byte, to the same path of PagerDuty's."""
    path, port = form.format(KEY), free_port()
    with sender.conf.open("a") as conf:
        conf.write(f"listen = 127.0.0.1:{port}\n")
    api.script(path, Answer(503), Answer(202, body={"status": "success"}))
    sender.start()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = b'{"Type": "Notification", "Message": "\xc3\xa4"}'
    connection.request("POST", path, body, {"Content-Type": "text/plain"})
    assert connection.getresponse().status == 202
    wait_until(lambda: len(api.requests) == 2 and not agent.names("pdq"))
    assert {(request.path, request.body) for request in api.requests} == {(path, body)}
    assert {request.headers["Content-Type"] for request in api.requests} == {"text/plain"}
    assert (sender.names("err"), agent.names("err")) == ([], [])
