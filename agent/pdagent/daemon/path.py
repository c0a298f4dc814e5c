"""The path to PagerDuty, as workers use it: deliveries, and the question whether it is open.

A proxy may dislike one event, and answer it with a page of its own or cut the connection. That
looks as if the path were broken, and two such events a minute would keep everybody waiting. So
where an event's own content may be the reason, PagerDuty is first asked without any event. If it
answers, the event alone waits.
"""

import math
import threading
import time
from contextlib import AbstractContextManager

from pdagent.config import Config
from pdagent.queue.pending import Pending
from pdagent.threads import importing
from pdagent.wire.passage import Passage
from pdagent.wire.verdict import Troubled, Unreachable, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.wire.delivery import Delivery

# Workers who ask within this many seconds get the same answer.
FRESH_SECONDS = 2.0


class Path:
    """Delivers as `settings` say. The modules for it are imported with the first event. Whoever
    delivers is `away` while it waits for an answer."""

    def __init__(self, settings: Config, away: AbstractContextManager[None]) -> None:
        self._settings = settings
        self._away = away
        self.passage = Passage()
        self._lock = threading.Lock()
        self._deliveries: dict[str, Delivery] = {}
        self._until = math.inf  # the deadline of all posts: see `hurry`
        self._asking: dict[str, threading.Lock] = {}  # by relay, as one may be silent
        self._asked: dict[str, tuple[float, bool]] = {}  # when, and whether it was open

    def configure(self, settings: Config) -> None:
        """Takes up a new configuration, from the next post on."""
        with self._lock:
            self._settings = settings
            self.passage.renew()
            for relay, delivery in self._deliveries.items():
                delivery.configure(settings.toward(relay))

    def deliver(self, pending: Pending, relay: str) -> Verdict:
        """Sends an event to one of the configuration's `relays`. Never raises."""
        verdict = self._get(relay).deliver(pending)
        if relay and isinstance(verdict, Troubled):
            # There are several relays, and this one is silent, or in trouble. Others may be well:
            # the events that go to them must not wait, and its own have to go to them in the end.
            missed = Unreachable(verdict.why, content=True)
            if verdict.status is None or not self.is_open(missed, relay):
                return missed
        return verdict

    def is_open(self, missed: Unreachable, relay: str) -> bool:
        """Whether that relay can be reached, although the verdict `missed` on an event says that
        it was not."""
        if not missed.content:
            return False
        asking = self._asking.setdefault(relay, threading.Lock())
        with self._away, asking:
            asked_at, is_open = self._asked.get(relay, (float("-inf"), False))
            if time.monotonic() - asked_at > FRESH_SECONDS:
                found = self._get(relay).probe()
                in_trouble = bool(relay) and isinstance(found, Troubled)  # a gateway's 502, say
                is_open = not (in_trouble or isinstance(found, Unreachable))
                self._asked[relay] = time.monotonic(), is_open
            return is_open

    def hurry(self, deadline: float) -> None:
        """Everything waits for those who deliver: their posts, and the questions that may follow,
        have until then. At infinity nothing waits for them any longer."""
        self._until = deadline
        for delivery in list(self._deliveries.values()):
            delivery.hurry(deadline)

    def abort_overdue(self, now: float) -> None:
        """Cuts off the posts that are past their deadline."""
        for delivery in list(self._deliveries.values()):
            delivery.abort_overdue(now)

    def abort_all(self) -> None:
        """Cuts off all posts: their events stay pending."""
        for delivery in list(self._deliveries.values()):
            delivery.abort_all()

    def _get(self, relay: str) -> "Delivery":
        with self._lock:
            if relay not in self._deliveries:
                with importing:
                    from pdagent.wire.delivery import Delivery

                made = Delivery(self._settings.toward(relay), self.passage, self._away)
                self._deliveries[relay] = made
                made.hurry(self._until)
            return self._deliveries[relay]
