"""Workers: the threads that take events from the scheduler and handle them.

Workers are made as there is work for them: at most `max_connections`, and a few to spare (see
`schedule.turns`). They end when there has been no work for a while, so an idle daemon has no thread
that wakes. One lock guards the scheduler. Events are handled without the lock, and no thread holds
it for longer than BATCH names take.
"""

import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from itertools import count

from pdagent import threads
from pdagent.config import Config, shown_url
from pdagent.daemon.activity import Activity
from pdagent.daemon.handling import Handling
from pdagent.queue.backlog import Backlog
from pdagent.queue.history import LOGGER
from pdagent.queue.holds import Figures, Held
from pdagent.queue.keys import lane
from pdagent.queue.names import key_of
from pdagent.queue.settlement import Settlement
from pdagent.schedule.entry import Entry
from pdagent.schedule.limits import Limits
from pdagent.schedule.scheduler import ODD, Scheduler
from pdagent.schedule.turns import SPARE
from pdagent.shown import masked_name

log = logging.getLogger(LOGGER)

LINGER_SECONDS = 10.0
BATCH = 1000
# How soon after a post began `tend` has to see it, to cut it off at its deadline.
NOTICE_SECONDS = 10.0
RENEW_SECONDS = 3.0  # how long a reload waits for posts, and all events with it
LAST_SECONDS = 0.5  # for those who were cut off, at the end
# Holds are told at most this often, and so that the telling takes a hundredth of the time.
TELL_SECONDS = 1.0
TELL_SHARE = 0.01


