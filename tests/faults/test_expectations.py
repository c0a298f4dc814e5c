"""Expectations, whoever dies and whatever fails: what `pd-send expect` has accepted is paged if
nobody renews it, and resolved when somebody does."""

import signal
from pathlib import Path

import pytest

from pdagent.queue.expectation import understood
from tests.faults.conftest import Mount
from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, sent
from tests.support.events_api import EventsApi
from tests.support.faults import LINK, LOOK, OPEN, RENAME, WRITING, attached, points, tracing
from tests.support.trial import Trial
from tests.support.users import SENDER

WAIT_SECONDS = 120.0


def expect(trial: Trial, dedup_key: str, within: str, *under: str) -> int:
    arguments = ("expect", "-k", KEY, "-i", dedup_key, "--within", within)
    return trial.agent.run("pd-send", *arguments, user=SENDER, under=under).returncode


def actions(trial: Trial, dedup_key: str) -> list[str]:
    """What PagerDuty heard of an incident, what came twice once."""
    heard = [sent(r)["event_action"] for r in trial.api.accepted if r.dedup_key == dedup_key]
    return [
        each for number, each in enumerate(heard) if each not in heard[max(0, number - 1) : number]
    ]


def died(trial: Trial) -> bool:
    daemon = trial.agent.daemon
    assert daemon is not None
    if daemon.poll() is None:
        return False
    assert daemon.returncode == -signal.SIGKILL
    return True


def restart(trial: Trial) -> None:
    """A daemon with which nothing is wrong."""
    if trial.agent.daemon is not None:
        if died(trial):
            trial.agent.daemon = None
            trial.injected()
        else:
            trial.agent.stop()
    trial.agent.start()


def heard(trial: Trial, dedup_key: str, *expected: str) -> None:
    """Waits for what PagerDuty is to hear of an incident, and no more than that."""
    try:
        wait_until(lambda: actions(trial, dedup_key) == [*expected], WAIT_SECONDS)
    except AssertionError as error:
        spool = {p.name: trial.agent.names(p.name) for p in trial.agent.spool.iterdir()}
        raise AssertionError(f"{actions(trial, dedup_key)}, {spool}\n{trial.agent.log}") from error


def marks(trial: Trial) -> list[str]:
    return [name.partition(".")[2].partition("-")[0] for name in trial.agent.names("expected")]


@pytest.mark.fault("pd-send expect killed at each call")
def test_pd_send_expect(trial: Trial, trace: Path) -> None:
    """What is there is whole, and what was accepted is there. The daemon takes all of it over."""
    calls = "all" if trial.long else f"{WRITING},{OPEN},exit_group"
    assert expect(trial, "whole", "1h", *tracing(calls, log=trace)) == 0
    accepted = {"whole"}
    for number, point in enumerate(trial.some(points(trace)[1:], 12)):
        code = expect(trial, f"{number}", "1h", *tracing(f"{point}:signal=KILL"))
        assert code == -signal.SIGKILL, point
        trial.injected()
        assert expect(trial, f"after {number}", "1h") == 0
        accepted.add(f"after {number}")
    files = [(trial.agent.spool / "expect" / name) for name in trial.agent.names("expect")]
    assert {understood(path.read_bytes()).dedup_key for path in files} >= accepted
    assert expect(trial, "due", "1s") == 0
    trial.recovers()
    heard(trial, "due", "trigger")
    wait_until(lambda: trial.agent.names("expect") == [])
    assert trial.agent.names("err") == []
    assert len(trial.agent.names("expected")) >= len(accepted)


@pytest.mark.fault("pdagentd killed at each call of a lapse")
def test_a_daemon_dies_while_something_lapses(trial: Trial, trace: Path) -> None:
    """From the taking over to the mark: the next daemon pages."""
    number = 0

    def lapse(fault: str) -> None:
        nonlocal number
        number += 1
        dedup_key = f"lapse {number}"
        restart(trial)
        assert trial.agent.daemon is not None
        with attached(trial.agent.daemon.pid, fault, trace):
            assert expect(trial, dedup_key, "1s") == 0
            wait_until(lambda: died(trial) or marks(trial).count("lapsed") == number, WAIT_SECONDS)
        restart(trial)
        heard(trial, dedup_key, "trigger")
        wait_until(lambda: marks(trial) == ["lapsed"] * number, WAIT_SECONDS)

    trial.agent.start()
    lapse(f"{WRITING},{OPEN},{LINK}")
    found = points(trace, trial.agent.spool)
    for point in trial.some(found, 5):
        lapse(f"{point}:signal=KILL")
    assert trial.found.injections > 0
    for each in range(1, number + 1):
        assert expect(trial, f"lapse {each}", "1h") == 0
    wait_until(lambda: marks(trial) == ["renewed"] * number, WAIT_SECONDS)
    for each in range(1, number + 1):
        heard(trial, f"lapse {each}", "trigger", "resolve")
    trial.recovers()


