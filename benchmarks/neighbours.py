"""One key in trouble: whether the others keep their rate."""

from collections.abc import Iterator

from benchmarks.backlog import fill, keys
from benchmarks.figures import Budget, Row
from benchmarks.subject import Subject
from tests.support.events_api import Answer, EventsApi

ROUNDS = 2
KEYS = 20
EVENTS = 600
LATENCY = 0.05
# What is answered, and how much of their rate the others should keep. A key whose posts hang keeps
# two of 32 connections, which leaves the others 0.94 at most.
TROUBLES = {
    "throttled": (Answer(429, retry_after=1), 0.95),
    "failing": (Answer(503), 0.95),
    "hanging": (Answer(hang=True), 0.9),
}


def run(subject: Subject) -> Iterator[Row]:
    with EventsApi(latency=LATENCY) as api:
        for trouble, (answer, least) in TROUBLES.items():
            beside, alone = [], []
            for _ in range(ROUNDS):
                beside.append(rate(subject, api, answer))
                alone.append(rate(subject, api, None))
            yield Row(
                f"{KEYS - 1} keys beside a {trouble} one",
                beside,
                "/s",
                "without it",
                alone,
                Budget(least, at_least=True),
            )


def rate(subject: Subject, api: EventsApi, trouble: Answer | None) -> float:
    """Events of the healthy keys a second."""
    among = keys(KEYS)
    bad = among.pop(0)
    events = subject.events(EVENTS) // len(among) * len(among)
    api.reset()
    api.always(bad, trouble)
    with subject.agent(api) as agent:
        if trouble is not None:
            list(fill(agent, [bad], events // len(among)))
        list(fill(agent, among, events))
        agent.start()
        api.wait_for(lambda _: sum(r.key != bad for r in api.accepted) >= events, timeout=120)
        arrivals = [request.arrived for request in api.accepted]
    return (events - 1) / (max(arrivals) - min(arrivals))
