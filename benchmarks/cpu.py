"""What a delivered event costs the daemon, from its wake-up to the settled file, all included. And
what one event costs alone, from the start of its `pd-send`."""

from collections.abc import Iterator

from benchmarks.backlog import fill, keys
from benchmarks.bare import Bare
from benchmarks.enqueue import EVENT, PYTHON
from benchmarks.figures import Budget, Row
from benchmarks.processes import cost_of, cpu_seconds, runner
from benchmarks.subject import Subject, tls_api
from pdagent.spool import Spool
from tests.support.agent import Agent, wait_until
from tests.support.events_api import EventsApi
from tests.support.users import SENDER

ROUNDS = 3
EVENTS = 800
ALONE = 100


def run(subject: Subject) -> Iterator[Row]:
    events = subject.events(EVENTS)
    for among, latency in ((1, 0.0), (20, 0.02), (20, 0.0)):
        with tls_api() as api, subject.agent(api) as agent, Bare(api.url, api.ca_file) as bare:
            agent.start()
            deliver(api, agent, among, 1)  # loads the HTTP library
            api.latency = latency
            ours, beside = [], []
            for _ in range(ROUNDS):
                ours.append(deliver(api, agent, among, events) / events * 1000)
                api.reset()
                beside.append(bare.post(events).cpu / events * 1000)
            agent.stop()
        budget = Budget(1.0 if among == 1 else 1.2)
        what = f"CPU per event, TLS, {among} keys, {latency * 1000:.0f} ms"
        yield Row(what, ours, "ms", "bare requests post", beside, budget)
    yield alone(subject)


def alone(subject: Subject) -> Row:
    """One event at a time: its `pd-send`, and the daemon, which sleeps before each."""
    spent, python = 0.0, 0.0
    with tls_api() as api, subject.agent(api) as agent, runner(SENDER) as sender:
        agent.start()
        assert agent.daemon is not None
        command = (*subject.command("pd-send"), "--config", str(agent.conf), *EVENT)
        deliver(api, agent, 1, 1)  # loads the HTTP library
        began = cpu_seconds(agent.daemon.pid)
        for _ in range(ALONE):
            api.reset()
            spent += sender.submit(cost_of, command, agent.environment).result().cpu
            api.wait_accepted(1)
            python += sender.submit(cost_of, PYTHON, agent.environment).result().cpu
        wait_until(lambda: len(agent.names("suc")) == 1 + ALONE)
        spent += (cpu_seconds(agent.daemon.pid) - began) * 1000
        agent.stop()
    figures, beside = [spent / ALONE], [python / ALONE]
    goal = Budget(11, of="figure")
    return Row("CPU of one event alone, pd-send included", figures, "ms", "python3", beside, goal)


def deliver(api: EventsApi, agent: Agent, among: int, events: int) -> float:
    """CPU seconds that so many events cost. The daemon is told of each, as pd-send would."""
    assert agent.daemon is not None
    api.reset()
    settled = len(agent.names("suc"))
    began = cpu_seconds(agent.daemon.pid)
    spool = Spool(str(agent.spool))
    for name in fill(agent, keys(among), events):
        spool.wake(name)
    api.wait_accepted(events, timeout=120)
    wait_until(lambda: len(agent.names("suc")) == settled + events)
    return cpu_seconds(agent.daemon.pid) - began