@pytest.mark.fault("pdagentd killed at each call of a renewal")
def test_a_daemon_dies_while_something_is_renewed(trial: Trial, trace: Path) -> None:
    """Between the resolve and the new file: the next daemon resolves, and the time begins anew."""
    number = 0

    def renew(fault: str) -> None:
        nonlocal number
        number += 1
        dedup_key = f"renewal {number}"
        restart(trial)
        assert expect(trial, dedup_key, "1s") == 0
        wait_until(lambda: marks(trial).count("lapsed") == 1)
        wait_until(lambda: trial.agent.names("pdq") == [])
        assert trial.agent.daemon is not None
        with attached(trial.agent.daemon.pid, fault, trace):
            assert expect(trial, dedup_key, "1h") == 0
            resolved = ["trigger", "resolve"]
            wait_until(lambda: died(trial) or actions(trial, dedup_key) == resolved, WAIT_SECONDS)
        restart(trial)
        heard(trial, dedup_key, *resolved)
        wait_until(lambda: marks(trial) == ["renewed"] * number, WAIT_SECONDS)

    trial.agent.start()
    renew(f"{WRITING},{OPEN},{LINK}")
    for point in trial.some(points(trace, trial.agent.spool), 5):
        renew(f"{point}:signal=KILL")
    assert trial.found.injections > 0
    assert trial.agent.names("expect") == []
    trial.recovers()


@pytest.mark.fault("an error at the calls of a lapse, for a while")
@pytest.mark.parametrize("call", ["fsync", RENAME, LINK, OPEN, LOOK, "?getdents64"])
@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EMFILE"])
def test_errors_for_a_while(trial: Trial, trace: Path, call: str, error: str) -> None:
    """The same daemon pages when they are over, or in spite of them; and goes on after that."""
    if not trial.long and (call, error) not in (
        *((RENAME, "EIO"), ("fsync", "EIO"), (LINK, "ENOSPC"), (OPEN, "EMFILE")),
        ("?getdents64", "EIO"),
    ):
        pytest.skip("the long form has it")
    trial.agent.start()
    assert expect(trial, "backup", "1s") == 0
    daemon = trial.agent.daemon
    assert daemon is not None
    with attached(daemon.pid, f"{call}:error={error}", trace):
        wait_until(
            lambda: (
                "(INJECTED)" in trace.read_text(errors="replace")
                or actions(trial, "backup") == ["trigger"]
            )
        )
    trial.injected()
    heard(trial, "backup", "trigger")
    wait_until(lambda: marks(trial) == ["lapsed"], WAIT_SECONDS)
    assert expect(trial, "backup", "1h") == 0
    heard(trial, "backup", "trigger", "resolve")
    assert daemon.poll() is None
    trial.recovers()


@pytest.mark.needs_root
def test_a_file_system_that_becomes_read_only(agent: Agent, api: EventsApi, mount: Mount) -> None:
    """What lapses there is paged all the same. A renewal resolves it, once there can be one."""
    mount("-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs", agent.spool)
    agent.create_spool()
    agent.start()
    renew = ("expect", "-k", KEY, "-i", "nightly", "--within")
    assert agent.run("pd-send", *renew, "5s", user=SENDER).returncode == 0
    wait_until(lambda: len(agent.names("expected")) == 1)
    mount("-o", "remount,ro", agent.spool)
    assert [sent(request)["event_action"] for request in api.wait_accepted(1)] == ["trigger"]
    wait_until(lambda: "lapsed, and paged" in agent.log)
    mount("-o", "remount,rw", agent.spool)
    assert agent.run("pd-send", *renew, "1h", user=SENDER).returncode == 0
    actions = [sent(request)["event_action"] for request in api.wait_accepted(2)]
    assert actions == ["trigger", "resolve"]
