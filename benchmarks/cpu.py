"""What a delivered event costs the daemon, from its wake-up to the settled file, all included."""

from collections.abc import Iterator

from benchmarks.backlog import fill, keys
from benchmarks.bare import Bare
from benchmarks.figures import Budget, Row
from benchmarks.processes import cpu_seconds
from benchmarks.subject import Subject, tls_api
from pdagent.spool import Spool
from tests.support.agent import Agent, wait_until
from tests.support.events_api import EventsApi

ROUNDS = 3
EVENTS = 800


def run(subject: Subject) -> Iterator[Row]:
    events = subject.events(EVENTS)
    # No API answers at once. One that did would have all workers awake at the same time, and in
    # each other's way: what that costs is shown, and has no budget.
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
        budget = Budget(1.0 if among == 1 else 1.2) if latency or among == 1 else None
        what = f"CPU per event, TLS, {among} keys, {latency * 1000:.0f} ms"
        yield Row(what, ours, "ms", "bare requests post", beside, budget)


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