class Workers:
    """Sends the events that are added, until it is stopped. `nudge` makes the main thread call
    `tend` earlier than `tend` last told it to. `tend` calls `tell` when what is held has
    changed."""

    def __init__(
        self,
        settings: Config,
        backlog: Backlog,
        settlement: Settlement,
        nudge: Callable[[], None],
        tell: Callable[[Held], None],
    ) -> None:
        self._settings = settings
        self._settlement = settlement
        self._nudge = nudge
        self._tend_at = 0.0  # when the main thread calls `tend` next, as far as it knows
        self._tell = tell
        self._told = -1  # how many of the scheduler's changes were told
        self._tell_at = 0.0
        self._scheduler = Scheduler(_limits(settings), _chance)
        self._claimed = 0
        self._renewing = False  # True until the events are in the lanes of a new configuration
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._threads: dict[int, threads.Thread] = {}  # by the worker's number
        self._idle = 0
        self._called = False  # True until the worker that was called has looked for an event
        self._activity = activity = Activity(lock, self._call_worker)
        self._stopping = False
        self._handling = Handling(
            settings, backlog, settlement, self._scheduler, self._changed, activity
        )
        self.tally = self._handling.tally
        self.passage = self._handling.path.passage
        self.origins = self._handling.origins
        self.left_out = 0  # pending events that are not kept in mind

    # --- from the thread that learns of arrivals --------------------------------------------------

    def knows(self, name: str) -> bool:
        """Whether an entry of pdq/ needs no adding: it is pending here, or could not be moved."""
        return name in self._scheduler or name in self._settlement

    def pending_of(self, owner: int) -> int:
        """How many events of this user are pending here."""
        with self._changed:
            return self._scheduler.turns.pending(owner, owner == os.geteuid())

    @property
    def owners(self) -> int:
        """How many users have events pending."""
        with self._changed:
            return self._scheduler.turns.owners

    def add(self, arrived: Sequence[tuple[str, int]]) -> None:
        """Adds names that were found in pdq/ and their owners, in the order of their acceptance.
        None of them may be known."""
        retried = self._settlement.retried([name for name, _ in arrived])
        arrived = self.origins.owned(arrived)
        for start in range(0, len(arrived), BATCH):
            with self._changed:
                self.tally.count_accepted(self._line_up(arrived[start : start + BATCH], retried))
                self._call_worker()

    def finished(self, name: str) -> None:
        """The sender of a known event is done with it."""
        with self._changed:
            self._scheduler.finish(name)
            self._call_worker()

    def lane(self, name: str) -> str:
        """The lane of an event's name, whatever the configuration calls its key."""
        return lane(key_of(name) or "", self._settings)

    def _line_up(self, arrived: Sequence[tuple[str, int]], retried: Collection[str]) -> int:
        """Hands names to the scheduler. Returns how many of them are events'."""
        events = 0
        for name, owner in arrived:
            key = key_of(name)
            if key is None:
                # It is no event, and is set aside in its owner's turn.
                self._scheduler.add(name, f"{ODD}{owner}", False, owner)
            else:
                self._scheduler.add(name, lane(key, self._settings), name in retried, owner)
                events += 1
        return events

    # --- from the daemon's main thread ----------------------------------------------------------

    def configure(self, settings: Config) -> None:
        """Takes up a new configuration, from the next event on."""
        with self._changed:
            if _differs(settings, self._settings):
                self._renewing = True
                self._handling.path.hurry(time.monotonic() + RENEW_SECONDS)
            self._settings = settings
        self._handling.configure(settings)
        with self._changed:
            self._scheduler.configure(_limits(settings))
            self._renew()
            self._call_worker()

    def _renew(self) -> None:
        # Names of keys mean other keys now, so events belong into other lanes. Once nothing is on
        # its way, all start anew, as after a restart: in the order of their names, without holds.
        if self._renewing and not self._claimed:
            self._renewing = False
            pending, retried = self._scheduler.pending(), self._scheduler.retried()
            self._scheduler = Scheduler(_limits(self._settings), _chance)
            self._handling.start_over(self._scheduler)
            self._told = -1  # the new scheduler counts its changes from 0
            self._line_up(pending, retried)

    def tend(self, now: float) -> float | None:
        """Cuts off overdue posts, and calls workers for events whose holds have ended. Returns when
        to call again, in monotonic seconds; None: not before something is added."""
        self._handling.path.abort_overdue(now)
        self._tell_holds(now)
        with self._changed:
            due = self._due(now)
            for number, thread in list(self._threads.items()):
                if not thread.is_alive():  # it had too little memory to take itself off the list
                    del self._threads[number]
            self._called = False
            self._call_worker()
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
        """Waits until the events that are on their way have arrived, for `patience` seconds at
        most. Returns whether all have arrived. The others stay pending."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._join(patience)
        arrived = not self._threads
        if not arrived:
            self._handling.path.abort_all()
            self._join(LAST_SECONDS)  # nothing can end the look-up of a name
        return arrived

    def _join(self, seconds: float) -> None:
        """Waits for the end of all threads, `seconds` altogether at most."""
        deadline = time.monotonic() + seconds
        for thread in list(self._threads.values()):
            thread.join(max(0.0, deadline - time.monotonic()))

    @property
    def pending(self) -> int:
        """How many events are pending, those included that are not kept in mind."""
        return len(self._scheduler) + self.left_out

    def say_rest(self) -> None:
        """Logs how many lines were left out about files that anyone may have made."""
        self._handling.denied.say_rest()
        self._handling.unfit.say_rest()

    @property
    def oldest(self) -> str | None:
        """The name of the oldest pending event."""
        with self._changed:
            return self._scheduler.oldest

    def figures(self) -> Figures:
        """The scheduler in figures. Any thread may ask."""
        with self._changed:
            return self._scheduler.figures()

    def reach(self) -> dict[str, float | None]:
        """By the address that a person may see: since when each relay of the configuration is not
        reached, in monotonic seconds. None: it is reached, as far as the last events show."""
        with self._changed:
            settings, lost = self._settings, self._scheduler.relays.lost()
            if not settings.events_url:
                return {}
            if len(settings.base_urls) == 1 and (outage := self._scheduler.unreachable) is not None:
                lost = {settings.base_urls[0]: outage.since}
            return {shown_url(url): lost.get(url) for url in settings.base_urls}

    # --- in the workers' threads ----------------------------------------------------------------

    def _call_worker(self) -> None:
        # To call one worker is enough, since a worker that finds an event has the next one called
        # when it goes away. Only a claim decides whether an event may go, so a worker may find
        # nothing. That costs one wake-up.
        if self._called or self._activity.is_any():
            return
        if not self._scheduler.has_work(time.monotonic()):
            return
        if self._idle:
            self._changed.notify()
            self._called = True
        elif len(self._threads) < self._settings.max_connections + SPARE:
            number = next(n for n in count(1) if n not in self._threads)
            thread = threads.start(lambda: self._work(number), f"Worker-{number}")
            if thread is not None:  # otherwise the threads that run do the work
                self._threads[number] = thread
                self._called = True

    def _work(self, number: int) -> None:
        try:
            while (entry := self._next(number)) is not None:
                try:
                    self._handling.handle(entry)
                except Exception:  # a bug may delay one event, but must not end a worker
                    # This comes first, since there may be too little memory for the log.
                    self._handling.try_again(entry)
                    log.exception("internal error with %s; trying again", masked_name(entry.name))
                finally:
                    with self._changed:
                        self._claimed -= 1
                        self._activity.end()
                        self._renew()
        except BaseException:
            with self._changed:
                self._threads.pop(number, None)
                self._activity.end()
                self._called = False
            raise

    def _next(self, number: int) -> Entry | None:
        with self._changed:
            lingered = False
            while not self._stopping:
                self._called = False
                now = time.monotonic()
                entry = self._claim(now)
                # Nobody but this worker knows of the event, so it must not die of this. Without the
                # memory for it the main thread looks by itself, a little later.
                with contextlib.suppress(MemoryError):
                    self._nudge_if_due(now, entry is not None)
                if entry is not None:
                    self._claimed += 1
                    return entry
                # This claim has seen all that was added, or whose hold ended, while this thread
                # waited for the lock. Whoever adds an event later finds this thread counted as
                # idle, and calls it.
                if lingered:
                    break
                self._idle += 1
                try:
                    lingered = not self._changed.wait(LINGER_SECONDS)
                finally:
                    self._idle -= 1
            # This is done before the lock is released, so that the next caller does not count on
            # this thread.
            self._threads.pop(number, None)
            return None

    def _claim(self, now: float) -> Entry | None:
        # Who works will claim, or have another one called, as soon as it is done or goes away.
        if self._renewing or self._activity.is_any():
            return None
        self._activity.begin()
        entry = self._scheduler.claim(now)
        if entry is None:
            self._activity.end()
        return entry

    def _nudge_if_due(self, now: float, busy: bool) -> None:
        # The main thread sleeps until the moment that was due when it last asked. A hold or a post
        # that began since may be due earlier.
        due = min(self._due(now), now + NOTICE_SECONDS if busy else math.inf)
        if due < self._tend_at:
            self._nudge()
            self._tend_at = due


def _limits(settings: Config) -> Limits:
    return Limits(
        float(settings.backoff_interval_secs),
        settings.retry_limit_for_possible_errors,
        settings.max_connections,
        settings.max_per_key,
        settings.relays,
    )


def _differs(new: Config, old: Config) -> bool:
    """Whether events belong into other lanes, or go to other relays, than before."""
    return new.keys != old.keys or new.relays != old.relays


def _chance() -> float:
    # This gives what random.random() would. That module would cost an idle daemon 300 kB.
    return int.from_bytes(os.urandom(6), "big") / 2**48
