"""What an administrator removes from under a running daemon."""

import socket
import subprocess

import pytest

from pdagent.queue.layout import is_served
from tests.support.agent import PATIENCE_SECONDS, Agent, wait_until
from tests.support.check import looked
from tests.support.events import KEY, summaries
from tests.support.events_api import EventsApi
from tests.support.users import AGENT


@pytest.mark.parametrize("gone", ["lib/db", "lib/db/daemon.lock"])
def test_a_lock_that_is_removed(api: EventsApi, agent: Agent, gone: str) -> None:
    """The daemon takes it anew, and a second one says who serves the spool."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    agent.start()
    (agent.root / gone).rename(agent.root / "gone")
    agent.send(KEY, "trigger", "-d", "has the daemon look")
    wait_until(lambda: "db/daemon.lock was removed: made anew" in agent.log)
    assert agent.daemon is not None
    second = agent.run("pdagentd", "-f", user=AGENT)
    assert second.returncode == 75
    assert f"running already (pid {agent.daemon.pid})" in second.stderr.decode()


@pytest.mark.parametrize("gone", ["lib/db", "lib/db/daemon.lock"])
def test_a_daemon_that_starts_while_the_lock_is_gone(
    api: EventsApi, agent: Agent, gone: str
) -> None:
    """It ends, although the first one has not seen that yet."""
    agent.configure(events_url=api.url, send_interval_secs=600)
    agent.start()
    (agent.root / gone).rename(agent.root / "gone")
    second = agent.run("pdagentd", "-f", user=AGENT)
    assert second.returncode == 75
    assert b"running already" in second.stderr
    assert agent.stop() == 0


def test_a_queue_that_another_daemon_took(api: EventsApi, agent: Agent) -> None:
    """All of it was removed, and the second daemon came before the first one saw it. The first one
    ends, and says why."""
    agent.configure(events_url=api.url, send_interval_secs=10)
    agent.start()
    first, agent.daemon = agent.daemon, None
    assert first is not None
    agent.data_dir.rename(agent.root / "gone")
    agent.own(agent.data_dir)
    agent.create_spool()
    agent.start()
    assert agent.daemon is not None
    assert first.wait(PATIENCE_SECONDS) == 75
    assert f"running already (pid {agent.daemon.pid})" in agent.log
    agent.send(KEY, "trigger", "-d", "still served")
    assert summaries(api.wait_accepted(1)) == ["still served"]


@pytest.mark.parametrize("gone", ["lib/db", "lib/db/wake"])
def test_a_fifo_that_is_removed(api: EventsApi, agent: Agent, gone: str) -> None:
    """At most one event leaves late. Then senders wake the daemon again, by a new FIFO."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    agent.start()
    (agent.root / gone).rename(agent.root / "gone")
    assert not is_served(str(agent.spool))
    agent.send(KEY, "trigger", "-d", "late")
    api.wait_accepted(1)
    assert "db/wake was removed: made anew" in agent.log
    assert is_served(str(agent.spool))
    agent.configure(events_url=api.url, send_interval_secs=600)
    agent.run("pdagent", "reload", check=True)
    agent.send(KEY, "trigger", "-d", "at once")
    api.wait_accepted(2)


@pytest.mark.needs_root
def test_a_queue_that_nothing_may_leave(api: EventsApi, agent: Agent) -> None:
    """As after chattr +a: a delivered event stays there, to be sent again by the next daemon. The
    check says so, and what is to be done, until it can leave."""
    agent.start()
    if subprocess.run(["chattr", "+a", agent.spool / "pdq"], check=False).returncode:
        pytest.skip("no such attribute here")
    try:
        agent.send(KEY, "trigger", "-d", "stays")
        api.wait_accepted(1)
        wait_until(lambda: "cannot move" in agent.log)
        wait_until(lambda: looked(agent).code == 3)
        [line] = [line for line in looked(agent).lines if line.level == "failed"]
        assert line.text.startswith(f"the service cannot write {agent.spool}/suc: Operation not")
        assert "chattr -ia" in line.remedy
    finally:
        subprocess.run(["chattr", "-a", agent.spool / "pdq"], check=True)
    wait_until(lambda: looked(agent).code == 0)
    assert len(agent.names("suc")) == 1


def test_a_socket_that_somebody_else_has_by_now(agent: Agent) -> None:
    """The daemon's own was removed. It leaves the other's alone when it stops, and takes its own
    along."""
    path = agent.root / "run" / "events.sock"
    agent.configure(events_url="http://127.0.0.1:1", listen=path, send_interval_secs=600)
    agent.start()
    assert path.is_socket()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        agent.stop()
        assert path.is_socket()
        path.unlink()
    agent.start()
    assert path.is_socket()
    agent.stop()
    assert not path.exists()
