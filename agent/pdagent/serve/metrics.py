"""Metrics: the tally and how things stand, in the words of Prometheus, over HTTP; `textfile` writes
them to a file.

Importing prometheus_client takes 5 MB, so this module is imported when metrics are switched on.
"""

import contextlib
import heapq
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pdagent import __version__
from pdagent.queue.budget import disk_of
from pdagent.queue.holds import Cause, Figures
from pdagent.queue.names import stamp
from pdagent.serve.footprint import Footprint
from pdagent.serve.health import Health
from pdagent.serve.tally import BUCKETS, OTHERS, SENDERS_MOST, Tally

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REFUSED = ("key", "event", "given_up", "unreadable")
RETRIES = ("throttled", "troubled", "unreachable")
CAUSES = (Cause.THROTTLED, Cause.FAILING, Cause.UNNAMED, Cause.UNREADABLE)


class Collected(Collector):
    """All metrics, collected anew at each request. `reach` gives the relays that there are, and
    since when each is not reached, in monotonic seconds; `pending_of` how many events are pending
    of each sender that has any."""

    def __init__(
        self,
        tally: Tally,
        figures: Callable[[], Figures],
        reach: Callable[[], Mapping[str, float | None]],
        pending_of: Callable[[], Mapping[str, int]],
        root: str,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._tally = tally
        self._figures = figures
        self._reach = reach
        self._pending_of = pending_of
        self._root = root
        self._footprint = Footprint(root)
        self._wall = wall
        self._started = wall()

    def collect(self) -> Iterator[Metric]:
        yield _labelled(
            GaugeMetricFamily,
            "pdagent_build_info",
            "The version that runs.",
            "version",
            {__version__: 1},
        )
        yield _gauge("pdagent_start_time_seconds", "When the daemon started.", self._started)
        yield from self._counts()
        yield from self._now()
        yield from self._relays()
        yield from self._expectations()
        yield from self._spool()

    def _counts(self) -> Iterator[Metric]:
        tally = self._tally
        yield CounterMetricFamily(
            "pdagent_events_accepted",
            "Events that came into the queue while the daemon ran.",
            value=tally.accepted,
        )
        yield CounterMetricFamily(
            "pdagent_events_delivered", "Events that PagerDuty took.", value=tally.delivered
        )
        yield CounterMetricFamily(
            "pdagent_events_removed",
            "Pending events that a person removed.",
            value=tally.removed,
        )
        yield _labelled(
            CounterMetricFamily,
            "pdagent_events_refused",
            "Events that came to be in error: PagerDuty refused their key, or the event; it was "
            "given up after many tries; or it could not be read.",
            "reason",
            {reason: tally.refused[reason] for reason in REFUSED},
        )
        yield _labelled(
            CounterMetricFamily,
            "pdagent_retries",
            "Tries in vain that are followed by another: the key was throttled, PagerDuty or the "
            "event was in trouble, or PagerDuty was not reached.",
            "reason",
            {reason: tally.retries[reason] for reason in RETRIES},
        )
        yield self._latency()
        if tally.taken or tally.turned_away:
            yield from self._endpoint()

    def _endpoint(self) -> Iterator[Metric]:
        yield _labelled(
            CounterMetricFamily,
            "pdagent_endpoint_events",
            "Events that the endpoint took, by the sender's name; those of this host have none.",
            "sender",
            dict(self._tally.taken),
        )
        yield _labelled(
            GaugeMetricFamily,
            "pdagent_sender_pending",
            "Events of a sender that wait; this host's own are not counted here.",
            "sender",
            self._by_sender(),
        )
        yield _labelled(
            CounterMetricFamily,
            "pdagent_sender_refusals",
            "Events that the endpoint did not take, since too many of the sender are pending.",
            "sender",
            dict(self._tally.full),
        )
        yield _labelled(
            CounterMetricFamily,
            "pdagent_endpoint_refusals",
            "Requests that the endpoint did not take, by the status of its answer.",
            "status",
            {str(status): number for status, number in dict(self._tally.turned_away).items()},
        )

    def _by_sender(self) -> dict[str, int]:
        pending = dict(self._pending_of())
        found = {sender: pending.pop(sender, 0) for sender in list(self._tally.full)}
        named = heapq.nlargest(max(0, SENDERS_MOST - len(found)), pending.items(), itemgetter(1))
        found.update(named)
        rest = sum(pending.values()) - sum(number for _, number in named)
        return {**found, OTHERS: rest} if rest else found

    def _latency(self) -> Metric:
        total = 0
        buckets = []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._tally.buckets, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return HistogramMetricFamily(
            "pdagent_delivery_seconds",
            "From an event's acceptance to PagerDuty's answer that it has it.",
            buckets=buckets,
            sum_value=self._tally.seconds,
        )

    def _now(self) -> Iterator[Metric]:
        figures = self._figures()
        yield _gauge("pdagent_events_pending", "Events that wait.", figures.pending)
        yield _gauge(
            "pdagent_oldest_pending_seconds",
            "How long the oldest of them has waited; 0 if there is none.",
            oldest_seconds(figures, self._wall()),
        )
        yield _labelled(
            GaugeMetricFamily,
            "pdagent_holds",
            "Holds by what is held: everything, a key, or the events of an incident.",
            "scope",
            {scope: number for scope, (number, _) in figures.holds.items()},
        )
        yield _labelled(
            GaugeMetricFamily,
            "pdagent_held_events",
            "Pending events behind such holds.",
            "scope",
            {scope: events for scope, (_, events) in figures.holds.items()},
        )
        yield _labelled(
            GaugeMetricFamily,
            "pdagent_held_keys",
            "Held keys by cause: PagerDuty throttles them, fails on them, nobody has a key of that "
            "name, or an event can't be read.",
            "cause",
            {cause: figures.keys.get(cause, 0) for cause in CAUSES},
        )
        yield _gauge(
            "pdagent_destination_reachable",
            "1, or 0 while PagerDuty is not reached.",
            figures.reachable,
        )
        if self._tally.delivered_at is not None:
            yield _gauge(
                "pdagent_last_success_timestamp_seconds",
                "When PagerDuty last took an event; not there before it did.",
                self._tally.delivered_at,
            )

    def _relays(self) -> Iterator[Metric]:
        reach = self._reach()
        if not reach:
            return
        yield _labelled(
            GaugeMetricFamily,
            "pdagent_relay_reachable",
            "1, or 0 while this address of events_url is not reached.",
            "relay",
            {url: since is None for url, since in reach.items()},
        )
        ago = self._wall() - time.monotonic()
        yield _labelled(
            GaugeMetricFamily,
            "pdagent_relay_lost_timestamp_seconds",
            "Since when it is not reached; not there while it is.",
            "relay",
            {url: ago + since for url, since in reach.items() if since is not None},
        )

    def _expectations(self) -> Iterator[Metric]:
        tally = self._tally
        yield _labelled(
            GaugeMetricFamily,
            "pdagent_expectations",
            "What is expected: it waits to be renewed, or has lapsed.",
            "state",
            {"waiting": tally.waiting, "lapsed": tally.lapsed},
        )
        yield CounterMetricFamily(
            "pdagent_lapses", "Expectations that were not renewed in time.", value=tally.lapses
        )

    def _spool(self) -> Iterator[Metric]:
        found = self._footprint.measure()
        files = {state: number for state, (number, _) in found.items()}
        sizes = {state: size for state, (_, size) in found.items()}
        yield _labelled(
            GaugeMetricFamily, "pdagent_spool_files", "Files in the spool.", "state", files
        )
        yield _labelled(GaugeMetricFamily, "pdagent_spool_bytes", "Bytes in them.", "state", sizes)
        with contextlib.suppress(OSError):
            disk = disk_of(self._root)
            yield _gauge("pdagent_spool_free_bytes", "Bytes left on the spool's disk.", disk.free)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _labelled(
    family: type[CounterMetricFamily | GaugeMetricFamily],
    name: str,
    meaning: str,
    label: str,
    values: Mapping[str, float],
) -> Metric:
    metric = family(name, meaning, labels=[label])
    for value, number in values.items():
        metric.add_metric([value], number)
    return metric


def oldest_seconds(figures: Figures, now: float) -> float:
    """The age of the oldest pending event, by the stamp in its name."""
    if figures.oldest is None:
        return 0.0
    return max(0.0, now - stamp(figures.oldest) / 1e6)


def application(collected: Collected, health: Callable[[], Health]) -> "WSGIApplication":
    """`/metrics` and `/healthz`."""
    registry = CollectorRegistry()
    registry.register(collected)
    metrics = make_wsgi_app(registry)

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start("405 Method Not Allowed", [("Allow", "GET, HEAD")])
            return [b""]
        if path == "/metrics":
            return list(metrics(environ, start))
        if path == "/healthz":
            found = health()
            status = "200 OK" if found.good else "503 Service Unavailable"
            start(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
            return [json.dumps(found.document()).encode() + b"\n"]
        start("404 Not Found", [("Content-Type", "text/plain")])
        return [b"pdagent: /metrics or /healthz\n"]

    return answer
