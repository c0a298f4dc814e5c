"""Errors at every system call: the page goes out all the same, by the queue or directly, and the
daemon makes up for what it could not do when the error is over."""

import json
from pathlib import Path

import pytest

from tests.support.agent import wait_until
from tests.support.events import KEY
from tests.support.events_api import Answer
from tests.support.faults import (
    LOOK,
    OPEN,
    RENAME,
    WRITING,
    attached,
    nearly_fill_log,
    points,
    tracing,
)
from tests.support.trial import Trial

ERRORS = ["ENOSPC", "EIO", "EDQUOT", "EROFS", "EMFILE", "EINTR"]
REFUSED = "bad0" + KEY[4:]


@pytest.mark.fault("an error at each call of pd-send")
@pytest.mark.parametrize("error", ERRORS)
def test_enqueue(trial: Trial, trace: Path, error: str) -> None:
    """One call fails: the event is queued, or was delivered directly. (In the long form, where
    calls that are about the program itself fail too, it may not even start.)"""
    calls = f"{WRITING},{OPEN}" if trial.long else WRITING
    trial.send("incident", under=tracing(calls, log=trace))
    for number, point in enumerate(points(trace)):
        result = trial.send(f"incident {number}", under=tracing(f"{point}:error={error}"))
        assert trial.long or result.returncode == 0, f"{point}: {result.stderr!r}"
        trial.injected()
    trial.recovers()
    assert trial.agent.names("err") == []


@pytest.mark.fault("an error at each call of pdagentd")
@pytest.mark.parametrize("error", ERRORS)
def test_daemon(trial: Trial, trace: Path, error: str) -> None:
    """One call fails while an event is delivered, another is refused, both are counted and the log
    is full: the same daemon makes up for it."""
    works = Works(trial, trace)
    works.work(f"{WRITING},{OPEN},{LOOK}")
    found = points(trace, trial.agent.data_dir, trial.agent.log_file.parent)
    own = ERRORS.index(error)  # each error its own points, so that the short form sees most
    for point in trial.some(found, 3, own):
        works.work(f"{point}:error={error}")
    works.are_well()


@pytest.mark.fault("errors of pdagentd's calls for a while")
@pytest.mark.parametrize("call", ["fsync", RENAME, "fchmod,?mkdir,?mkdirat", LOOK, OPEN, "write"])
def test_daemon_for_a_while(trial: Trial, trace: Path, call: str) -> None:
    """Nothing of a kind succeeds until it does again."""
    works = Works(trial, trace)
    for error in trial.some(ERRORS, 1):
        works.work(f"{call}:error={error}")
        works.work(f"{call}:error={error}")
    works.are_well()


class Works:
    """A daemon that delivers, refuses, counts, logs and rotates its log while a call fails."""

    def __init__(self, trial: Trial, trace: Path) -> None:
        self._trial = trial
        self._trace = trace
        self._round = 0
        trial.api.always(REFUSED, Answer(400))
        trial.agent.start()
        assert trial.agent.daemon is not None
        self._pid = trial.agent.daemon.pid

    def work(self, fault: str) -> None:
        """Until all that a round does is done, or the fault has happened."""
        trial = self._trial
        self._round += 1
        nearly_fill_log(trial.agent)
        settled = self._counted() + 2
        with attached(self._pid, fault, self._trace):
            for key in (KEY, REFUSED):
                assert trial.send(f"{self._round}", key=key).returncode == 0
            wait_until(lambda: self._happened() or self._counted() >= settled)
        trial.injected(self._happened())

    def are_well(self) -> None:
        """Nobody did anything, and all is as if nothing had been."""
        trial = self._trial
        agent = trial.agent
        assert trial.found.injections > 0
        wait_until(lambda: agent.names("pdq") == [])
        wait_until(lambda: self._counted() >= 2 * self._round)
        reasons = agent.data_dir / "db" / "reasons"
        wait_until(lambda: all((reasons / name).exists() for name in agent.names("err")))
        trial.recovers()
        assert agent.daemon is not None
        assert agent.daemon.pid == self._pid
        assert agent.daemon.poll() is None
        lines = len(agent.log)
        trial.send("afterwards")
        wait_until(lambda: "delivered" in agent.log[lines:] or len(agent.log) < lines)

    def _happened(self) -> int:
        return self._trace.read_text(errors="replace").count("(INJECTED)")

    def _counted(self) -> int:
        try:
            counted = json.loads((self._trial.agent.data_dir / "db" / "aggregates").read_text())
        except FileNotFoundError:
            return 0
        return sum(v for name, v in counted.items() if name.endswith("_events_count"))
