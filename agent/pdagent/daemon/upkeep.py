"""Upkeep: what keeps disk and memory within bounds while the daemon runs.

Clean-ups have a thread of their own: a clean-up of a million files must hold up neither new events
nor the watchdog.
"""

import logging
import time
from collections.abc import Callable

from pdagent import threads
from pdagent.config import Config
from pdagent.daemon.large import give_back
from pdagent.queue.budget import many_pending
from pdagent.queue.cleanup import Cleanup
from pdagent.queue.state import Counters

log = logging.getLogger("main")

AGAIN_SECONDS = 60.0  # after a clean-up that could not begin
WORK_SECONDS = 0.01  # of CPU time between two looks: more is work


class Upkeep:
    """Keeps within bounds what `cleanup` can remove and what `pending` counts."""

    def __init__(
        self, settings: Config, cleanup: Cleanup, counters: Counters, pending: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._cleanup = cleanup
        self._counters = counters
        self._pending = pending
        self._trimmed = counters.delivered  # as many had been delivered at the last trim
        self._crowded = False
        self._cleaning: threads.Thread | None = None
        self._next_sweep = time.monotonic()
        self._worked = 0.0  # seconds of CPU time, at the last look
        self._has_worked = False  # before it
        self._bulletins = 0  # made, at the last look

    def configure(self, settings: Config) -> None:
        """Takes up a new configuration."""
        self._settings = settings

    def sweep_if_due(self, now: float) -> float:
        """Begins a clean-up once it is time. Returns when it is time again."""
        if now >= self._next_sweep:
            begun = self._clean(self._sweep)
            interval = self._settings.cleanup_interval_secs
            self._next_sweep = now + (interval if begun else min(interval, AGAIN_SECONDS))
        return self._next_sweep

    def tick(self) -> None:
        """Once in a while: keeps the disk's budget, and looks whether events pile up."""
        fresh = self._counters.delivered - self._trimmed
        if self._cleanup.disk_is_scarce():
            self._clean(self._cleanup.relieve)
        # Counting stats every file, so the limit may be exceeded by 10 %.
        elif fresh > self._settings.max_delivered_events // 10 and self._clean(self._trim):
            self._trimmed += fresh
        crowd = many_pending(self._pending(), self._settings.pending_warning)
        if crowd and not self._crowded:
            log.warning("%s. They are kept, and sent as soon as they can be.", crowd)
        elif self._crowded and not crowd:
            log.warning("%d events pending: no longer many", self._pending())
        self._crowded = bool(crowd)

    def give_back(self, bulletins: int) -> None:
        """Lets go of the memory that work took, once the work is over. So many `bulletins` were
        made: each of them is work, although it takes hardly any time."""
        # Not at each look: each look would have to read back the memory that was given up before.
        works = time.process_time() - self._worked > WORK_SECONDS
        if not works and (self._has_worked or bulletins != self._bulletins):
            give_back()
        self._has_worked, self._bulletins = works, bulletins
        self._worked = time.process_time()

    def _sweep(self) -> None:
        self._cleanup.sweep(self._settings.cleanup_threshold_secs)
        self._trim()

    def _trim(self) -> None:
        self._cleanup.trim(self._settings.max_delivered_events, self._settings.max_delivered_bytes)

    def _clean(self, task: Callable[[], None]) -> bool:
        if self._cleaning is not None and self._cleaning.is_alive():
            return False
        self._cleaning = threads.start(task, "Cleanup")
        return self._cleaning is not None
