"""The outage: what is known of the way to PagerDuty while nothing is reached, and how to come back.

Pure: it knows names, keys and the time it is handed.

An event that does not reach PagerDuty may be the first of an outage. Or something on the way, such
as a proxy that filters, dislikes this event or its integration key. So what is in doubt is little
at first, and may grow: at first the event; with a second event of its key that fails, the key; with
an event of another key, the destination. What is in doubt waits. Everything else goes, one probe at
a time. Any answer ends the outage for all.

If everything were in doubt from the start, an event that a proxy never lets pass would be the probe
again and again, and all others would wait for it for ever.

After an outage of the destination the way back is a slow start, like TCP's: two posts at once, and
one more for each that is taken. Many hosts come back at the same time, to a service that has just
come back itself.
"""

from collections.abc import Callable
from math import inf

from pdagent.queue.holds import Cause, Hold, Scope
from pdagent.schedule.backoff import Backoff

FIRST_ROOM = 2  # with one alone, a post that hangs would keep back everything
FULL_ROOM = 256  # as many as max_connections can be


class Outage:
    """Whether there is an outage, and how far it goes. `hold` is None while there is none. Its
    scope is what is in doubt, and at its end the next probe may go. `random` gives floats in
    [0, 1)."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._backoff = Backoff(random)
        self.hold: Hold | None = None
        self._first = ("", "")  # name and key of the event that began it
        self._held: dict[str, None] = {}  # the names of the events that missed, in that order
        self.probe = ""  # the name of the event that is on its way as the probe
        self.room = inf  # how many events may be on their way at once
        self._ended = -inf  # when the last outage was over

    @property
    def until(self) -> float | None:
        """When the next probe may go; None unless all events wait for one."""
        if self.hold is None or self.hold.scope is not Scope.DESTINATION:
            return None
        return self.hold.until

    def allows(self, now: float) -> bool:
        """Whether an event that is not in doubt may go."""
        return self.hold is None or (not self.probe and now >= (self.until or now))

    def ended_after(self, started: float) -> bool:
        """Whether an outage ended after a post was sent at `started`. If that post found nothing
        reachable, it may tell of the outage that is over. So it begins no new one: a post that is
        sent later on will."""
        return started < self._ended

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
        doubt now. `everywhere`: there are several destinations, and none is reached, so all events
        are in doubt."""
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
            # The event was sent before the outage was known, so it says nothing new about its
            # length.
            until, why = before.until, before.why
        self.hold = Hold(scope, Cause.UNREACHABLE, why, since, until)
        return self.hold

    def _widened(self, scope: Scope, name: str, key: str) -> Scope:
        if key != self._first[1]:
            return Scope.DESTINATION
        if name != self._first[0] and scope is Scope.CHAIN:
            return Scope.KEY
        return scope

    def answered(self, taken: bool, now: float) -> list[str]:
        """PagerDuty has answered, and has taken the event or not. Returns the names of those that
        need not wait any longer."""
        if self.until is not None:
            self.room = FIRST_ROOM
        elif taken and self.room < inf:
            self.room = self.room + 1 if self.room < FULL_ROOM else inf
        self._backoff.succeeded()
        if self.hold is not None:
            self.hold, self._ended = None, now
        held, self._held = list(self._held), {}
        return held
