"""Nothing is imported beside running threads, but by who holds the gate (`threads.importing`)."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import Agent, beginning_with, directory, wait_until
from tests.support.events import KEY, OTHER, enqueue
from tests.support.events_api import Answer, EventsApi

# Python asks the finders for each module that is not loaded yet, however it is imported.
WATCH = """
import _thread, sys, threading
from pdagent import threads
first = _thread.get_ident()
class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        alone = threading.active_count() == 1 and _thread.get_ident() == first
        if not alone and not threads.importing._is_owned():
            with open({path!r}, "a") as file:
                file.write(f"{{name}} in {{threading.current_thread().name}}\\n")
sys.meta_path.insert(0, Watch)
"""


@pytest.fixture
def imported(api: EventsApi) -> Iterator[tuple[Agent, Path]]:
    """An agent, and the file that names what was imported beside running threads."""
    with directory() as root:
        path = root / "log" / "imported"
        watched = beginning_with(WATCH.format(path=str(path)), "pdagentd")
        with Agent(root, api.url, watched) as agent:
            yield agent, path


def test_threads_import_nothing(imported: tuple[Agent, Path], api: EventsApi) -> None:
    """Through all that a daemon does: idle, and with pending events at the start; every answer that
    PagerDuty gives, files that are no events, the endpoint, metrics, heartbeats, clean-ups, a
    reload."""
    agent, path = imported
    settings: dict[str, object] = {
        "events_url": api.url,
        "send_interval_secs": 1,
        "cleanup_interval_secs": 1,
        "max_delivered_events": 1,
        "backoff_interval_secs": 1,
        "listen": agent.root / "run" / "events.sock",
        "metrics_listen": agent.root / "run" / "metrics.sock",
        "metrics_file": agent.root / "run" / "pdagent.prom",
    }
    agent.configure(**settings, cleanup_threshold_secs=1)
    (agent.spool / "tmp" / "directory").mkdir()
    agent.start()
    wait_until(lambda: not (agent.spool / "tmp" / "directory").exists())
    assert agent.stop() == 0
    agent.configure(**settings)
    for number in range(5):
        enqueue(agent, KEY, f"a{number}", "early")
    agent.start()
    api.script(
        OTHER,
        Answer(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        Answer(500),
        Answer(400),
        Answer(502, body=b"<html>"),
    )
    for number in range(4):
        enqueue(agent, OTHER, f"b{number}", "late")
    (agent.spool / "pdq" / f"{time.time_ns() // 1000:016}_{KEY}.txt").write_bytes(b"{")
    (agent.spool / "pdq" / ("x" * 200)).write_bytes(b"{}")
    api.wait_accepted(8)
    assert agent.daemon is not None
    agent.daemon.send_signal(1)
    wait_until(lambda: "configuration reloaded" in agent.log)
    wait_until(lambda: agent.names("pdq") == [])
    wait_until(lambda: (agent.root / "run" / "pdagent.prom").exists())
    assert agent.stop() == 0
    beats = api.url + "/agent/2014-03-14/heartbeat"
    agent.configure(heartbeat="on", heartbeat_url=beats, **settings)
    agent.start()
    api.wait_for(lambda requests: requests[-1].path.endswith("/heartbeat"))
    assert agent.stop() == 0
    assert not path.exists(), path.read_text()
