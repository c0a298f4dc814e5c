"""More than one relay: the first that is there, the next, and none twice."""

import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pdagent.wire.ranking import ranked
from tests.integration.relays import Relay, checked
from tests.integration.test_insight import get, values
from tests.support.agent import Agent, directory, wait_until
from tests.support.documents import REPOSITORY, blocks
from tests.support.events import KEY, sent
from tests.support.events_api import Answer, EventsApi
from tests.support.ports import free_port

HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"


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


def test_one_relay_is_silent(api: EventsApi, agent: Agent, relay: Relay, sender: Agent) -> None:
    """It takes one connection, and answers nothing: what belongs to the other is delivered
    meanwhile, and its own when it answers."""
    answer = threading.Event()
    with EventsApi() as silent:
        silent.always(None, Answer(gate=answer))
        text = sender.conf.read_text().replace(relay.url, f"{silent.url} {relay.url}")
        sender.conf.write_text(text)
        urls = [silent.url, relay.url]
        for n in range(40):
            sender.send(KEY, "trigger", "-i", f"c{n}", "-d", "x")
        chains = [
            [f"c{n}" for n in range(40) if ranked(urls, KEY, f"=c{n}")[0] == url] for url in urls
        ]
        sender.start()
        api.wait_accepted(len(chains[1]))
        assert len(silent.requests) == 1
        answer.set()
        silent.wait_accepted(len(chains[0]))
    assert sorted(request.dedup_key or "" for request in silent.accepted) == sorted(chains[0])
    assert sorted(request.dedup_key or "" for request in api.accepted) == sorted(chains[1])


def test_one_relay_is_in_trouble(api: EventsApi, agent: Agent) -> None:
    """A gateway before it says so of all events: what belongs to the other is delivered, and its
    own is kept."""
    with EventsApi() as broken:
        broken.always(None, Answer(502, html="<h1>Bad Gateway</h1>"))
        urls = [broken.url, api.url]
        agent.configure(events_url=" ".join(urls))
        agent.start()
        for n in range(20):
            agent.send(KEY, "trigger", "-i", f"c{n}", "-d", "x")
        there = [f"c{n}" for n in range(20) if ranked(urls, KEY, f"=c{n}")[0] == api.url]
        accepted = api.wait_accepted(len(there))
        assert f"{broken.url} cannot be reached: answered 502" in agent.log
        assert "key held" not in agent.log
    assert {request.dedup_key for request in accepted} >= set(there)


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
