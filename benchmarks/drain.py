"""How fast a backlog drains, against the bound that PagerDuty's latency and `max_connections` set;
and where there is no latency, against a bare loop of posts."""

from collections.abc import Iterator

from benchmarks.backlog import fill, keys
from benchmarks.bare import Bare
from benchmarks.figures import Budget, Row
from benchmarks.subject import Subject
from tests.support.events_api import EventsApi, Request

ROUNDS = 2
CONNECTIONS = 32  # the default of max_connections
PER_KEY = 8  # the default of max_per_key
# By milliseconds and keys. Where latency sets the bound, a share of it; where threads get in each
# other's way first, the events a second of go-pdagent on such a machine (docs/performance.md).
BUDGETS = {
    (100, 1): Budget(0.9, at_least=True),
    (100, 200): Budget(0.9, at_least=True),
    (0, 20): Budget(1184, at_least=True, of="figure"),
    (20, 20): Budget(865, at_least=True, of="figure"),
    (20, 200): Budget(908, at_least=True, of="figure"),
}
# milliseconds of latency, keys, events
DRAINS = (
    (0, 1, 1000),
    (0, 20, 1000),
    (0, 200, 1000),
    (20, 1, 400),
    (20, 20, 1000),
    (20, 200, 1600),
    (100, 1, 200),
    (100, 20, 300),
    (100, 200, 2000),
)


def run(subject: Subject) -> Iterator[Row]:
    with EventsApi() as api:
        for milliseconds, among, count in DRAINS:
            events = subject.events(count)
            rates, references = [], []
            for _ in range(ROUNDS):
                api.latency = milliseconds / 1000
                rates.append(drain(subject, api, among, events))
                if milliseconds:
                    references.append(min(among * PER_KEY, CONNECTIONS) / api.latency)
                else:
                    references.append(loop(api, events))
            yield Row(
                f"drain {events} events, {among} keys, {milliseconds} ms",
                rates,
                "/s",
                "bound" if milliseconds else "bare requests loop",
                references,
                BUDGETS.get((milliseconds, among)),
            )


def drain(subject: Subject, api: EventsApi, among: int, events: int) -> float:
    """Events a second, from the first one's arrival to the last one's answer."""
    api.reset()
    with subject.agent(api) as agent:
        list(fill(agent, keys(among), events))
        agent.start()
        requests = api.wait_for(lambda requests: done(requests, events), timeout=120)
        moments = [request.answered or 0.0 for request in requests]
        agent.stop()
    return events / (max(moments) - requests[0].arrived)


def done(requests: tuple[Request, ...], events: int) -> bool:
    return len(requests) >= events and all(request.answered for request in requests[-CONNECTIONS:])


def loop(api: EventsApi, events: int) -> float:
    api.reset()
    with Bare(api.url) as bare:
        return events / bare.post(events).wall
