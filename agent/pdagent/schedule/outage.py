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
from math import inf

from pdagent.queue.holds import Cause, Hold, Scope
from pdagent.schedule.backoff import Backoff

FIRST_ROOM = 2  # not one: a post that hangs must not be the only one
FULL_ROOM = 256  # as many as max_connections can be


class Outage:
    """An outage, most of the time none. `hold`: its scope is what is in doubt, and its end is when
    the next probe may go. `random` gives floats in [0, 1)."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._backoff = Backoff(random)
        self.hold: Hold | None = None
        self._first = ("", "")  # name and key of the event that began it
        self._held: dict[str, None] = {}  # the names of those that missed, in that order
        self.probe = ""  # the name of the event that tries
        self.room = inf  # how many may be on their way at once

    @property
    def until(self) -> float | None:
        """When the next probe may go, None if there is nothing that all wait for."""
        if self.hold is None or self.hold.scope is not Scope.DESTINATION:
            return None
        return self.hold.until

    def allows(self, now: float) -> bool:
        """Whether an event that is not in doubt may go."""
        return self.hold is None or (not self.probe and now >= (self.until or now))

    def missed(
        self,
        name: str,
        key: str,
        started: float,
        now: float,
        cap: float,
        why: str,
        everywhere: bool = False,
    ) -> Hold:
        """An event, sent at `started`, found nothing reachable. Returns the hold on what is in
        doubt now: `everywhere`, all is. There are several destinations then, and each was tried."""
        self._held[name] = None
        before = self.hold
        if before is None:
            self._first = (name, key)
            scope, since = Scope.CHAIN, now
        else:
            scope, since = self._widened(before.scope, name, key), before.since
        if everywhere:
            scope = Scope.DESTINATION
        if before is None or started >= before.since:
            until = now + self._backoff.failed(cap)
        else:
            # It was sent before the outage was known, so it tells nothing new about its length.
            until, why = before.until, before.why
        self.hold = Hold(scope, Cause.UNREACHABLE, why, since, until)
        return self.hold

    def _widened(self, scope: Scope, name: str, key: str) -> Scope:
        if key != self._first[1]:
            return Scope.DESTINATION
        if name != self._first[0] and scope is Scope.CHAIN:
            return Scope.KEY
        return scope

    def answered(self, taken: bool) -> list[str]:
        """PagerDuty has answered, and has taken the event or not. Returns the names of those that
        need not wait any longer."""
        if self.until is not None:
            self.room = FIRST_ROOM
        elif taken and self.room < inf:
            self.room = self.room + 1 if self.room < FULL_ROOM else inf
        self._backoff.succeeded()
        self.hold = None
        held, self._held = list(self._held), {}
        return held
