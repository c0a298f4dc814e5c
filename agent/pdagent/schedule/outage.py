"""The outage: what is known of the way to PagerDuty while nothing is reached, and how to come back.

Pure: knows names, keys and the time it is handed.

An event that finds nothing reachable may be the first of an outage. Or something on the way
dislikes this one, or its integration key: a proxy that filters. So doubt begins narrow and widens:
at first it is about the event; with a second one of its key, about the key; with one of another
key, about the destination. What is in doubt waits, everything else goes, one probe at a time. Any
answer ends it for all.

Were doubt wide from the start, the one event that a proxy never lets pass would be its own probe,
and all others would wait for it for ever.

After an outage of the destination the way back is a slow start, as TCP's: two posts at once, and
one more for each that is taken. Many hosts come back together, to a service that just got up.
"""

from collections.abc import Callable
from enum import Enum
from math import inf

from pdagent.schedule.backoff import Backoff

FIRST_ROOM = 2  # not one: a post that hangs must not be the only one
FULL_ROOM = 256  # as many as max_connections can be


class Doubt(Enum):
    """What does not get through, as far as one can tell. The values are scopes of holds."""

    EVENT = "event"
    KEY = "key"
    DESTINATION = "destination"


class Outage:
    """An outage, most of the time none. `random` gives floats in [0, 1)."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._backoff = Backoff(random)
        self.lasts = False
        self.since = 0.0
        self.why = ""
        self.next_try = 0.0
        self._first = ("", "")
        self._held: dict[str, None] = {}  # the names of those that missed, in that order
        self.doubt = Doubt.EVENT
        self.probe = ""  # the name of the event that tries
        self.room = inf  # how many may be on their way at once

    @property
    def until(self) -> float | None:
        """When the next probe may go, None if there is nothing that all wait for."""
        return self.next_try if self.lasts and self.doubt is Doubt.DESTINATION else None

    def allows(self, now: float) -> bool:
        """Whether an event that is not in doubt may go."""
        return not self.lasts or (not self.probe and now >= (self.until or now))

    def missed(
        self, name: str, key: str, started: float, now: float, cap: float, why: str
    ) -> float:
        """An event, sent at `started`, found nothing reachable. Seconds for what is in doubt to
        wait."""
        self._widen(name, key)
        self._held[name] = None
        if not self.lasts or started >= self.since:
            self.next_try = now + self._backoff.failed(cap)
            self.why = why
        # else: sent before the outage was known, so it tells nothing new about its length
        if not self.lasts:
            self.lasts, self.since = True, now
        return max(0.0, self.next_try - now)

    def _widen(self, name: str, key: str) -> None:
        if not self.lasts:
            self._first = (name, key)
            self.doubt = Doubt.EVENT
        elif key != self._first[1]:
            self.doubt = Doubt.DESTINATION
        elif name != self._first[0] and self.doubt is Doubt.EVENT:
            self.doubt = Doubt.KEY

    def answered(self, taken: bool) -> list[str]:
        """PagerDuty has answered, and has taken the event or not. Returns the names of those that
        need not wait any longer."""
        if self.until is not None:
            self.room = FIRST_ROOM
        elif taken and self.room < inf:
            self.room = self.room + 1 if self.room < FULL_ROOM else inf
        self._backoff.succeeded()
        self.lasts = False
        held, self._held = list(self._held), {}
        return held
