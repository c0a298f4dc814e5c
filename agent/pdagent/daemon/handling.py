"""Handling: one claimed event, from its file through delivery to the directory where it is settled.

A worker does it, in its thread. The file is read, what was found decides, and there is one place
where the event leaves the queue. The scheduler is asked while the workers' lock is held. Files are
read and events are posted without the lock.
"""

import logging
import math
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pdagent.config import Config
from pdagent.daemon import logbook
from pdagent.daemon.disk import Disk
from pdagent.daemon.large import Turn, give_back
from pdagent.daemon.path import Path
from pdagent.daemon.reading import (
    AGAIN_SECONDS,
    UNREADABLE,
    Aside,
    Found,
    Gone,
    Heavy,
    Later,
    Left,
    Reading,
    Ready,
    Unfit,
    Waits,
)
from pdagent.queue.backlog import Backlog
from pdagent.queue.filling import Unnamed, filled_in
from pdagent.queue.history import LOGGER
from pdagent.queue.holds import Cause
from pdagent.queue.keys import lane
from pdagent.queue.names import stamp
from pdagent.queue.origins import Origins
from pdagent.queue.overtaking import Overtaking
from pdagent.queue.pending import Hostile, Pending
from pdagent.queue.settlement import Settlement
from pdagent.schedule.entry import Entry
from pdagent.schedule.rules import Fate, Ruling
from pdagent.schedule.scheduler import Scheduler
from pdagent.serve.tally import Tally
from pdagent.shown import masked, masked_name, redacted
from pdagent.threads import pause
from pdagent.wire.verdict import Refused, Troubled, Unreachable, Verdict

log = logging.getLogger(LOGGER)

SHORT_SECONDS = 0.2  # between two tries, where memory is short
OVERTAKEN = "not sent again: a later event of its incident was delivered before it"


