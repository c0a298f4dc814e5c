"""Metrics: the tally and how things stand, in the words of Prometheus; over HTTP, and in a file for
node_exporter.

Importing prometheus_client takes 5 MB, so this module is imported when metrics are switched on.
"""

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pdagent import __version__
from pdagent.queue.cleanup import disk_of
from pdagent.queue.holds import Figures
from pdagent.queue.names import stamp
from pdagent.serve.footprint import Footprint
from pdagent.serve.health import Health
from pdagent.serve.tally import BUCKETS, Tally

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger("pdagent.metrics")

REFUSED = ("key", "event", "given_up", "unreadable")
RETRIES = ("throttled", "troubled", "unreachable")
CAUSES = ("throttled", "failing", "unnamed", "unreadable")
FILE_MODE = 0o644  # node_exporter is another user; there are no secrets in it
FILE_SECONDS = 60.0  # its time stamp says that we live


class Collected(Collector):
    """All metrics, collected anew at each request."""

    def __init__(
        self,
        tally: Tally,
        figures: Callable[[], Figures],
        root: str,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._tally = tally
        self._figures = figures
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
            CounterMetricFamily,
            "pdagent_endpoint_refusals",
            "Requests that the endpoint did not take, by the status of its answer.",
            "status",
            {str(status): number for status, number in dict(self._tally.turned_away).items()},
        )

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


class Textfile:
    """Writes metrics to the file `path`, which ends in .prom, for node_exporter."""

    def __init__(
        self,
        path: str,
        collected: Collected,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._registry = CollectorRegistry()
        self._registry.register(collected)
        self._monotonic = monotonic
        self._written = b""
        self._due = 0.0
        self._failed = False
        self._busy = threading.Lock()

    def write(self) -> None:
        """Writes the metrics if they have changed, or if the file is a minute old."""
        if not self._busy.acquire(blocking=False):
            return  # the file is still being written, on a slow disk
        try:
            text = generate_latest(self._registry)
            if text == self._written and self._monotonic() < self._due:
                return
            self._replace(text)
            self._written, self._due, self._failed = text, self._monotonic() + FILE_SECONDS, False
        except OSError as error:
            if not self._failed:  # said once, until it works again
                log.error("cannot write %s: %s", self._path, error.strerror)
            self._failed = True
        finally:
            self._busy.release()

    def _replace(self, text: bytes) -> None:
        # No fsync: after a crash of the host these numbers mean nothing.
        temporary = f"{self._path}.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, FILE_MODE)
        try:
            with open(fd, "wb") as file:
                file.write(text)
                os.fchmod(fd, FILE_MODE)  # whatever the umask is
            os.replace(temporary, self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
