"""Tools that speak to PagerDuty themselves store and forward through the agent."""

import json
import os
import signal
import socket
import subprocess
import textwrap
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import pagerduty
import pytest

from tests.support.agent import Agent, wait_until
from tests.support.check import looked
from tests.support.events import KEY, sent
from tests.support.events_api import Answer, EventsApi
from tests.support.ports import free_port

DOCUMENTED_KEY = "65d9cd0e14c04dae8ef86867277d138c"
ALERTMANAGER = Path("/usr/bin/prometheus-alertmanager")
ALERT = {
    "routing_key": KEY,
    "event_action": "trigger",
    "payload": {"summary": "disk full", "source": "db1", "severity": "error"},
}


def documented(title: str, port: int) -> str:
    """The example of a section in docs/endpoint.md, for this key and port."""
    text = (Path(__file__).parents[2] / "docs/endpoint.md").read_text().split(f"## {title}\n")[1]
    lines = [line for line in text.split("\n## ")[0].splitlines() if line[:4] in ("    ", "")]
    example = textwrap.dedent("\n".join(lines)).strip() + "\n"
    assert "49463" in example
    return example.replace("127.0.0.1:49463", f"127.0.0.1:{port}").replace(DOCUMENTED_KEY, KEY)


class Client(pagerduty.EventsApiV2Client):
    """PagerDuty's own, which otherwise insists on https."""

    url = ""


@pytest.fixture
def port(api: EventsApi, agent: Agent) -> int:
    """That of an agent which listens."""
    port = free_port()
    agent.configure(events_url=api.url, listen=f"127.0.0.1:{port}", backoff_interval_secs=1)
    agent.start()
    return port


def post(connection: HTTPConnection, body: object) -> tuple[int, dict[str, object]]:
    connection.request("POST", "/v2/enqueue", json.dumps(body))
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def test_accepted_and_delivered(api: EventsApi, agent: Agent, port: int) -> None:
    """With its dedup key in the answer; in the queue by then, though PagerDuty is away."""
    api.stop()
    status, answer = post(HTTPConnection("127.0.0.1", port, timeout=60), ALERT)
    assert status == 202
    assert len(agent.names("pdq")) == 1
    agent.end(signal.SIGKILL)
    api.start()
    agent.start()
    [request] = api.wait_accepted(1)
    assert request.dedup_key == answer["dedup_key"]