@dataclass(frozen=True, slots=True)
class Taken:
    """PagerDuty has the event."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """The event is in error. `kind`, for counting: "key", "event", "given_up", "unreadable" or
    "overtaken"."""

    kind: str
    why: str
    status: int | None = None
    attempts: int = 0
    durable: bool = True


@dataclass(frozen=True, slots=True)
class Removed:
    """The event is gone: a person has removed it, or its owner has replaced its file."""

    by_hand: bool


Ending = Taken | SetAside | Removed


class Handling:
    """What workers do with an event. `lock` guards the scheduler and the configuration. A worker is
    `away` while it waits for an answer, or for the disk."""

    def __init__(
        self,
        settings: Config,
        backlog: Backlog,
        settlement: Settlement,
        scheduler: Scheduler,
        lock: threading.Condition,
        away: AbstractContextManager[None],
    ) -> None:
        self._settings = settings
        self._settlement = settlement
        self._scheduler = scheduler
        self._lock = lock
        self._away = away
        self._disk = Disk(away)
        self._backlog = backlog
        self._large = Turn()
        self._reading = Reading(backlog, self._large, away)
        self._overtaking = self._new_overtaking()
        self._unnamed: set[str] = set()  # said once
        self.path = Path(settings, away)
        self.tally = Tally()
        self.origins = Origins(backlog.root)
        self._reasons = logbook.Reasons()
        self.denied = logbook.Sparing("files that cannot be read wait")
        self.unfit = logbook.Sparing("files that are no events were set aside")

    def configure(self, settings: Config) -> None:
        """Takes up a new configuration, from the next event on."""
        with self._lock:
            self._unnamed.clear()
            self._settings = settings
            self._overtaking = self._new_overtaking()
        self.path.configure(settings)

    def start_over(self, scheduler: Scheduler) -> None:
        """Takes another scheduler. Nothing may be claimed, and the caller holds the lock."""
        self._scheduler = scheduler
        self.path.hurry(math.inf)  # nothing waits for posts any longer

    def _new_overtaking(self) -> Overtaking:
        settings = self._settings  # with another configuration, keys may have other names
        return Overtaking(self._backlog, lambda key: lane(key, settings), self._large)

    # --- one event ------------------------------------------------------------------------------

    def handle(self, entry: Entry) -> None:
        """Takes a claimed event as far as it gets now: settled, or back to the scheduler."""
        now, heavy = time.monotonic(), entry.heavy
        found = self._reading.read(
            entry, now, self._settings, lambda what, seconds: self._patience(entry, what, seconds)
        )
        if isinstance(found, Ready):
            self._send(entry, found.pending, now)
        else:
            self._act(entry, found, now)
        if heavy:
            del found
            give_back()  # the memory for writing the event in another form

    def _act(self, entry: Entry, found: Found, now: float) -> None:
        """What follows from an event that can't be sent now."""
        match found:
            case Heavy():
                with self._lock:
                    self._scheduler.make_heavy(entry, now)
            case Waits(chain, until):
                with self._lock:
                    if self._scheduler.may_send(entry, chain):
                        self._scheduler.postpone(entry, now, until)
            case Later(until, why, problem):
                if problem:
                    log.error("cannot read %s: %s", masked_name(entry.name), problem)
                with self._lock:
                    self._scheduler.delay(entry, now, until, why)
            case Aside(until, why, problem):
                if problem and self.denied.may_say(entry.owner):
                    log.error("cannot read %s: %s; it waits", masked_name(entry.name), problem)
                with self._lock:
                    self._scheduler.postpone(entry, now, until, why)
            case Unfit(why):
                self._refuse(entry, why)
            case Gone() | Left():
                self._end(entry, Removed(by_hand=isinstance(found, Gone)))

    def _patience(self, entry: Entry, what: str, seconds: float) -> bool:
        with self._lock:
            return self._scheduler.patience.lasts(
                (what, entry.key, entry.owner), time.monotonic(), seconds
            )

    def _send(self, entry: Entry, pending: Pending, started: float) -> None:
        with self._lock:
            if not self._scheduler.may_send(entry, pending.chain):
                return
        try:
            overtaken = entry.retried and self._is_overtaken(entry, pending)
        except OSError as error:
            self._act(entry, self._reading.unreadable(entry, error, started), started)
            return
        if overtaken:
            log.warning("in error: %s: %s", masked_name(entry.name), OVERTAKEN)
            self._end(entry, SetAside("overtaken", OVERTAKEN))
            return
        # An event may be tried for a day. Two errors of the disk in that time do not mean that the
        # disk was away all the while.
        entry.is_no_longer(UNREADABLE)
        try:
            to_send = filled_in(pending, self._settings)
        except Unnamed as unnamed:
            self._keep_unnamed(entry, unnamed)
        except Hostile as hostile:
            self._refuse(entry, str(hostile))
        else:
            with self._lock:
                relay = self._scheduler.destination(entry, time.monotonic())
            if relay is None:
                return
            verdict = self.path.deliver(to_send, relay)
            self._conclude(entry, to_send, verdict, started)

    def _is_overtaken(self, entry: Entry, pending: Pending) -> bool:
        with self._away:
            return self._overtaking.by(entry.name, entry.key, pending.chain) is not None

    def _refuse(self, entry: Entry, why: str) -> None:
        if self.unfit.may_say(entry.owner):
            log.warning("in error: %s: %s", masked_name(entry.name), why)
        self._end(entry, SetAside("unreadable", why, durable=False))

    def _keep_unnamed(self, entry: Entry, unnamed: Unnamed) -> None:
        now = time.monotonic()
        with self._lock:
            said = unnamed.name in self._unnamed
            self._unnamed.add(unnamed.name)
            # Only a reload brings the key, and a reload with other keys ends all holds. This one
            # has an end because every hold has one.
            until = now + self._settings.backoff_interval_secs
            self._scheduler.delay(entry, now, until, str(unnamed), Cause.UNNAMED)
        if not said:
            log.error(
                "no integration key is named %s: its events are kept. "
                "Add it to [Keys], then: systemctl reload pdagent",
                masked(unnamed.name),
            )

    def try_again(self, entry: Entry) -> None:
        """Puts an event back after a bug of ours, or if there was too little memory; then there may
        be too little for this too. Nobody but this worker knows of the event, so this tries until
        it is done."""
        again = False
        while True:
            try:
                if again:
                    with self._away:
                        pause(SHORT_SECONDS)
                self._put_back(entry)
                return
            except MemoryError:
                again = True

    def _put_back(self, entry: Entry) -> None:
        # No server has answered, so nothing is learnt of PagerDuty or of the event: no hold ends,
        # and the event is not given up.
        now = time.monotonic()
        with self._lock:
            if not self._scheduler.is_claimed(entry):
                self._scheduler.offer_again(entry)
                return
            if entry.chain is None:
                self._scheduler.delay(entry, now, now + AGAIN_SECONDS, "internal error")
            elif self._scheduler.may_send(entry, entry.chain):
                self._scheduler.postpone(entry, now, now + AGAIN_SECONDS, "internal error")

    def _conclude(self, entry: Entry, pending: Pending, verdict: Verdict, started: float) -> None:
        # The question whether the event is to blame is answered before the scheduler hears of the
        # verdict. Otherwise other events would wait meanwhile.
        reached = isinstance(verdict, Unreachable) and self.path.is_open(verdict, entry.relay)
        now = time.monotonic()
        with self._lock:
            was_unreachable = self._scheduler.unreachable is not None
            lost_before = self._scheduler.relays.lost()
            ruling = self._scheduler.settle(entry, verdict, started, now, reached)
            outage = self._scheduler.unreachable
            is_unreachable, why = outage is not None, outage.why if outage is not None else ""
            is_new = self._reasons.may_say(why)
            lost = self._scheduler.relays.lost()
        if was_unreachable and not is_unreachable:
            log.warning("PagerDuty is reachable again; %d events pending", len(self._scheduler))
        if isinstance(verdict, Unreachable) and is_unreachable and not was_unreachable:
            log.error(
                "PagerDuty cannot be reached at %s: %s. "
                "Events are kept, and sent as soon as it can be.",
                self._settings.shown_url,
                verdict.why,
            )
        elif is_new:
            log.error("PagerDuty is still not reached: %s", why)
        if lost.keys() != lost_before.keys():
            logbook.note_relays(lost_before, lost, verdict)
        logbook.note(entry, pending, verdict, ruling, now - started, is_unreachable)
        self._settle(entry, verdict, ruling)

    def _settle(self, entry: Entry, verdict: Verdict, ruling: Ruling) -> None:
        if ruling.fate is Fate.WAITS:
            self.tally.count_retry(type(verdict).__name__.lower())
        elif ruling.fate is Fate.DELIVERED:
            self._end(entry, Taken())
        elif isinstance(verdict, Refused):
            kind = "key" if verdict.about_key else "event"
            reason = redacted(verdict.reason, entry.key)
            self._end(entry, SetAside(kind, reason, verdict.status, entry.troubles + 1))
        elif isinstance(verdict, Troubled):
            reason = f"given up after {entry.troubles} tries: {redacted(verdict.why, entry.key)}"
            self._end(entry, SetAside("given_up", reason, verdict.status, entry.troubles))

    def _end(self, entry: Entry, ending: Ending) -> None:
        """The one place where an event leaves the queue: it is counted, its file is settled, and
        then the scheduler forgets it, so that the next of its chain may go."""
        match ending:
            case Taken():
                self.tally.count_delivered(stamp(entry.name) / 1e6, time.time())
                with self._disk.used():
                    self._settlement.delivered(entry.name)
                self._overtaking.delivered(entry.name)
            case SetAside(kind, why, status, attempts, durable):
                if kind != "overtaken":
                    self.tally.count_refused(kind)
                with self._away:
                    self._settlement.in_error(entry.name, why, status, attempts, durable)
            case Removed(by_hand):
                log.debug("%s is gone", masked_name(entry.name))
                self._settlement.gone(entry.name)
                if by_hand:
                    self.tally.count_removed()
        self.origins.remove(entry.name)
        with self._lock:
            self._scheduler.forget(entry)
