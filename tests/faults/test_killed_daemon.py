"""`pdagentd` killed at every system call: at its start, while it delivers, settles, cleans up,
writes what it remembers and rotates its log. The next one goes on by itself."""

import signal
from pathlib import Path

import pytest

from tests.support.agent import wait_until
from tests.support.events import KEY, OTHER
from tests.support.events_api import Answer
from tests.support.faults import OPEN, WRITING, attached, nearly_fill_log, points, tracing
from tests.support.trial import Trial

REFUSED = "bad0" + KEY[4:]


def calls(trial: Trial) -> str:
    return f"{WRITING},{OPEN}" if trial.long else WRITING


def died(trial: Trial) -> bool:
    """Whether the fault has ended the daemon."""
    daemon = trial.agent.daemon
    assert daemon is not None
    if daemon.poll() is None:
        return False
    assert daemon.returncode == -signal.SIGKILL
    trial.agent.daemon = None
    trial.injected()
    return True


def stop(trial: Trial) -> None:
    """Ends the daemon, unless the fault has."""
    if trial.agent.daemon is not None and not died(trial):
        trial.agent.stop()


@pytest.mark.fault("pdagentd killed at each call of its start")
def test_start(trial: Trial, trace: Path) -> None:
    """From the directories and the lock over the log and the state to the first look at the queue,
    and on to what is there."""
    trial.api.always(REFUSED, Answer(400))

    def start(under: list[str]) -> None:
        trial.send("a")
        trial.send("b", key=REFUSED)
        nearly_fill_log(trial.agent)
        trial.agent.start(wait=False, under=under)
        wait_until(lambda: died(trial) or trial.agent.names("pdq") == [])
        stop(trial)

    start(tracing(calls(trial), log=trace))
    for point in trial.some(points(trace)[1:], 6):
        start(tracing(f"{point}:signal=KILL"))
    assert trial.found.injections > 0
    trial.recovers()


@pytest.mark.fault("pdagentd killed at each call while it settles")
def test_settle(trial: Trial, trace: Path) -> None:
    """Between PagerDuty's answer, the reason that is kept and the file that moves on."""
    trial.agent.configure(events_url=trial.api.url)
    trial.api.always(REFUSED, Answer(400))

    def settle(fault: str) -> None:
        trial.agent.start()
        assert trial.agent.daemon is not None
        with attached(trial.agent.daemon.pid, fault, trace):
            for key in (REFUSED, KEY):
                trial.send("a", key=key)
                trial.send("a", "resolve", key=key)
            wait_until(lambda: died(trial) or trial.agent.names("pdq") == [])
        stop(trial)

    settle(calls(trial))
    for point in trial.some(points(trace), 6):
        settle(f"{point}:signal=KILL")
    assert trial.found.injections > 0
    trial.recovers()


def written(path: Path) -> int:
    """When it was last written, in ns, 0 where it is not there."""
    return path.stat().st_mtime_ns if path.exists() else 0


@pytest.mark.fault("pdagentd killed at each write of state and log")
def test_remember(trial: Trial, trace: Path) -> None:
    """Reasons, counters and a log that is full: each is whole, old or new, and the next daemon goes
    on with what it finds."""
    agent = trial.agent
    trial.api.always(REFUSED, Answer(400))
    counted = agent.data_dir / "db" / "aggregates"

    def remember(fault: str) -> None:
        agent.start()
        assert agent.daemon is not None
        before = written(counted)
        nearly_fill_log(agent)
        with attached(agent.daemon.pid, fault, trace):
            trial.send("a", key=REFUSED)
            wait_until(lambda: died(trial) or agent.names("pdq") == [])
            if agent.daemon is not None:
                wait_until(lambda: died(trial) or written(counted) > before)
        stop(trial)

    remember(f"{WRITING},{OPEN}")
    found = points(trace, agent.data_dir / "db", agent.log_file.parent)
    assert {point.partition(":")[0] for point in found} >= {"write", "fsync", "openat"}
    for point in trial.some(found, 4):
        remember(f"{point}:signal=KILL")
    assert trial.found.injections > 0
    trial.recovers()
    assert "is damaged" not in agent.logged


@pytest.mark.fault("pdagentd killed at each call of a clean-up")
def test_clean_up(trial: Trial, trace: Path) -> None:
    """What it has removed is gone, what it has not is there, and nothing else is touched."""
    settings = {"cleanup_interval_secs": 1, "cleanup_threshold_secs": 1, "send_interval_secs": 1}

    def clean_up(fault: str) -> None:
        trial.agent.configure(events_url=trial.api.url)
        trial.send("a")
        trial.send("b")
        trial.agent.start()
        wait_until(lambda: trial.agent.names("pdq") == [])
        assert trial.agent.stop() == 0
        trial.api.always(OTHER, Answer(429))
        trial.send("pending", key=OTHER)
        trial.agent.configure(events_url=trial.api.url, **settings)
        # from its first call on: the clean-up may come as soon as it has started
        trial.agent.start(wait=False, under=tracing(fault, log=trace))
        wait_until(lambda: died(trial) or trial.agent.names("suc") == [])
        stop(trial)
        trial.api.always(OTHER, None)

    clean_up(calls(trial))
    for point in trial.some(points(trace, trial.agent.spool / "suc"), 4):
        clean_up(f"{point}:signal=KILL")
    trial.agent.configure(events_url=trial.api.url, send_interval_secs=1)
    assert trial.found.injections > 0
    trial.recovers()
