"""Experience: what earlier verdicts tell about the one that comes now.

Pure. When an event fails, the event may be to blame, or its key, or PagerDuty, or the way there.
One verdict can't tell which. Which other events fail and get through meanwhile can.
"""

from pdagent.queue.holds import Cause, Hold, Scope
from pdagent.schedule.entry import Entry
from pdagent.schedule.lane import Lane
from pdagent.schedule.limits import Limits
from pdagent.schedule.outage import Outage
from pdagent.schedule.relays import Relays
from pdagent.schedule.rules import TROUBLES_IN_A_ROW, Known
from pdagent.wire.verdict import Throttled, Troubled, Unreachable, Verdict

LEAST_TROUBLE_SECONDS = 24 * 3600.0
WHY_CHARS = 300


class Experience:
    """What the verdicts so far have shown."""

    def __init__(self, outage: Outage, relays: Relays, limits: Limits) -> None:
        self._outage = outage
        self._relays = relays
        self.limits = limits
        self._delivered_at = float("-inf")

    def delivered(self, now: float) -> None:
        """PagerDuty has taken an event."""
        self._delivered_at = now

    def known(
        self,
        entry: Entry,
        lane: Lane,
        verdict: Verdict,
        started: float,
        now: float,
        reached: bool,
    ) -> Known:
        """What is known when this verdict comes, on a post that was sent at `started`. `reached`: a
        request without an event in it has reached PagerDuty since. The verdict is remembered for
        those after it."""
        match verdict:
            case Troubled():
                return self._failed(entry, lane, now)
            case Unreachable() if reached:
                return Known.PATH_OPEN
            case Unreachable() if self._reached_since(entry, started):
                return Known.REACHED_SINCE
            case Unreachable():
                return self._missed(entry, started, now, reason(verdict))
        return Known.ANY

    def _reached_since(self, entry: Entry, started: float) -> bool:
        """Whether the entry's destination, once it was not reached, was reached again after a post
        was sent at `started`."""
        if self._relays.several:
            return self._relays.back_after(entry.relay, started)
        return self._outage.ended_after(started)

    def _failed(self, entry: Entry, lane: Lane, now: float) -> Known:
        if not entry.troubles:
            entry.troubled_since = now
        others_get_through = self._delivered_at > entry.troubled_at
        entry.troubles += 1
        entry.troubled_at = now
        if (
            entry.troubles > self.limits.retry_limit
            and now - entry.troubled_since >= LEAST_TROUBLE_SECONDS
            and others_get_through
        ):
            return Known.TRIED_ENOUGH
        lane.troubles += 1
        many = lane.troubles >= TROUBLES_IN_A_ROW
        return Known.MANY_FAILURES if many else Known.FEW_FAILURES

    def _missed(self, entry: Entry, started: float, now: float, why: str) -> Known:
        if self._relays.several:
            return self._missed_relay(entry, started, now, why)
        missed_before, entry.missed_at = entry.missed_at, now
        if missed_before is not None and self._delivered_at > missed_before:
            return Known.OTHERS_DELIVERED
        match self._outage.missed(entry.name, entry.key, started, now, self.limits.cap, why).scope:
            case Scope.CHAIN:
                return Known.EVENT_MISSES
            case Scope.KEY:
                return Known.KEY_MISSES
            case Scope.DESTINATION:
                return Known.ALL_MISS

    def _missed_relay(self, entry: Entry, started: float, now: float, why: str) -> Known:
        cap = self.limits.cap
        if self._relays.missed(entry.name, entry.relay, started, now, cap) is not None:
            return Known.RELAY_MISSES
        self._outage.missed(entry.name, entry.key, started, now, cap, why, everywhere=True)
        return Known.ALL_MISS

    def hold(
        self,
        scope: Scope,
        cause: Cause,
        entry: Entry,
        lane: Lane,
        verdict: Verdict,
        started: float,
        now: float,
    ) -> tuple[Hold, float]:
        """What is held from now on because of a verdict on a post that was sent at `started`, and
        for how many seconds."""
        why = reason(verdict)
        if scope is Scope.KEY and cause is Cause.FAILING:
            why = f"{lane.troubles} failures in a row: {why}"
        if cause is Cause.UNREACHABLE and self._reached_since(entry, started):
            # It is tried soon, and by itself, whatever was found out since. Its next post starts
            # after the answer, so it counts.
            seconds = lane.chain_of(entry).backoff.failed(self.limits.cap)
        elif cause is Cause.UNREACHABLE and self._outage.hold is not None:
            seconds = max(0.0, self._outage.hold.until - now)
        elif cause is Cause.UNREACHABLE:
            seconds = max(0.0, self._relays.next_look(entry.relay, now) - now)
        # A Retry-After of 0 seconds says no more than the status 429, so backoff decides.
        elif isinstance(verdict, Throttled) and verdict.retry_after:
            seconds = verdict.retry_after
        elif scope is Scope.KEY and lane.is_older_than_hold(started):
            seconds = 0.0  # posts that were on their way together are one failure
        else:
            backoff = lane.backoff if scope is Scope.KEY else lane.chain_of(entry).backoff
            seconds = backoff.failed(self.limits.cap)
        if scope is Scope.KEY and lane.is_older_than_hold(started):
            seconds = max(seconds, lane.until - now)
        chain = entry.chain if scope is Scope.CHAIN and entry.chain is not None else ""
        return Hold(scope, cause, why, now, now + seconds, lane.key, chain), seconds


def reason(verdict: Verdict) -> str:
    """What people are told of a verdict for which an event waits."""
    match verdict:
        case Throttled(status):
            return f"throttled: PagerDuty answered {status}"
        case Troubled(why) | Unreachable(why):
            return why[:WHY_CHARS]
    return ""
