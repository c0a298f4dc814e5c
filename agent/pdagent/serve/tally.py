"""The tally: what has become of events since the daemon started. It is kept whether or not anybody
looks at it, so it is cheap. `metrics` shows it.

The tally knows no integration keys: with thousands of keys it would have thousands of numbers.
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

# Seconds from acceptance to delivery: what an idle agent takes, and what outages take.
BUCKETS = (
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21_600.0),
)
# Each sender is a line in the metrics, and certificates may give names without end.
SENDERS_MOST = 2000
OTHERS = "(others)"
# A file of a script may have any number in its name. A longer time than this is not counted.
_SENSIBLE_SECONDS = 366 * 86_400.0


class Tally:
    """The counts. All threads may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.accepted = 0
        self.delivered = 0
        self.removed = 0
        self.refused: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.full: Counter[str] = Counter()
        self.turned_away: Counter[int] = Counter()
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.delivered_at: float | None = None
        self.waiting = 0  # expectations that have not lapsed
        self.lapsed = 0  # that have, and were not renewed since
        self.lapses = 0

    def begin(self) -> None:
        """Forgets the events that were found at the start: an earlier daemon has counted them."""
        with self._lock:
            self.accepted = 0

    def expect(self, senders: Iterable[str]) -> None:
        """Shows a count for each of the senders from now on, of 0 at first."""
        none = dict.fromkeys(senders, 0)
        with self._lock:
            self.taken.update(none)
            self.full.update(none)

    def count_taken(self, sender: str) -> None:
        """The endpoint took an event of the sender of that name, "" if it has none."""
        self._count_by(self.taken, sender)

    def count_full(self, sender: str) -> None:
        """The endpoint did not take an event, since its sender has too many pending."""
        self._count_by(self.full, sender)

    def _count_by(self, counts: Counter[str], sender: str) -> None:
        with self._lock:
            if len(counts) >= SENDERS_MOST and sender not in counts:
                sender = OTHERS
            counts[sender] += 1

    def count_turned_away(self, status: int) -> None:
        """The endpoint answered a request with this status."""
        with self._lock:
            self.turned_away[status] += 1

    def count_accepted(self, number: int) -> None:
        """So many events came into the queue."""
        with self._lock:
            self.accepted += number

    def count_delivered(self, accepted: float, now: float) -> None:
        """PagerDuty has an event; both times in seconds since the epoch."""
        with self._lock:
            self.delivered += 1
            self.delivered_at = now
            took = now - accepted
            if 0 <= took < _SENSIBLE_SECONDS:
                self.buckets[bisect_left(BUCKETS, took)] += 1
                self.seconds += took

    def count_refused(self, reason: str) -> None:
        """An event came to be in error: "key", "event", "given_up" or "unreadable"."""
        with self._lock:
            self.refused[reason] += 1

    def count_retry(self, reason: str) -> None:
        """A try was in vain, and there will be another: "throttled", "troubled" or
        "unreachable"."""
        with self._lock:
            self.retries[reason] += 1

    def count_lapse(self) -> None:
        """An expectation was not renewed in time."""
        with self._lock:
            self.lapses += 1

    def count_removed(self) -> None:
        """A person removed a pending event."""
        with self._lock:
            self.removed += 1
