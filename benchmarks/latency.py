"""How long an event is on its way through an idle daemon: from stable storage to the API's 2xx."""

import time
from collections.abc import Iterator
from statistics import quantiles

from benchmarks.backlog import body, keys
from benchmarks.bare import Bare
from benchmarks.figures import Budget, Row
from benchmarks.subject import Subject, tls_api
from pdagent.spool import Spool
from tests.support.events_api import EventsApi

EVENTS = 150
PAUSE = 0.005  # so that the daemon is idle again


class Watched(Spool):
    """A spool that notes when the last event was accepted: on stable storage, nobody woken yet."""

    __slots__ = ("accepted",)

    def wake(self, name: str) -> bool:
        self.accepted = time.monotonic()
        return super().wake(name)


def run(subject: Subject) -> Iterator[Row]:
    for name, api in (("HTTP", EventsApi()), ("TLS", tls_api())):
        with api:
            ours, bare = in_turn(subject, api, subject.events(EVENTS))
        reference = "bare requests post"
        yield Row(f"accepted to 2xx, {name}, p50", [at(50, ours)], "ms", reference, [at(50, bare)])
        yield Row(
            f"accepted to 2xx, {name}, p99",
            [at(99, ours)],
            "ms",
            reference,
            [at(99, bare)],
            Budget(50, of="figure"),
        )


def in_turn(subject: Subject, api: EventsApi, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each event, through the agent and past it."""
    ours, past = [], []
    ca_file = api.ca_file if api.url.startswith("https:") else ""
    with subject.agent(api) as agent, Bare(api.url, ca_file) as bare:
        agent.start()
        spool = Watched(str(agent.spool))
        key = keys(1)[0]
        for number in range(count + 1):
            api.reset()
            spool.enqueue(key, body(key, number))
            if number:  # the first one loads the HTTP library
                ours.append((answered(api) - spool.accepted) * 1000)
            else:
                answered(api)
            time.sleep(PAUSE)
            api.reset()
            began = bare.post(1).began
            past.append((answered(api) - began) * 1000)
            time.sleep(PAUSE)
    return ours, past[1:]


def answered(api: EventsApi) -> float:
    requests = api.wait_for(lambda requests: any(r.answered is not None for r in requests))
    moment = requests[-1].answered
    assert moment is not None
    return moment


def at(percent: int, values: list[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]
