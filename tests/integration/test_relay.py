"""An agent that other hosts may reach: over TLS, and by name."""

import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pdagent.wire.ranking import ranked
from tests.integration.test_endpoint import ALERT
from tests.integration.test_insight import get, values
from tests.support.agent import Agent, directory, wait_until
from tests.support.documents import REPOSITORY, blocks
from tests.support.events import KEY, OTHER, sent
from tests.support.events_api import Answer, EventsApi
from tests.support.events_api.certificates import CertificateAuthority
from tests.support.ports import free_port
from tests.support.users import AGENT, ROOT

HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
WEB1, DB1 = "web1-0123456789abcdef", "db1-0123456789abcdef"


class Relay:
    """What an agent needs for that, and how its clients ask it."""

    def __init__(
        self, agent: Agent, api: EventsApi, ca: CertificateAuthority | None = None
    ) -> None:
        self.agent = agent
        self.port = free_port()
        self._directory = agent.root / "tls"
        self._directory.mkdir(mode=0o755)
        self.ca = ca or CertificateAuthority(str(self._directory))
        self.cert, self.key = self.certificate(self.ca)
        self.tokens = agent.root / "tokens"
        self.name("web1", "db1")
        agent.configure(
            events_url=api.url,
            listen=f"0.0.0.0:{self.port}",
            listen_cert=self.cert,
            listen_key=self.key,
            listen_tokens_file=self.tokens,
            backoff_interval_secs=1,
        )

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def certificate(self, ca: CertificateAuthority) -> tuple[str, str]:
        cert, key = ca.files(str(self._directory), "127.0.0.1")
        self.own(Path(key))
        return cert, key

    def own(self, file: Path) -> None:
        file.chmod(0o640)
        if ROOT:
            os.chown(file, 0, AGENT.gid)

    def name(self, *senders: str) -> None:
        self.tokens.write_text("".join(f"{name} = {name}-0123456789abcdef\n" for name in senders))
        self.own(self.tokens)

    def ask(self, token: str, ca: CertificateAuthority | None = None) -> int:
        tls = ssl.create_default_context(cafile=(ca or self.ca).ca_file)
        made = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=tls)
        headers = {"Authorization": f"Bearer {token}"}
        made.request("POST", "/v2/enqueue", json.dumps(ALERT), headers)
        return made.getresponse().status

    def reload(self) -> None:
        daemon = self.agent.daemon
        assert daemon is not None
        before = self.agent.log.count("reloaded from") + self.agent.log.count("going on with")
        daemon.send_signal(signal.SIGHUP)
        wait_until(
            lambda: (
                self.agent.log.count("reloaded from") + self.agent.log.count("going on with")
                > before
            )
        )


@pytest.fixture
def sender(relay: Relay, api: EventsApi) -> Iterator[Agent]:
    """An agent on another host, so to say, that has no way but the relay. Its name there: web1."""
    with directory() as root, Agent(root, api.url) as sender:
        token = root / "token"
        token.write_text(WEB1 + "\n")
        relay.own(token)
        sender.configure(
            events_url=relay.url,
            ca_file=relay.ca.ca_file,
            events_token_file=token,
            backoff_interval_secs=1,
            send_interval_secs=1,
        )
        yield sender
        assert WEB1 not in sender.log + sender.said


@pytest.fixture
def relay(api: EventsApi, agent: Agent) -> Iterator[Relay]:
    relay = Relay(agent, api)
    agent.start()
    yield relay
    assert WEB1 not in agent.log + agent.said


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


def checked(agent: Agent) -> str:
    """What it prints, in one line."""
    return " ".join(agent.run("pdagent", "check").stdout.decode().split())


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
    assert "no more events of web1 are taken: 2 of it are pending" in checked(agent)
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
    """The events are kept, and the log and the check name the certificate."""
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
    assert sender.daemon is not None
    sender.daemon.send_signal(signal.SIGHUP)
    api.wait_accepted(1)


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


@pytest.fixture
def second(api: EventsApi, relay: Relay) -> Iterator[Relay]:
    """Another relay, of the same authority."""
    with directory() as root, Agent(root, api.url) as agent:
        second = Relay(agent, api, relay.ca)
        agent.start()
        yield second


def chain_of(relay: Relay, *others: Relay) -> str:
    """A dedup key whose events this relay has."""
    urls = [each.url for each in (relay, *others)]
    return next(f"c{n}" for n in range(99) if ranked(urls, KEY, f"=c{n}")[0] == relay.url)


