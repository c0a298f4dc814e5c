"""Handling: one claimed event, from its file through delivery to where it is settled.

Done by a worker, in its thread. The scheduler is asked under the workers' lock; reading files and
posting happen outside it.
"""

import logging
import threading
import time

from pdagent.config import Config
from pdagent.daemon import outcome
from pdagent.log import masked, masked_name, redacted
from pdagent.queue.backlog import (
    INCOMPLETE_SECONDS,
    SHORTAGES,
    Backlog,
)
from pdagent.queue.holds import UNNAMED, UNREADABLE, Fate, Ruling
from pdagent.queue.keys import Unnamed, filled_in, lane
from pdagent.queue.names import stamp
from pdagent.queue.overtaking import Overtaking
from pdagent.queue.pending import Hostile, Incomplete, Pending, Unfinished
from pdagent.queue.settlement import Settlement
from pdagent.schedule.lane import Entry
from pdagent.schedule.scheduler import Scheduler
from pdagent.serve.tally import Tally
from pdagent.threads import importing
from pdagent.wire.verdict import Refused, Troubled, Unreachable, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.wire.delivery import Delivery

log = logging.getLogger("pdagent.delivery")

# How long a file may have its second name in tmp/ before its writer is taken for dead. It needs
# that long only if the disk takes that long for an fsync.
UNFINISHED_SECONDS = 5.0
AGAIN_SECONDS = 5.0
INCOMPLETE_AGAIN_SECONDS = 0.1
BEING_WRITTEN = "an event is being written"
# How long a file that gives an error is tried again before it is set aside.
UNREADABLE_SECONDS = 300.0
OVERTAKEN = "not sent again: a later event of its incident was delivered before it"


