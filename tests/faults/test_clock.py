"""Clocks that are set: order, holds and clean-up don't depend on them. The clock is libfaketime's,
set for the daemon and its senders alone, while they run."""

import glob
import itertools
import os
import signal
from pathlib import Path

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, chains
from tests.support.events_api import Answer, EventsApi
from tests.support.trial import Trial

LIBRARIES = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
pytestmark = pytest.mark.skipif(
    not LIBRARIES, reason="libfaketime is not installed: see ci/packages.txt"
)
YEAR = 31_536_000
STEPS = ["-3600", "+3600", f"-{YEAR}", f"+{YEAR}", "@1970-01-02 00:00:00", "+0"]


class Clock:
    """What time of day `agent`'s processes take it to be."""

    def __init__(self, agent: Agent) -> None:
        self._file = agent.root / "clock"
        self.set("+0")
        agent.environment.update(
            LD_PRELOAD=LIBRARIES[0],
            FAKETIME_TIMESTAMP_FILE=str(self._file),
            FAKETIME_NO_CACHE="1",
            DONT_FAKE_MONOTONIC="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )

    def set(self, offset: str) -> None:
        new = Path(f"{self._file}.new")
        new.write_text(offset + "\n")
        new.chmod(0o644)
        os.replace(new, self._file)


@pytest.fixture
def clock(agent: Agent) -> Clock:
    return Clock(agent)


@pytest.mark.parametrize("step", ["-3600", f"+{YEAR}", "@1970-01-02 00:00:00"])
def test_order_over_a_step(api: EventsApi, agent: Agent, clock: Clock, step: str) -> None:
    """A clock set back an hour, forward a year, to 1970: events accepted by a running daemon keep
    their order, and a hold ends when it should."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    api.always(KEY, Answer(429, retry_after=1))
    agent.start()
    agent.send(KEY, "trigger", "-i", "a", "-d", "1 before")
    api.wait_for(1)
    agent.send(KEY, "trigger", "-i", "a", "-d", "2 before")
    clock.set(step)
    agent.send(KEY, "trigger", "-i", "a", "-d", "3 after")
    agent.send(KEY, "trigger", "-i", "a", "-d", "4 after")
    names = agent.names("pdq")
    assert len(names) == 4
    api.always(KEY, None)
    api.wait_accepted(4)
    assert chains(api.accepted)[KEY, "a"] == ["1 before", "2 before", "3 after", "4 after"]
    wait_until(lambda: len(agent.names("suc")) == 4)
    assert agent.stop() == 0


@pytest.mark.parametrize("step", ["-3600", f"+{YEAR}", "@1970-01-02 00:00:00"])
def test_nothing_is_cleaned_early(api: EventsApi, agent: Agent, clock: Clock, step: str) -> None:
    """After such a step nothing that was settled a moment ago is taken for old."""
    agent.configure(events_url=api.url, cleanup_interval_secs=1, cleanup_threshold_secs=1000)
    api.script("REFUSED", Answer(400))
    agent.start()
    agent.send(KEY, "trigger", "-d", "x")
    agent.send("REFUSED", "trigger", "-d", "x")
    wait_until(lambda: agent.names("suc") and agent.names("err"))
    seen = agent.data_dir / "db" / "clock"
    wait_until(seen.exists)
    clock.set(step)
    wait_until(lambda: "the clock was stepped" in agent.log)
    before = seen.read_bytes()
    wait_until(lambda: seen.read_bytes() != before)  # one more clean-up has come and gone
    assert len(agent.names("suc")) == len(agent.names("err")) == 1
    assert agent.stop() == 0
    agent.start()  # with the clock as it is now
    before = seen.read_bytes()
    wait_until(lambda: seen.read_bytes() != before)
    assert len(agent.names("suc")) == len(agent.names("err")) == 1


def test_old_events_are_cleaned_by_a_steady_clock(
    api: EventsApi, agent: Agent, clock: Clock
) -> None:
    """What was settled longer ago than the threshold goes, by the time since then and not by the
    time in its name; what is pending stays for ever."""
    agent.configure(events_url=api.url, cleanup_interval_secs=1, cleanup_threshold_secs=2)
    api.always("PENDING", Answer(429, retry_after=300))
    agent.start()
    agent.drop("1_PENDING.txt", b'{"service_key":"PENDING","event_type":"trigger"}')
    agent.send(KEY, "trigger", "-d", "x")
    api.wait_for(lambda _: len(api.accepted) == 1)
    wait_until(lambda: agent.names("pdq") == ["1_PENDING.txt"] and agent.names("suc") == [])


@pytest.mark.fault("clock set by 1 h, 1 y, to 1970 and back")
def test_a_clock_that_jumps(trial: Trial, api: EventsApi, clock: Clock) -> None:
    """From each time to each other, while events are delivered, held and refused, and perhaps the
    machine sleeps: all of them are delivered in order, no hold is stuck, and nothing is cleaned."""
    agent = trial.agent
    agent.configure(
        events_url=api.url,
        send_interval_secs=1,
        cleanup_interval_secs=1,
        cleanup_threshold_secs=1000,
        backoff_interval_secs=1,
    )
    agent.start()
    steps = list(itertools.permutations(STEPS, 2))
    for number in trial.injections(range(0, len(steps), 15), range(len(steps))):
        before, after = steps[number]
        clock.set(before)
        chain = f"{before} {after}"
        api.script(KEY, Answer(), Answer(429, retry_after=1), Answer(503), Answer(400))
        for action in ("trigger", "trigger"):
            assert trial.send(chain, action).returncode == 0
        if number % 3 == 0:
            assert agent.daemon is not None
            agent.daemon.send_signal(signal.SIGSTOP)
        clock.set(after)
        if number % 3 == 0:
            assert agent.daemon is not None
            agent.daemon.send_signal(signal.SIGCONT)
        for action in ("acknowledge", "resolve"):
            assert trial.send(chain, action).returncode == 0
        trial.recovers()
    kept = len(agent.names("suc")) + len(agent.names("err"))
    assert kept == trial.found.acknowledged + trial.found.injections  # each recovery sent one


@pytest.mark.fault("clock set while events are pending, and a restart")
def test_a_restart_after_the_clock_was_set_forward(
    trial: Trial, api: EventsApi, clock: Clock
) -> None:
    """As a machine without a clock of its own starts: in 1970, and in the present a little later.
    Order, and everything pending, survive a restart then."""
    trial.agent.configure(events_url=api.url, send_interval_secs=1, backoff_interval_secs=1)
    clock.set("@1970-01-02 00:00:00")
    api.stop()
    trial.agent.start()
    trial.injected(2)
    assert trial.send("disk", "trigger").returncode == 0
    clock.set("+0")
    assert trial.send("disk", "acknowledge").returncode == 0
    assert trial.agent.stop() == 0
    clock.set(f"+{YEAR}")
    assert trial.send("disk", "resolve").returncode == 0
    trial.agent.start()
    api.start()
    trial.recovers()
