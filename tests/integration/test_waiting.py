"""`pd-send --wait`, by a user who may neither list nor read the spool: outcomes and exit codes."""

import os
import signal
import subprocess

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY
from tests.support.events_api import Answer, EventsApi
from tests.support.users import SENDER

EVENT = ["-k", KEY, "-t", "trigger", "-d", "disk full", "-i", "inc-1"]
RECEIPT = b"Event processed. Incident Key: inc-1\n"


def send(agent: Agent, *arguments: str) -> tuple[int, bytes, str]:
    done = agent.run("pd-send", *EVENT, *arguments, user=SENDER)
    return done.returncode, done.stdout, done.stderr.decode()


def begin(agent: Agent, *arguments: str) -> subprocess.Popen[bytes]:
    """A `pd-send --wait` that goes on meanwhile; its event is pending."""
    sending = subprocess.Popen(
        [*agent.command("pd-send"), "--config", str(agent.conf), *EVENT, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=agent.environment,
        **SENDER.popen(),
    )
    wait_until(lambda: agent.names("pdq"))
    return sending


def test_delivered(api: EventsApi, agent: Agent) -> None:
    """Exit 0 means that PagerDuty has it, not only the queue. Nothing is left behind."""
    agent.start()
    assert send(agent, "--wait") == (0, RECEIPT, "")
    assert len(api.accepted) == 1
    assert agent.names("tmp") == []


def test_closed_descriptors(api: EventsApi, agent: Agent) -> None:
    """As some daemons start their children: the sender must not take its FIFO for a terminal, and
    read what it said itself."""
    agent.start()
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    command = [*agent.command("pd-send"), "--config", str(agent.conf), *EVENT, "--wait"]
    done = subprocess.run([*closed, *command], env=agent.environment, **SENDER.popen())
    assert done.returncode == 0
    assert len(api.accepted) == 1


def test_refused(api: EventsApi, agent: Agent) -> None:
    """With PagerDuty's reason, and an exit code of its own."""
    api.unknown_keys.add(KEY)
    agent.start()
    code, said, wrong = send(agent, "--wait=30")
    assert (code, said) == (76, RECEIPT)
    assert wrong.startswith("pd-send: the event is in error: ")
    assert "Invalid routing key" in wrong
    wait_until(lambda: len(agent.names("err")) == 1)


def test_not_yet(api: EventsApi, agent: Agent) -> None:
    """When the time is up the event is queued all the same, which no other exit code says."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    api.stop()
    agent.start()
    code, said, wrong = send(agent, "--wait", "0.2")
    assert (code, said) == (79, RECEIPT)
    assert "stays queued" in wrong
    assert len(agent.names("pdq")) == 1
    assert agent.names("tmp") == []
    api.start()
    api.wait_accepted(1)


def test_not_queued(api: EventsApi, agent: Agent) -> None:
    """That is another exit code, and nothing is sent later."""
    agent.configure(events_url=api.url, direct_delivery="off")
    (agent.spool / "pdq").rmdir()
    assert send(agent, "--wait")[0] == 75


def test_before_the_daemon_runs(api: EventsApi, agent: Agent) -> None:
    """Said at once; the wait ends when it has been started."""
    sending = begin(agent, "--wait")
    agent.start()
    said, wrong = sending.communicate(timeout=60)
    assert (sending.returncode, said) == (0, RECEIPT)
    assert b"pdagentd is not running" in wrong
    assert len(api.accepted) == 1


def test_the_daemon_dies_meanwhile(api: EventsApi, agent: Agent) -> None:
    """The next one sends the event, and tells."""
    api.script(KEY, Answer(hang=True))
    agent.start()
    sending = begin(agent, "--wait")
    api.wait_for(1)
    agent.end(signal.SIGKILL)
    agent.start()
    assert sending.communicate(timeout=60)[0] == RECEIPT
    assert sending.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_sender_dies_meanwhile(api: EventsApi, agent: Agent, number: signal.Signals) -> None:
    """The event goes on; so it does after Ctrl-C."""
    api.always(KEY, Answer(503))
    agent.start()
    sending = begin(agent, "--wait")
    wait_until(lambda: os.stat(agent.spool / "pdq" / agent.names("pdq")[0]).st_nlink == 1)
    sending.send_signal(number)
    assert sending.wait(timeout=60) == (130 if number == signal.SIGINT else -number)
    api.always(KEY, None)
    api.wait_accepted(1)
    wait_until(lambda: len(agent.names("suc")) == 1)
    assert len(agent.names("tmp")) == (number == signal.SIGKILL)