class Handling:
    """What workers do with an event. `lock` guards the scheduler and the configuration."""

    def __init__(
        self,
        config: Config,
        backlog: Backlog,
        settlement: Settlement,
        scheduler: Scheduler,
        lock: threading.Condition,
    ) -> None:
        self._config = config
        self._backlog = backlog
        self._settlement = settlement
        self._scheduler = scheduler
        self._lock = lock
        self._unnamed: set[str] = set()  # said once
        self._overtaking = self._look_anew()
        self._delivery: Delivery | None = None
        self._delivery_lock = threading.Lock()
        self.tally = Tally()

    # --- for all that are on their way ----------------------------------------------------------

    def configure(self, config: Config) -> None:
        """Takes up a new configuration, from the next event on."""
        with self._delivery_lock:
            with self._lock:
                self._unnamed.clear()
                self._config = config
                self._overtaking = self._look_anew()
            if self._delivery is not None:
                self._delivery.configure(config)

    def _look_anew(self) -> Overtaking:
        config = self._config  # another one may name the keys in another way
        return Overtaking(self._backlog, lambda key: lane(key, config))

    def abort_overdue(self, now: float) -> None:
        """Cuts off the posts that are past their deadline."""
        if self._delivery is not None:
            self._delivery.abort_overdue(now)

    def abort_all(self) -> None:
        """Cuts off all posts: their events stay pending."""
        if self._delivery is not None:
            self._delivery.abort_all()

    # --- one event ------------------------------------------------------------------------------

    def handle(self, entry: Entry) -> None:
        """Takes a claimed event as far as it gets now: settled, or back to the scheduler."""
        now = time.monotonic()
        try:
            pending = self._load(entry, now)
        except Unfinished as unfinished:
            with self._lock:
                if self._scheduler.may_send(entry, unfinished.pending.chain):
                    self._scheduler.postpone(entry, now + UNFINISHED_SECONDS)
            return
        except FileNotFoundError:
            # A person removed it; or a scan listed it just before it was settled.
            log.debug("%s is gone", masked_name(entry.name))
            self._settlement.gone(entry.name)
            self.tally.count_removed()
            self._forget(entry)
            return
        except Incomplete:
            with self._lock:
                self._scheduler.delay(entry, now, now + INCOMPLETE_AGAIN_SECONDS, BEING_WRITTEN)
            return
        except Hostile as hostile:
            self._refuse(entry, hostile)
            return
        except OSError as error:
            self._unreadable(entry, error, now)
            return
        with self._lock:
            if not self._scheduler.may_send(entry, pending.chain):
                return
        try:
            overtaken = entry.retried and self._overtaking.by(entry.name, entry.key, pending.chain)
        except OSError as error:
            self._unreadable(entry, error, now)
            return
        if overtaken:
            log.warning("in error: %s: %s", masked_name(entry.name), OVERTAKEN)
            self._settlement.in_error(entry.name, OVERTAKEN)
            self._forget(entry)
            return
        try:
            to_send = filled_in(pending, self._config)
        except Unnamed as unnamed:
            self._keep_unnamed(entry, unnamed)
        except Hostile as hostile:
            self._refuse(entry, hostile)
        else:
            self._conclude(entry, pending, self._deliver(to_send), now)

    def _refuse(self, entry: Entry, hostile: Hostile) -> None:
        log.warning("in error: %s: %s", masked_name(entry.name), hostile)
        self.tally.count_refused("unreadable")
        self._settlement.in_error(entry.name, str(hostile))
        self._forget(entry)

    def _keep_unnamed(self, entry: Entry, unnamed: Unnamed) -> None:
        if entry.key != unnamed.name:  # a script's file, under the name of another key
            self._refuse(entry, Hostile("its key is a name, and not its file's"))
            return
        now = time.monotonic()
        with self._lock:
            said = unnamed.name in self._unnamed
            self._unnamed.add(unnamed.name)
            # until the configuration is read again; this is for what else may change
            why = f"{UNNAMED}{masked(unnamed.name)}"
            self._scheduler.delay(entry, now, now + self._config.backoff_interval_secs, why)
        if not said:
            log.error(
                "no integration key is named %s: its events are kept. "
                "Add it to [Keys], then: systemctl reload pdagent",
                masked(unnamed.name),
            )

    def _unreadable(self, entry: Entry, error: OSError, now: float) -> None:
        # Its chain is unknown, so its key waits. A disk that does not come back must not hold up
        # the others for ever, nor may one that does cost an event.
        if entry.unreadable_since is None:
            entry.unreadable_since = now
        if error.errno in SHORTAGES or now - entry.unreadable_since < UNREADABLE_SECONDS:
            log.error("cannot read %s: %s", masked_name(entry.name), error.strerror)
            with self._lock:
                why = f"{UNREADABLE}: {error.strerror}"
                self._scheduler.delay(entry, now, now + AGAIN_SECONDS, why)
        else:
            self._refuse(entry, Hostile(f"it can't be read: {error.strerror}"))

    def try_again(self, entry: Entry) -> None:
        """Puts a claimed event back after a bug of ours."""
        now = time.monotonic()
        with self._lock:
            if entry.chain is None:
                self._scheduler.delay(entry, now, now + AGAIN_SECONDS, "internal error")
            elif self._scheduler.may_send(entry, entry.chain):
                self._scheduler.settle(entry, Troubled("internal error"), now, now)

    def _load(self, entry: Entry, now: float) -> Pending:
        try:
            return self._backlog.load(entry.name)
        except Incomplete as incomplete:
            # A script that writes straight into pdq/ is between open and close, or what it wrote
            # is no event. Its chain is unknown, so its key waits: for no longer than the file is
            # new, so that a thousand such files cost a key no more than one.
            if entry.incomplete_since is None:
                entry.incomplete_since = now
            if now - entry.incomplete_since >= INCOMPLETE_SECONDS:
                raise Hostile(str(incomplete)) from incomplete
            raise
        except Unfinished as unfinished:
            # pd-send is between link and unlink, or died there. It gets a while to finish, and will
            # wake us; then the event is taken as accepted, which somebody may have been told.
            if entry.unfinished_since is None:
                entry.unfinished_since = now
            if now - entry.unfinished_since < UNFINISHED_SECONDS:
                raise
            self._backlog.adopt(entry.name)
            return unfinished.pending

    def _deliver(self, pending: Pending) -> Verdict:
        with self._delivery_lock:
            delivery = self._delivery
            if delivery is None:
                with importing:
                    from pdagent.wire.delivery import Delivery

                delivery = self._delivery = Delivery(self._config)
        return delivery.deliver(pending)

    def _conclude(self, entry: Entry, pending: Pending, verdict: Verdict, started: float) -> None:
        now = time.monotonic()
        with self._lock:
            was_unreachable = self._scheduler.unreachable
            ruling = self._scheduler.settle(entry, verdict, started, now)
            is_unreachable = self._scheduler.unreachable
        if was_unreachable and not is_unreachable:
            log.warning("PagerDuty is reachable again; %d events pending", len(self._scheduler))
        if isinstance(verdict, Unreachable) and is_unreachable and not was_unreachable:
            log.error(
                "PagerDuty cannot be reached at %s: %s. "
                "Events are kept, and sent as soon as it can be.",
                self._config.base_url,
                verdict.why,
            )
        outcome.report(entry, pending, verdict, ruling, now - started, is_unreachable)
        self._count(entry, verdict, ruling)
        if ruling.fate is Fate.WAITS:
            return
        if ruling.fate is Fate.DELIVERED:
            self._settlement.delivered(entry.name)
            self._overtaking.delivered(entry.name)
        elif isinstance(verdict, Refused):
            reason = redacted(verdict.reason, entry.key)
            self._settlement.in_error(entry.name, reason, verdict.status, entry.troubles + 1)
        elif isinstance(verdict, Troubled):
            reason = f"given up after {entry.troubles} tries: {redacted(verdict.why, entry.key)}"
            self._settlement.in_error(entry.name, reason, verdict.status, entry.troubles)
        self._forget(entry)

    def _count(self, entry: Entry, verdict: Verdict, ruling: Ruling) -> None:
        if ruling.fate is Fate.DELIVERED:
            accepted = stamp(entry.name) / 1e6
            self.tally.count_delivered(accepted, time.time())
        elif ruling.fate is Fate.WAITS:
            self.tally.count_retry(type(verdict).__name__.lower())
        elif isinstance(verdict, Refused):
            self.tally.count_refused("key" if verdict.about_key else "event")
        else:
            self.tally.count_refused("given_up")

    def _forget(self, entry: Entry) -> None:
        with self._lock:
            self._scheduler.forget(entry)
