"""The path to PagerDuty, as workers use it: deliveries, and the question whether it is open.

A proxy may dislike one event and answer it with a page of its own, or cut it off. To others that
looks as if the path were broken, and two such events a minute would keep everybody waiting. So
where an event's own content may be why, the path is asked with nothing of any event before anyone
waits. If PagerDuty answers that, the event alone waits.
"""

import threading
import time

from pdagent.config import Config
from pdagent.queue.pending import Pending
from pdagent.threads import importing
from pdagent.wire.verdict import Unreachable, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.wire.delivery import Delivery

# All who ask within so many seconds get the same answer.
FRESH_SECONDS = 2.0


class Path:
    """Delivers as `config` says. What it needs is imported with the first event."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._delivery: Delivery | None = None
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._asked_at = float("-inf")
        self._open = False

    def configure(self, config: Config) -> None:
        """Takes up a new configuration, from the next post on."""
        with self._lock:
            self._config = config
            if self._delivery is not None:
                self._delivery.configure(config)

    def deliver(self, pending: Pending) -> Verdict:
        """Sends an event. Never raises."""
        return self._get().deliver(pending)

    def is_open(self, missed: Unreachable) -> bool:
        """Whether PagerDuty is reached all the same, after an event has `missed` it."""
        if not missed.content:
            return False
        with self._asking:
            if time.monotonic() - self._asked_at > FRESH_SECONDS:
                self._open = not isinstance(self._get().probe(), Unreachable)
                self._asked_at = time.monotonic()
            return self._open

    def abort_overdue(self, now: float) -> None:
        """Cuts off the posts that are past their deadline."""
        if self._delivery is not None:
            self._delivery.abort_overdue(now)

    def abort_all(self) -> None:
        """Cuts off all posts: their events stay pending."""
        if self._delivery is not None:
            self._delivery.abort_all()

    def _get(self) -> "Delivery":
        with self._lock:
            if self._delivery is None:
                with importing:
                    from pdagent.wire.delivery import Delivery

                self._delivery = Delivery(self._config)
            return self._delivery
