"""`pd-send` and `pd-queue` killed at every system call: what was acknowledged is there, whole and
sent once; what was not is there whole or not at all."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.events import KEY, enqueue
from tests.support.faults import OPEN, WRITING, points, tracing
from tests.support.trial import Trial
from tests.support.users import AGENT, ROOT


@pytest.mark.fault("pd-send killed at each call")
def test_pd_send(trial: Trial, trace: Path) -> None:
    """It dies at one call after the other."""
    calls = "all" if trial.long else f"{WRITING},{OPEN},exit_group"
    trial.send("incident 0", under=tracing(calls, log=trace))
    for number, point in enumerate(points(trace)[1:]):  # the first is the one that starts it
        result = trial.send(f"incident {number % 3}", under=tracing(f"{point}:signal=KILL"))
        assert result.returncode == -signal.SIGKILL, point
        trial.injected()
    trial.recovers()
    assert trial.agent.names("err") == []


@pytest.mark.fault("pd-queue retry killed at each call")
def test_pd_queue_retry(trial: Trial, trace: Path) -> None:
    """An event in error is there, or pending, and then delivered once."""
    for dedup_key in ("a", "b"):
        in_error(trial, dedup_key)

    def retry(under: list[str]) -> int:
        return trial.agent.run("pd-queue", "retry", "-a", user=AGENT, under=under).returncode

    assert retry(tracing("all" if trial.long else WRITING, log=trace)) == 0
    for point in points(trace)[1:]:
        in_error(trial, "a")
        in_error(trial, "b")
        assert retry(tracing(f"{point}:signal=KILL")) == -signal.SIGKILL, point
        trial.injected()
    assert retry([]) == 0
    trial.recovers()
    assert trial.agent.names("err") == []
    assert len(trial.api.requests) == len(trial.api.accepted)


def in_error(trial: Trial, dedup_key: str) -> None:
    """An acknowledged event that was refused."""
    agent = trial.agent
    event = trial.begin(KEY, dedup_key)
    name = enqueue(agent, KEY, dedup_key, event.text)
    trial.acknowledge(event)
    for directory in ("db", "db/reasons"):
        agent.own(agent.data_dir / directory)
    reason = agent.data_dir / "db" / "reasons" / name
    why = {"at": "2026-11-23T02:52:36Z", "attempts": 1, "reason": "refused", "status": 400}
    reason.write_text(json.dumps(why))
    reason.chmod(0o640)
    if ROOT:
        os.chown(reason, AGENT.uid, AGENT.gid)
    (agent.spool / "pdq" / name).rename(agent.spool / "err" / name)
