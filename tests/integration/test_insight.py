"""Metrics and health of a real daemon."""

import http.client
import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.support.agent import Agent, wait_until
from tests.support.check import Line, looked
from tests.support.events import KEY, OTHER, enqueue, key
from tests.support.events_api import Answer, EventsApi
from tests.support.ports import free_port


class Unix(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)


def get(address: str, path: str) -> tuple[int, str]:
    made = Unix(address) if address[0] == "/" else http.client.HTTPConnection(address)
    made.request("GET", path)
    answer = made.getresponse()
    text = answer.read().decode()
    made.close()
    return answer.status, text


def values(text: str) -> dict[str, float]:
    samples = [sample for family in parse(text) for sample in family.samples]
    return {" ".join([s.name, *s.labels.values()]): s.value for s in samples}


@pytest.fixture
def address() -> str:
    return f"127.0.0.1:{free_port()}"


def test_a_days_work(api: EventsApi, agent: Agent, address: str) -> None:
    """Events accepted, delivered, refused, retried and unreadable, and how long it took; with no
    more series than before, however many keys."""
    agent.configure(events_url=api.url, metrics_listen=address, backoff_interval_secs=1)
    enqueue(agent, KEY, "a", "before the start")
    agent.start()
    api.wait_accepted(1)
    before = values(get(address, "/metrics")[1])
    api.unknown_keys.add(OTHER)
    api.script(key(1), Answer(429, headers={"Retry-After": "1"}))
    api.script(key(2), Answer(503))
    for number in range(3):
        agent.send(key(number), "trigger", "-d", f"{number}")
    agent.send(OTHER, "trigger", "-d", "to nobody")
    agent.drop("1_x.txt", b"nonsense")
    enqueue(agent, key(3), "a", "wakes it up")
    api.wait_accepted(5)
    wait_until(lambda: len(agent.names("suc")) == 5 and len(agent.names("err")) == 2)
    # The workers forget an event a moment after its file has moved.
    wait_until(lambda: not values(get(address, "/metrics")[1])["pdagent_events_pending"])
    status, text = get(address, "/metrics")
    found = values(text)
    assert status == 200
    assert found["pdagent_events_accepted_total"] == 6
    assert found["pdagent_events_delivered_total"] == 5
    assert found["pdagent_events_refused_total key"] == 1
    assert found["pdagent_events_refused_total unreadable"] == 1
    assert found["pdagent_retries_total throttled"] == 1
    assert found["pdagent_retries_total troubled"] == 1
    assert found["pdagent_delivery_seconds_count"] == 5
    assert found["pdagent_events_pending"] == found["pdagent_oldest_pending_seconds"] == 0
    assert found["pdagent_last_success_timestamp_seconds"] > 0
    assert before.keys() | {"pdagent_last_success_timestamp_seconds"} == found.keys()
    assert KEY[4:] not in text
    if shutil.which("promtool"):
        check = ["promtool", "check", "metrics"]
        subprocess.run(check, input=text.encode(), check=True, capture_output=True)


def test_health(api: EventsApi, agent: Agent) -> None:
    """Over a Unix socket: well while PagerDuty is away, which it says; ill when the spool can't be
    used."""
    address = str(agent.root / "run" / "metrics.sock")
    agent.configure(events_url=api.url, metrics_listen=address, backoff_interval_secs=1)
    api.stop()
    agent.start()
    assert json.loads(get(address, "/healthz")[1])["destination"] == "reachable"
    agent.send(KEY, "trigger", "-d", "waits")
    wait_until(lambda: "cannot be reached" in agent.log)
    status, text = get(address, "/healthz")
    health = json.loads(text)
    assert (status, health["status"], health["destination"]) == (200, "ok", "unreachable")
    assert (health["schema"], health["pending"]) == ("pdagent.health/1", 1)
    held = values(get(address, "/metrics")[1])
    assert held["pdagent_holds destination"] == held["pdagent_held_events destination"] == 1
    (agent.spool / "suc").rename(agent.spool / "gone")
    status, text = get(address, "/healthz")
    assert (status, json.loads(text)["status"]) == (503, "failed")
    assert "suc" in json.loads(text)["spool"]
    assert get(address, "/other")[0] == 404
    assert agent.stop() == 0
    assert not Path(address).exists()


def test_file(api: EventsApi, agent: Agent) -> None:
    """The same for node_exporter, which is another user."""
    path = agent.root / "log" / "pdagent.prom"
    agent.configure(events_url=api.url, metrics_file=path, send_interval_secs=1)
    agent.start()
    agent.send(KEY, "trigger", "-d", "counted")
    wait_until(lambda: path.exists() and "events_delivered_total 1.0" in path.read_text())
    assert path.stat().st_mode & 0o777 == 0o644


def refuses(agent: Agent, **settings: object) -> str:
    """The daemon sends events. The check says why there are no metrics."""
    agent.configure(send_interval_secs=1, **settings)
    agent.start()
    agent.send(KEY, "trigger", "-d", "goes out")
    wait_until(lambda: len(agent.names("suc")) == 1)
    wait_until(lambda: unshown(agent))
    [line] = unshown(agent)
    assert line.level == "warning"
    return line.text


def unshown(agent: Agent) -> list[Line]:
    return [line for line in looked(agent).lines if "metrics are not shown" in line.text]


def test_an_address_that_is_taken(api: EventsApi, agent: Agent) -> None:
    """Pages go out without metrics."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        why = refuses(agent, events_url=api.url, metrics_listen=address)
        assert f"cannot listen on {address}: Address already in use" in agent.log
        assert f"cannot listen on {address}: Address already in use" in why
    wait_until(lambda: unshown(agent) == [])


def test_a_file_that_cannot_be_written(api: EventsApi, agent: Agent) -> None:
    """Pages go out without metrics, and the check says it until there is a directory."""
    path = agent.root / "log/none/pdagent.prom"
    why = refuses(agent, events_url=api.url, metrics_file=path)
    assert f"cannot write {path}: No such file or directory" in why
    agent.own(path.parent)
    wait_until(lambda: unshown(agent) == [])


def test_an_address_for_others(api: EventsApi, agent: Agent) -> None:
    """Other hosts get to see metrics only where that was allowed by name."""
    port = free_port()
    why = refuses(agent, events_url=api.url, metrics_listen=f"0.0.0.0:{port}")
    assert "metrics_remote = on allows it" in agent.log
    assert "metrics_remote = on allows it" in why
    with pytest.raises(OSError, match="refused"):
        get(f"127.0.0.1:{port}", "/metrics")
    agent.stop()
    agent.configure(events_url=api.url, metrics_listen=f"0.0.0.0:{port}", metrics_remote="on")
    agent.start()
    assert get(f"127.0.0.1:{port}", "/metrics")[0] == 200
