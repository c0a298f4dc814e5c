"""The logbook: what the log says about verdicts, so that people can find out later where an event
has gone.

Each verdict on an event is one line. Of the event's body only the dedup key is in it, and no
integration key is.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection

from pdagent.config import shown_url
from pdagent.queue.history import LOGGER, of_event
from pdagent.queue.holds import Scope
from pdagent.queue.pending import Pending
from pdagent.schedule.entry import Entry
from pdagent.schedule.experience import reason
from pdagent.schedule.relays import MOVE_SECONDS
from pdagent.schedule.rules import Ruling
from pdagent.shown import redacted
from pdagent.wire.verdict import Delivered, Refused, Throttled, Troubled, Unreachable, Verdict

log = logging.getLogger(LOGGER)

SAID_MOST = 20
SAID_SECONDS = 60.0


class Sparing:
    """Whether another line may be written about a user's files: SAID_MOST in SAID_SECONDS. All
    further files share one line, so that nobody can fill the log. `what` is what that line calls
    them. `monotonic` gives seconds."""

    def __init__(self, what: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._began = monotonic()
        self._said: dict[int, int] = {}

    def may_say(self, owner: int) -> bool:
        """Whether a line may be written about one more file of this user."""
        with self._lock:
            self._said[owner] = self._said.get(owner, 0) + 1
            return self._said[owner] <= SAID_MOST

    def say_rest(self) -> None:
        """Called once in a while: after SAID_SECONDS says how many lines were left out."""
        with self._lock:
            if self._monotonic() - self._began < SAID_SECONDS:
                return
            rest = [(uid, n - SAID_MOST) for uid, n in self._said.items() if n > SAID_MOST]
            self._began, self._said = self._monotonic(), {}
        for uid, number in rest[:SAID_MOST]:
            whose = f"uid {uid}" if uid >= 0 else "a sender to the endpoint"
            log.warning("%d more %s, those of %s", number, self._what, whose)


class Reasons:
    """Why PagerDuty is not reached: each reason of one outage is said once, and SAID_MOST are. A
    person who has seen to the first would wait in vain otherwise, and not know what for."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def may_say(self, why: str) -> bool:
        """Whether a line may be written about this reason. "" means that the outage is over."""
        if not why:
            self._said.clear()
        elif why not in self._said and len(self._said) < SAID_MOST:
            self._said.add(why)
            return True
        return False


def note(
    entry: Entry,
    pending: Pending,
    verdict: Verdict,
    ruling: Ruling,
    seconds: float,
    outage: bool = False,
) -> None:
    """Writes what happened, where, and how long it took. `outage`: PagerDuty can't be reached, and
    the log says so already."""
    what = of_event(entry.name, pending.action, pending.dedup_key, entry.key)
    match verdict:
        case Delivered(status):
            log.info("delivered %s: %d in %.0f ms", what, status, seconds * 1000)
        case Refused(status, reason):
            log.error("refused %s: %d %s", what, status, redacted(reason, entry.key))
        case Throttled(status):
            log.warning("throttled %s: %d; key held for %.1f s", what, status, ruling.seconds)
        case Troubled(why):
            what_waits = "event" if ruling.scope is Scope.CHAIN else ruling.scope
            held = f"{what_waits} held for {ruling.seconds:.1f} s" if what_waits else "given up"
            log.warning("failed %s: %s; %s", what, redacted(why, entry.key), held)
        case Unreachable(why):
            # The log has said that there is an outage. It has not said that something stops this
            # one event, while others get through.
            say = log.debug if outage else log.warning
            say(
                "not sent %s: %s; next try in %.1f s",
                what,
                redacted(why, entry.key),
                ruling.seconds,
            )


def note_relays(before: Collection[str], now: Collection[str], verdict: Verdict) -> None:
    """Says which relays are not reached any longer, and which are again."""
    for url in set(now) - set(before):
        log.error(
            "%s cannot be reached: %s. Its events wait for %.0f s, and then go to another",
            shown_url(url),
            reason(verdict),
            MOVE_SECONDS,
        )
    for url in set(before) - set(now):
        log.warning("%s is reachable again", shown_url(url))
