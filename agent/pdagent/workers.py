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

from pdagent.backlog import SHORTAGES, Backlog, Hostile, Pending, Unfinished, key_of, order
from pdagent.config import Config
from pdagent.holds import Held
from pdagent.keys import Unnamed, filled_in, lane
from pdagent.lane import Entry
from pdagent.log import masked, masked_name, printable, redacted
from pdagent.scheduler import Fate, Ruling, Scheduler
from pdagent.settlement import Settlement
from pdagent.tally import Standing, Tally
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
# How long a file that gives an error is tried again before it is set aside.
UNREADABLE_SECONDS = 300.0
# How soon after a post began `tend` has to see it, to cut it off at its deadline.
NOTICE_SECONDS = 10.0
OVERTAKEN = "not sent: a later event of its incident was delivered while it was set up for retry"
# Holds are told at most this often, and so that the telling takes a hundredth of the time.
TELL_SECONDS = 1.0
TELL_SHARE = 0.01


class Workers:
    """Sends what is added, until stopped. `nudge` has the main thread call `tend` earlier than it
    was last told to; `tell` is called by `tend` when what is held has changed."""

    def __init__(
        self,
        config: Config,
        backlog: Backlog,
        settlement: Settlement,
        nudge: Callable[[], None],
        tell: Callable[[Held], None],
    ) -> None:
        self._config = config
        self._backlog = backlog
        self._settlement = settlement
        self._nudge = nudge
        self._tend_at = 0.0
        self._tell = tell
        self._told = -1  # of the scheduler's changes
        self._tell_at = 0.0
        self._scheduler = self._new_scheduler()
        self._claimed = 0
        self._renewing = False
        self._unnamed: set[str] = set()  # said once
        self._changed = threading.Condition()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._stopping = False
        self._delivery: Delivery | None = None
        self._delivery_lock = threading.Lock()
        self.tally = Tally()

    def _new_scheduler(self) -> Scheduler:
        config = self._config
        return Scheduler(
            float(config.backoff_interval_secs), config.retry_limit_for_possible_errors, _chance
        )

    # --- from the daemon's main thread ----------------------------------------------------------

    def add(self, names: Iterable[str]) -> None:
        """Names found in pdq/, in the order of their acceptance."""
        names = list(names)
        retried = self._settlement.retried([n for n in names if n not in self._scheduler])
        with self._changed:
            before = len(self._scheduler)
            for name in names:
                key = key_of(name)
                if key is not None and name not in self._settlement:
                    self._scheduler.add(name, lane(key, self._config), name in retried)
            self.tally.count_accepted(len(self._scheduler) - before)
            self._call_for_hands()

    def configure(self, config: Config) -> None:
        """Takes up a new configuration, from the next event on."""
        with self._delivery_lock:
            with self._changed:
                self._renewing = self._renewing or config.keys != self._config.keys
                self._unnamed.clear()
                self._config = config
            if self._delivery is not None:
                self._delivery.configure(config)
        with self._changed:
            self._scheduler.configure(
                float(config.backoff_interval_secs), config.retry_limit_for_possible_errors
            )
            self._renew()
            self._call_for_hands()

    def _renew(self) -> None:
        # Names of keys mean other keys now, so events belong into other lanes. Once nothing is on
        # its way, all start anew, as after a restart: in the order of their names, without holds.
        if self._renewing and not self._claimed:
            self._renewing = False
            names, self._scheduler = self._scheduler.names, self._new_scheduler()
            self._told = -1
            self.add(sorted(names, key=order))
            self.tally.count_accepted(-len(self._scheduler))  # for the second time

    def tend(self, now: float) -> float | None:
        """Cuts off overdue posts and puts workers to what holds have let go. Returns when to call
        again, in monotonic seconds; None: not before something is added."""
        delivery = self._delivery
        if delivery is not None:
            delivery.abort_overdue(now)
        self._tell_holds(now)
        with self._changed:
            due = self._due(now)
            self._call_for_hands()
            if len(self._threads) > self._idle:
                due = min(now + 1.0, due)
            self._tend_at = due
        return None if due == math.inf else due

    def _tell_holds(self, now: float) -> None:
        with self._changed:
            if self._scheduler.changes == self._told or now < self._tell_at:
                return
            self._told = self._scheduler.changes
            held = self._scheduler.held(now)
        self._tell(held)
        cost = time.monotonic() - now
        self._tell_at = now + max(TELL_SECONDS, cost / TELL_SHARE)

    def _due(self, now: float) -> float:
        due = self._scheduler.next_due(now)
        due = math.inf if due is None else due
        return due if self._scheduler.changes == self._told else min(due, self._tell_at)

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

    def standing(self) -> Standing:
        """How things stand, for whoever asks, in any thread."""
        with self._changed:
            return self._scheduler.standing()

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
                        self._claimed -= 1
                        self._renew()
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())

    def _next(self) -> Entry | None:
        with self._changed:
            lingered = False
            while not self._stopping:
                now = time.monotonic()
                entry = None if self._renewing else self._scheduler.claim(now)
                self._see_tended(now, entry is not None)
                if entry is not None:
                    self._claimed += 1
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
        due = self._due(now)
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
            self._settlement.gone(entry.name)
            self.tally.count_removed()
            self._forget(entry)
            return
        except Hostile as hostile:
            self._refuse(entry, hostile)
            return
        except OSError as error:
            self._unreadable(entry, error, now)
            return
        with self._changed:
            if not self._scheduler.may_send(entry, pending.chain):
                return
            overtaken = self._scheduler.overtaken(entry)
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
        with self._changed:
            said = unnamed.name in self._unnamed
            self._unnamed.add(unnamed.name)
            # until the configuration is read again; this is for what else may change
            why = f"no integration key is named {masked(unnamed.name)}"
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
            with self._changed:
                why = f"an event can't be read: {error.strerror}"
                self._scheduler.delay(entry, now, now + AGAIN_SECONDS, why)
        else:
            self._refuse(entry, Hostile(f"it can't be read: {error.strerror}"))

    def _try_again(self, entry: Entry) -> None:
        now = time.monotonic()
        with self._changed:
            if entry.chain is None:
                self._scheduler.delay(entry, now, now + AGAIN_SECONDS, "internal error")
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
        _report(entry, pending, verdict, ruling, now - started, is_unreachable)
        self._count(entry, verdict, ruling)
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

    def _count(self, entry: Entry, verdict: Verdict, ruling: Ruling) -> None:
        if ruling.fate is Fate.DELIVERED:
            accepted = int(entry.name.partition("_")[0]) / 1e6
            self.tally.count_delivered(accepted, time.time())
        elif ruling.fate is Fate.WAITS:
            self.tally.count_retry(type(verdict).__name__.lower())
        elif isinstance(verdict, Refused):
            self.tally.count_refused("key" if verdict.about_key else "event")
        else:
            self.tally.count_refused("given_up")

    def _forget(self, entry: Entry) -> None:
        with self._changed:
            self._scheduler.forget(entry)


def _chance() -> float:
    # what random.random() gives; that module would cost an idle daemon 300 kB
    return int.from_bytes(os.urandom(6), "big") / 2**48


def _report(
    entry: Entry,
    pending: Pending,
    verdict: Verdict,
    ruling: Ruling,
    seconds: float,
    outage: bool = False,
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
            # an outage was said once, loudly; that others get past what stops this one was not
            say = log.debug if outage else log.warning
            say(
                "not sent %s: %s; next try in %.1f s",
                what,
                redacted(why, entry.key),
                ruling.seconds,
            )
