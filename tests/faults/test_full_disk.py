"""Disks that really are full, of bytes or of inodes: pages go out, and with room again all goes on
by itself."""

import contextlib
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, OTHER
from tests.support.events_api import Answer
from tests.support.mounts import private_mounts
from tests.support.power import kill
from tests.support.trial import Trial
from tests.support.volume import KINDS, Volume

pytestmark = pytest.mark.needs_root

BOTH = pytest.mark.parametrize("what", ["bytes", "inodes"])
REFUSED = "bad0" + KEY[4:]


@pytest.fixture
def hidden(agent: Agent) -> Iterator[None]:
    """Mounts of its own, for the daemon too."""
    with private_mounts():
        yield
        kill(agent)


@pytest.fixture(params=KINDS)
def data(request: pytest.FixtureRequest, agent: Agent, hidden: None) -> Volume:
    """The agent's data on a small file system."""
    volume = Volume(request.param, agent.root / "data.image", agent.data_dir)
    agent.own(agent.data_dir)
    agent.create_spool()
    return volume


@pytest.fixture(params=KINDS)
def logs(request: pytest.FixtureRequest, agent: Agent, hidden: None) -> Volume:
    """The log on a small file system."""
    volume = Volume(request.param, agent.root / "logs.image", agent.log_file.parent)
    agent.own(agent.log_file.parent)
    return volume


def written(agent: Agent, count: int) -> bool:
    """Whether so many refused events have their reasons, and the daemon has a number of all."""
    db = agent.data_dir / "db"
    names = agent.names("err")
    return (
        len(names) == count
        and all((db / "reasons" / name).is_file() for name in names)
        and (db / "aggregates").exists()
        and f'"failed_events_count": {count},' in (db / "aggregates").read_text()
    )


def stands_still(agent: Agent) -> bool:
    """Whether each thread of the daemon is stopped, so that none is in the middle of a call."""
    assert agent.daemon is not None
    for task in Path(f"/proc/{agent.daemon.pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            if task.read_text().rpartition(") ")[2][0] != "T":
                return False
    return True


@BOTH
@pytest.mark.fault("a full disk for queue and state")
def test_data(trial: Trial, data: Volume, what: str) -> None:
    """New events go directly, or their senders are told. What was accepted before is delivered, or
    refused. What could not be remembered then is as soon as there is room."""
    agent, api = trial.agent, trial.api
    queue_only = agent.root / "queue_only.conf"
    api.always(KEY, Answer(429, retry_after=1))
    api.always(REFUSED, Answer(429, retry_after=1))
    agent.start()
    for key in (KEY, REFUSED):
        assert trial.send("before", key=key).returncode == 0
    api.wait_for(2)

    assert agent.daemon is not None
    # A file that the daemon replaces makes room for an event, so it stands still for a while.
    agent.daemon.send_signal(signal.SIGSTOP)
    wait_until(lambda: stands_still(agent))
    data.fill(what)
    trial.injected()
    queue_only.write_text(agent.conf.read_text() + "direct_delivery = off\n")
    result = trial.send("direct", key=OTHER)
    assert result.returncode == 0, result
    assert b"directly" in result.stderr
    result = trial.send("none", "trigger", "--config", str(queue_only), key=OTHER)
    assert result.returncode == 75, result
    agent.daemon.send_signal(signal.SIGCONT)
    api.always(KEY, None)
    api.always(REFUSED, Answer(400))
    wait_until(lambda: agent.names("pdq") == [])
    pid = agent.daemon.pid

    data.empty()
    wait_until(lambda: written(agent, 1))
    result = trial.send("after", "trigger", "--config", str(queue_only), key=OTHER)
    assert result.returncode == 0, result
    trial.recovers()
    assert agent.daemon.pid == pid
    assert agent.names("tmp") == []


@BOTH
@pytest.mark.fault("a full disk at the daemon's start")
def test_start(trial: Trial, data: Volume, what: str) -> None:
    """One that has run before starts, delivers, and writes what it has to when there is room."""
    agent = trial.agent
    trial.api.always(REFUSED, Answer(400))
    agent.start()
    assert agent.stop() == 0
    for key in (KEY, REFUSED):
        assert trial.send("before", key=key).returncode == 0
    data.fill(what)
    trial.injected()
    agent.start()
    wait_until(lambda: agent.names("pdq") == [])
    data.empty()
    wait_until(lambda: written(agent, 1))
    trial.recovers()


@BOTH
@pytest.mark.fault("a full disk for the log")
def test_log(trial: Trial, logs: Volume, what: str) -> None:
    """Events do not mind, before the daemon's start or after it; and what happens then is in the
    log again."""
    agent = trial.agent
    for full_at_start in (True, False):
        if not full_at_start:
            agent.start()
        logs.fill(what)
        trial.injected()
        if full_at_start:
            agent.start()
        for number in range(20):
            assert trial.send(f"{number}").returncode == 0
        wait_until(lambda: agent.names("pdq") == [])
        logs.empty()
        before = agent.log
        trial.recovers()
        wait_until(lambda seen=before: "delivered" in agent.log.removeprefix(seen))  # type: ignore[misc]
        assert agent.stop() == 0
        assert "exiting normally" in agent.log.removeprefix(before)


@pytest.mark.fault("no directory for the log")
def test_no_log(trial: Trial, tmp_path: Path) -> None:
    """Somebody has removed it, and makes it again: nobody tells the daemon."""
    agent = trial.agent
    directory = agent.log_file.parent
    agent.start()
    # The daemon may write its log while rmtree looks through the directory, so it is moved first.
    moved = directory.with_name("log.moved")
    directory.rename(moved)
    shutil.rmtree(moved)
    trial.injected()
    assert trial.send("without").returncode == 0
    wait_until(lambda: agent.names("pdq") == [])
    agent.own(directory)
    trial.recovers()
    wait_until(lambda: "delivered" in agent.log)
