"""The daemon stopped, killed, frozen, reloaded, doubled and replaced while events come and go."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import frozen
from tests.support.agent import from_program, wait_until
from tests.support.events import enqueue, key, summaries
from tests.support.events_api import EventsApi
from tests.support.trial import Trial
from tests.support.users import AGENT


@contextmanager
def senders(trial: Trial, count: int) -> Iterator[None]:
    """Events that come all the time meanwhile, each from a pd-send of its own; all of them are
    accepted."""
    over = threading.Event()
    refused: list[bytes] = []

    def send(number: int) -> None:
        sent = 0
        while not over.is_set():
            result = trial.send(f"{sent % 2}", key=key(number))
            if result.returncode:
                refused.append(result.stderr)
            sent += 1

    threads = [threading.Thread(target=send, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert refused == []


@pytest.mark.fault("signals, while events come")
def test_signals(trial: Trial) -> None:
    """Stopped in order, killed, frozen for a while, told to reload a bad configuration, asked to be
    two: nothing is lost, sent in another order or left lying."""
    agent, api = trial.agent, trial.api
    agent.start()
    with senders(trial, 3):
        for number in trial.injections(range(5), range(100)):
            assert agent.daemon is not None
            api.latency = 0.05 * (number % 3)
            count = len(api.accepted)
            match number % 5:
                case 0:
                    assert agent.end(signal.SIGKILL) == -signal.SIGKILL
                    agent.start()
                case 1:
                    agent.daemon.send_signal(signal.SIGSTOP)
                    time.sleep(0.5)
                    agent.daemon.send_signal(signal.SIGCONT)
                case 2:
                    assert agent.stop() == 0
                    agent.start()
                case 3:
                    good = agent.conf.read_text()
                    edit(agent.conf, good + "max_connections = many\n")
                    agent.daemon.send_signal(signal.SIGHUP)
                    wait_until(lambda: "going on with the old one" in agent.log)
                    edit(agent.conf, good)
                case 4:
                    second = agent.run("pdagentd", "-f", user=AGENT)
                    assert second.returncode == 75
            api.wait_for(lambda _, count=count: len(api.accepted) > count)  # type: ignore[misc]
    trial.recovers()
    assert agent.names("pdq") == agent.names("err") == []


def edit(path: Path, text: str) -> None:
    """As an editor does, while others read it."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o644)
    new.replace(path)


@pytest.mark.fault("stopped with posts on their way")
def test_stopped_in_flight(trial: Trial) -> None:
    """SIGSTOP with posts on their way, an Events API that comes anew meanwhile, and SIGCONT."""
    agent, api = trial.agent, trial.api
    api.latency = 1.0
    agent.start()
    for number in range(4):
        trial.send("same", key=key(number))
    api.wait_for(4)
    assert agent.daemon is not None
    agent.daemon.send_signal(signal.SIGSTOP)
    trial.injected()
    trial.send("while it is stopped")
    api.stop()
    api.latency = 0.0
    api.start()
    agent.daemon.send_signal(signal.SIGCONT)
    trial.recovers()


@pytest.mark.fault("replaced, while events come")
def test_another_program(trial: Trial) -> None:
    """An upgrade as package managers do it: a new file takes the name of the one that runs, and the
    daemon is started anew, with a thousand events pending and more arriving."""
    agent, api = trial.agent, trial.api
    program = agent.root / "program"
    program.mkdir()
    shutil.copytree(frozen.PROGRAM.parent, program, dirs_exist_ok=True)
    agent.command = from_program(program / frozen.PROGRAM.name)
    pending = 1000 if trial.long else 200
    for number in range(pending):
        enqueue(agent, key(100 + number % 20), f"{number % 40}", f"pending {number:04}")
    api.latency = 0.05
    agent.start()
    api.wait_accepted(10)
    with senders(trial, 2):
        for _ in trial.injections(range(2), range(10)):
            replace(program / frozen.PROGRAM.name)
            assert agent.daemon is not None
            assert "(deleted)" in os.readlink(f"/proc/{agent.daemon.pid}/exe")
            assert agent.stop() == 0
            agent.start()
            assert "(deleted)" not in os.readlink(f"/proc/{agent.daemon.pid}/exe")
    api.latency = 0.0
    trial.recovers()
    wait_until(lambda: agent.names("pdq") == [])
    arrived = [text for text in summaries(api.accepted) if text.startswith("pending")]
    assert sorted(set(arrived)) == [f"pending {number:04}" for number in range(pending)]


def replace(program: Path) -> None:
    new = program.with_name("new")
    shutil.copy(program, new)
    os.rename(new, program)


@pytest.mark.fault("daemon started again and again")
def test_many_starts(trial: Trial, api: EventsApi) -> None:
    """With metrics, and events that are pending: what workers import at their first event and what
    the metrics import are never in each other's way."""
    agent = trial.agent
    agent.configure(
        events_url=api.url,
        send_interval_secs=1,
        listen=agent.root / "run" / "events.sock",
        metrics_listen=agent.root / "run" / "metrics.sock",
        metrics_file=agent.root / "run" / "pdagent.prom",
    )
    for number in trial.injections(range(30), range(200)):
        for other in range(4):
            enqueue(agent, key(other), f"{number}", f"{number}")
        agent.start()
        api.wait_accepted(4 * (number + 1))
        assert agent.stop() == 0
    assert "Traceback" not in agent.log