def test_two_relays(
    api: EventsApi, agent: Agent, relay: Relay, second: Relay, sender: Agent
) -> None:
    """What belongs to the one that is away waits for it, in order, and nothing else does; the log
    and the check name it."""
    text = sender.conf.read_text().replace(relay.url, f"{relay.url}, {second.url}")
    sender.conf.write_text(text)
    metrics = f"127.0.0.1:{free_port()}"
    with sender.conf.open("a") as conf:
        conf.write(f"metrics_listen = {metrics}\n")
    here, there = chain_of(relay, second), chain_of(second, relay)
    sender.start()
    sender.send(KEY, "trigger", "-i", here, "-d", "x")
    sender.send(KEY, "trigger", "-i", there, "-d", "x")
    api.wait_accepted(2)
    assert agent.log.count("accepted an event from web1") == 1
    assert second.agent.log.count("accepted an event from web1") == 1
    wait_until(lambda: not agent.names("pdq"))  # else it sends the trigger once more
    agent.end(signal.SIGKILL)
    sender.send(KEY, "acknowledge", "-i", here)
    sender.send(KEY, "resolve", "-i", here)
    sender.send(KEY, "resolve", "-i", there)
    accepted = api.wait_accepted(3)
    assert sent(accepted[2])["dedup_key"] == there
    wait_until(lambda: f"{relay.url} cannot be reached" in sender.log)
    said = f"relay {relay.url}: not reached, since "
    wait_until(lambda: said in sender.run("pd-queue", "status").stderr.decode())
    [told] = json.loads(sender.run("pd-queue", "status", "--json").stdout)["lost_relays"]
    assert told["relay"] == relay.url
    series = values(get(metrics, "/metrics")[1])
    assert series[f"pdagent_relay_reachable {relay.url}"] == 0
    assert series[f"pdagent_relay_reachable {second.url}"] == 1
    assert f"{second.url} cannot be reached" not in sender.log
    found = checked(sender)
    assert f"failed events API {relay.url} cannot be reached" in found
    assert f"ok events API {second.url}" in found
    assert f"warning delivery {relay.url} is not reached since" in found
    agent.start()
    actions = [sent(request)["event_action"] for request in api.wait_accepted(5)[3:]]
    assert actions == ["acknowledge", "resolve"]
    wait_until(lambda: f"{relay.url} is reachable again" in sender.log)


def test_a_circle(api: EventsApi, agent: Agent) -> None:
    """An agent that sends to itself keeps its events, says why, and sends them once it is mended;
    so do two that send to each other."""
    here, there = free_port(), free_port()
    agent.configure(
        listen=f"127.0.0.1:{here}", events_url=f"http://127.0.0.1:{here}", backoff_interval_secs=1
    )
    agent.start()
    agent.send(KEY, "trigger", "-i", "a", "-d", "x")
    wait_until(lambda: "the relay answered 508" in agent.log)
    with directory() as root, Agent(root, api.url) as other:
        text = agent.conf.read_text()
        agent.conf.write_text(text.replace(f"http://127.0.0.1:{here}", f"http://127.0.0.1:{there}"))
        other.configure(
            listen=f"127.0.0.1:{there}",
            events_url=f"http://127.0.0.1:{here}",
            backoff_interval_secs=1,
        )
        other.start()
        assert agent.daemon is not None
        agent.daemon.send_signal(signal.SIGHUP)
        wait_until(lambda: "the relay answered 508" in other.log)
        assert (len(agent.names("pdq")), len(other.names("pdq"))) == (0, 1)
        wait_until(lambda: "in a circle" in checked(other))  # the log comes before the state
        text = other.conf.read_text()
        other.conf.write_text(text.replace(f"http://127.0.0.1:{here}", api.url))
        assert other.daemon is not None
        other.daemon.send_signal(signal.SIGHUP)
        api.wait_accepted(1)


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


@contextmanager
def gateway(root: Path, first: Relay, second: Relay) -> Iterator[str]:
    """The haproxy of docs/relay.md, in front of two relays; its address."""
    pages = blocks(REPOSITORY / "docs" / "relay.md")
    (text,) = (block.text for block in pages if block.argument == "haproxy.cfg")
    port = free_port()
    text = text.replace("bind :49463", f"bind 127.0.0.1:{port}")
    for number, relay in enumerate((first, second), 1):
        text = text.replace(f"192.0.2.1{number}:49463", f"127.0.0.1:{relay.port}")
    file = root / "haproxy.cfg"
    file.write_text(text)
    process = subprocess.Popen([HAPROXY, "-db", "-f", str(file)], stdout=subprocess.DEVNULL)
    try:
        yield f"https://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(not Path(HAPROXY).exists(), reason="haproxy is not installed")
def test_a_gateway(
    api: EventsApi, agent: Agent, relay: Relay, second: Relay, sender: Agent, tmp_path: Path
) -> None:
    """The relay that stands by takes over; what the first has is delivered when it is back."""
    with gateway(tmp_path, relay, second) as url:
        sender.conf.write_text(sender.conf.read_text().replace(relay.url, url))
        sender.start()
        sender.send(KEY, "trigger", "-i", "a", "-d", "x")
        api.wait_accepted(1)
        wait_until(lambda: not agent.names("pdq"))
        api.stop()
        sender.send(KEY, "trigger", "-i", "b", "-d", "x")
        wait_until(lambda: agent.names("pdq") and not sender.names("pdq"))
        agent.end(signal.SIGKILL)
        sender.send(KEY, "resolve", "-i", "a")
        wait_until(lambda: second.agent.names("pdq") and not sender.names("pdq"))
        agent.start()
        api.start()
        assert {request.dedup_key for request in api.wait_accepted(3)} == {"a", "b"}