def test_over_a_unix_socket(api: EventsApi, agent: Agent) -> None:
    """For those who would rather have no port; gone when the daemon is."""
    path = agent.root / "run" / "events.sock"
    agent.configure(events_url=api.url, listen=path)
    agent.start()
    connection = HTTPConnection("agent", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    assert post(connection, ALERT)[0] == 202
    api.wait_accepted(1)
    assert agent.stop() == 0
    assert not path.exists()


def test_a_unix_socket_that_is_removed(api: EventsApi, agent: Agent) -> None:
    """It is made anew, that of the metrics too, and whoever connects is answered."""
    events, metrics = agent.root / "run" / "events.sock", agent.root / "run" / "metrics.sock"
    settings = {"listen": events, "metrics_listen": metrics, "send_interval_secs": 1}
    agent.configure(events_url=api.url, **settings)
    agent.start()
    for each in (events, metrics):
        each.unlink()
    wait_until(lambda: events.exists() and metrics.exists())
    wait_until(lambda: agent.log.count(".sock was removed: made anew") == 2)
    for place in (events, metrics, events):
        connection = HTTPConnection("agent", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(60)
        connection.sock.connect(str(place))
        if place == events:
            assert post(connection, ALERT)[0] == 202
        else:
            connection.request("GET", "/metrics")
            assert connection.getresponse().status == 200
    api.wait_accepted(2)


def test_an_address_that_is_taken(api: EventsApi, agent: Agent) -> None:
    """Is said, also by the check, and tried again; pages by pd-send go out meanwhile."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        agent.configure(events_url=api.url, listen=f"127.0.0.1:{port}", send_interval_secs=1)
        agent.start()
        said = f"cannot listen at 127.0.0.1:{port}"
        assert said in agent.log
        [line] = [line for line in looked(agent).lines if said in line.text]
        assert (line.level, line.subject) == ("failed", "delivery")
        agent.send(KEY, "trigger", "-d", "x")
        api.wait_accepted(1)
    wait_until(lambda: f"Listening at 127.0.0.1:{port}" in agent.log)
    assert post(HTTPConnection("127.0.0.1", port, timeout=60), ALERT)[0] == 202
    assert agent.log.count("cannot listen") == 1
    assert not [line for line in looked(agent).lines if "cannot listen" in line.text]


def test_the_python_client(api: EventsApi, agent: Agent, port: int) -> None:
    """PagerDuty's own, against a slow PagerDuty that fails now and then: all arrives, in order."""
    api.latency = 0.2
    api.script(KEY, Answer(503), Answer(reset="before"))
    client = Client(KEY, base_url=f"http://127.0.0.1:{port}")
    first = client.trigger("disk full", "db1")
    client.acknowledge(first)
    client.resolve(first)
    client.send_change_event({"summary": "deployed", "source": "ci"})
    accepted = api.wait_accepted(4)
    chain = [sent(request)["event_action"] for request in accepted if request.dedup_key == first]
    assert chain == ["trigger", "acknowledge", "resolve"]
    assert [r.path for r in accepted if r.dedup_key is None] == ["/v2/change/enqueue"]


def test_the_documented_python(api: EventsApi, port: int) -> None:
    """Runs as it is written."""
    exec(documented("PagerDuty's Python client", port), {})
    actions = [sent(request)["event_action"] for request in api.wait_accepted(2)]
    assert actions == ["trigger", "resolve"]


def test_the_python_client_reads_a_refusal(agent: Agent, port: int) -> None:
    """As PagerDuty's."""
    client = Client(KEY, base_url=f"http://127.0.0.1:{port}")
    with pytest.raises(pagerduty.Error, match="400"):
        client.trigger("x", "db1", severity="bad")
    assert agent.names("pdq") == []


@contextmanager
def alertmanager(root: Path, port: int) -> Iterator[str]:
    """A real one that pages through the agent; its address."""
    if not ALERTMANAGER.exists():
        pytest.skip("prometheus-alertmanager is not installed")
    address = f"127.0.0.1:{free_port()}"
    quickly = "  group_by: [alertname]\n  group_wait: 0s\n  group_interval: 1s\n"
    path = root / "alertmanager.yml"
    path.write_text(
        documented("Alertmanager", port).replace("receivers:\n", quickly + "receivers:\n")
    )
    process = subprocess.Popen(
        [ALERTMANAGER, f"--config.file={path}", f"--storage.path={root}/alertmanager",
         f"--web.listen-address={address}", "--cluster.listen-address="],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: answers(f"http://{address}/-/ready"))
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def tell(url: str, *names: str, resolved: bool = False) -> None:
    now = datetime.now(UTC)
    ends = now - timedelta(seconds=1) if resolved else now + timedelta(hours=1)
    alerts = [
        {"labels": {"alertname": name}, "startsAt": (now - timedelta(minutes=1)).isoformat(),
         "endsAt": ends.isoformat()}
        for name in names
    ]  # fmt: skip
    request = urllib.request.Request(
        f"{url}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=60).close()


def test_alertmanager(api: EventsApi, agent: Agent, port: int) -> None:
    """With PagerDuty away: triggers and their resolves are kept, and arrive in order after."""
    api.stop()
    with alertmanager(agent.root, port) as url:
        tell(url, "DiskFull", "HighLoad")
        wait_until(lambda: len(agent.names("pdq")) == 2)
        tell(url, "DiskFull", "HighLoad", resolved=True)
        wait_until(lambda: len(agent.names("pdq")) == 4)
    api.latency = 0.1
    api.start()
    actions: dict[object, list[str]] = {}
    for request in api.wait_accepted(4):
        actions.setdefault(request.dedup_key, []).append(sent(request)["event_action"])
    assert list(actions.values()) == [["trigger", "resolve"]] * 2
    assert all(incident.state == "resolved" for incident in api.incidents)
    wait_until(lambda: len(os.listdir(agent.spool / "suc")) == 4)
