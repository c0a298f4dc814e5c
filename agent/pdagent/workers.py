"""Workers: the threads that take events from the scheduler, through delivery, to where they are
settled.

They are made as there is work for them, at most `max_connections`, and end when there has been none
for a while: an idle daemon has no thread that wakes. One lock guards the scheduler; reading files
and posting happen outside it.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable

from pdagent.backlog import Backlog, Hostile, Pending, Unfinished, key_of
from pdagent.config import Config
from pdagent.log import masked_name, printable, redacted
from pdagent.scheduler import Entry, Fate, Ruling, Scheduler
from pdagent.settlement import Settlement
from pdagent.verdict import Delivered, Refused, Throttled, Troubled, Unreachable, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.delivery import Delivery

log = logging.getLogger("pdagent.delivery")

LINGER_SECONDS = 10.0
# How long a file may have its second name in tmp/ before its writer is taken for dead. It needs
# that long only if the disk takes that long for an fsync.
UNFINISHED_SECONDS = 5.0
AGAIN_SECONDS = 5.0
# How soon after a post began `tend` has to see it, to cut it off at its deadline.
NOTICE_SECONDS = 10.0


class Workers:
    """Sends what is added, until stopped. `nudge` has the main thread call `tend` earlier than it
    was last told to."""

    def __init__(
        self,
        config: Config,
        backlog: Backlog,
        settlement: Settlement,
        nudge: Callable[[], None],
    ) -> None:
        self._config = config
        self._backlog = backlog
        self._settlement = settlement
        self._nudge = nudge
        self._tend_at = 0.0
        self._scheduler = Scheduler(
            float(config.backoff_interval_secs),
            config.retry_limit_for_possible_errors,
            _chance,
        )
        self._changed = threading.Condition()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._stopping = False
        self._delivery: Delivery | None = None
        self._delivery_lock = threading.Lock()

    # --- from the daemon's main thread ----------------------------------------------------------

    def add(self, names: Iterable[str]) -> None:
        """Names found in pdq/, in the order of their acceptance."""
        with self._changed:
            for name in names:
                key = key_of(name)
                if key is not None and name not in self._settlement:
                    self._scheduler.add(name, key)
            self._call_for_hands()

    def configure(self, config: Config) -> None:
        """Takes up a new configuration, from the next event on."""
        with self._delivery_lock:
            self._config = config
            if self._delivery is not None:
                self._delivery.configure(config)
        with self._changed:
            self._scheduler.configure(
                float(config.backoff_interval_secs), config.retry_limit_for_possible_errors
            )
            self._call_for_hands()

    def tend(self, now: float) -> float | None:
        """Cuts off overdue posts and puts workers to what holds have let go. Returns when to call
        again, in monotonic seconds; None: not before something is added."""
        delivery = self._delivery
        if delivery is not None:
            delivery.abort_overdue(now)
        with self._changed:
            due = self._scheduler.next_due(now)
            self._call_for_hands()
            if len(self._threads) > self._idle:
                due = now + 1.0 if due is None else min(now + 1.0, due)
            self._tend_at = math.inf if due is None else due
        return due

    def stop(self, patience: float) -> bool:
        """Lets what is on its way arrive, for `patience` seconds. Returns whether it did; what did
        not stays pending."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        deadline = time.monotonic() + patience
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))
        arrived = not self._threads
        if not arrived and self._delivery is not None:
            self._delivery.abort_all()
            for thread in list(self._threads):
                thread.join(0.5)
        return arrived

    @property
    def pending(self) -> int:
        return len(self._scheduler)

    # --- in the workers' threads ----------------------------------------------------------------

    def _call_for_hands(self) -> None:
        # One call is enough: whoever comes and finds something calls the next (see `_next`). And a
        # claim decides what may go, so whoever comes may find nothing: that costs one wake-up.
        if not self._scheduler.has_work(time.monotonic()):
            return
        if self._idle:
            self._changed.notify()
        elif len(self._threads) < self._config.max_connections:
            thread = threading.Thread(
                target=self._work, name=f"Worker-{len(self._threads) + 1}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # no more threads to be had: those we have will do
                return
            self._threads.add(thread)

    def _work(self) -> None:
        try:
            while (entry := self._next()) is not None:
                try:
                    self._handle(entry)
                except Exception:  # a bug here must cost one event a delay, not the daemon a worker
                    log.exception("internal error with %s; trying again", masked_name(entry.name))
                    self._try_again(entry)
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())

    def _next(self) -> Entry | None:
        with self._changed:
            lingered = False
            while not self._stopping:
                now = time.monotonic()
                entry = self._scheduler.claim(now)
                self._see_tended(now, entry is not None)
                if entry is not None:
                    self._call_for_hands()  # where one event was, there may be more
                    return entry
                # Whatever was added or let go while we waited for the lock was seen by this claim;
                # what comes later finds us counted as idle, and calls.
                if lingered:
                    return None
                self._idle += 1
                lingered = not self._changed.wait(LINGER_SECONDS)
                self._idle -= 1
            return None

    def _see_tended(self, now: float, busy: bool) -> None:
        # The main thread sleeps until what was due when it last asked; a hold that began since, or
        # a post, may be due earlier.
        due = self._scheduler.next_due(now)
        due = math.inf if due is None else due
        if busy:
            due = min(due, now + NOTICE_SECONDS)
        if due < self._tend_at:
            self._tend_at = due
            self._nudge()

    def _handle(self, entry: Entry) -> None:
        now = time.monotonic()
        try:
            pending = self._load(entry, now)
        except Unfinished as unfinished:
            with self._changed:
                if self._scheduler.may_send(entry, unfinished.pending.chain):
                    self._scheduler.postpone(entry, now + UNFINISHED_SECONDS)
            return
        except FileNotFoundError:
            # A person removed it; or a scan listed it just before it was settled.
            log.debug("%s is gone", masked_name(entry.name))
            self._forget(entry)
            return
        except Hostile as hostile:
            log.warning("in error: %s: %s", masked_name(entry.name), hostile)
            self._settlement.in_error(entry.name, str(hostile))
            self._forget(entry)
            return
        except OSError as error:
            log.error("cannot read %s: %s", masked_name(entry.name), error.strerror)
            with self._changed:
                self._scheduler.delay(entry, now, now + AGAIN_SECONDS)
            return
        with self._changed:
            if not self._scheduler.may_send(entry, pending.chain):
                return
        self._conclude(entry, pending, self._deliver(pending), now)

    def _try_again(self, entry: Entry) -> None:
        now = time.monotonic()
        with self._changed:
            if entry.chain is None:
                self._scheduler.delay(entry, now, now + AGAIN_SECONDS)
            elif self._scheduler.may_send(entry, entry.chain):
                self._scheduler.settle(entry, Troubled("internal error"), now, now)

    def _load(self, entry: Entry, now: float) -> Pending:
        try:
            return self._backlog.load(entry.name)
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
                from pdagent.delivery import Delivery

                delivery = self._delivery = Delivery(self._config)
        return delivery.deliver(pending)

    def _conclude(self, entry: Entry, pending: Pending, verdict: Verdict, started: float) -> None:
        now = time.monotonic()
        with self._changed:
            was_unreachable = self._scheduler.unreachable
            ruling = self._scheduler.settle(entry, verdict, started, now)
            is_unreachable = self._scheduler.unreachable
        if was_unreachable and not is_unreachable:
            log.warning("PagerDuty is reachable again; %d events pending", self.pending)
        if isinstance(verdict, Unreachable) and is_unreachable and not was_unreachable:
            log.error(
                "PagerDuty cannot be reached at %s: %s. "
                "Events are kept, and sent as soon as it can be.",
                self._config.base_url,
                verdict.why,
            )
        _report(entry, pending, verdict, ruling, now - started)
        if ruling.fate is Fate.WAITS:
            return
        if ruling.fate is Fate.DELIVERED:
            self._settlement.delivered(entry.name)
        elif isinstance(verdict, Refused):
            reason = redacted(verdict.reason, entry.key)
            self._settlement.in_error(entry.name, reason, verdict.status, entry.troubles + 1)
        elif isinstance(verdict, Troubled):
            reason = f"given up after {entry.troubles} tries: {redacted(verdict.why, entry.key)}"
            self._settlement.in_error(entry.name, reason, verdict.status, entry.troubles)
        self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        with self._changed:
            self._scheduler.forget(entry)


def _chance() -> float:
    # what random.random() gives; that module would cost an idle daemon 300 kB
    return int.from_bytes(os.urandom(6), "big") / 2**48


def _report(
    entry: Entry, pending: Pending, verdict: Verdict, ruling: Ruling, seconds: float
) -> None:
    """One line per event and verdict: what happened, where, how long it took."""
    what = redacted(
        f"{masked_name(entry.name)} "
        + printable(f"({pending.action}, incident_key = {pending.dedup_key})"),
        entry.key,
    )
    match verdict:
        case Delivered(status):
            log.info("delivered %s: %d in %.0f ms", what, status, seconds * 1000)
        case Refused(status, reason):
            log.error("refused %s: %d %s", what, status, redacted(reason, entry.key))
        case Throttled(status):
            log.warning("throttled %s: %d; key held for %.1f s", what, status, ruling.seconds)
        case Troubled(why):
            held = f"{ruling.scope} held for {ruling.seconds:.1f} s" if ruling.scope else "given up"
            log.warning("failed %s: %s; %s", what, redacted(why, entry.key), held)
        case Unreachable(why):
            # the outage itself was said once, loudly
            log.debug("not sent %s: %s; next try in %.1f s", what, why, ruling.seconds)
