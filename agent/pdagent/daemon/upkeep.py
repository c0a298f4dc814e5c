"""Upkeep: disk and memory are kept within bounds while the daemon runs.

Clean-ups have a thread of their own. To clean up a million files takes long, and must hold up
neither new events nor the watchdog.
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
GIVE_BACK_LOOKS = 2  # after work: the first look takes some memory itself, the second gives it back
WORK_SECONDS = 0.01  # with more CPU time than this between two looks, the daemon has worked


class Upkeep:
    """Keeps the spool within bounds, by `cleanup`. `pending` gives the number of pending events."""

    def __init__(
        self, settings: Config, cleanup: Cleanup, counters: Counters, pending: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._cleanup = cleanup
        self._counters = counters
        self._pending = pending
        self._trimmed = counters.delivered  # how many had been delivered at the last trim
        self._crowded = False
        self._cleaning: threads.Thread | None = None
        self._next_sweep = time.monotonic()
        self._worked = 0.0  # the process's seconds of CPU time at the last look
        self._quiet_looks = GIVE_BACK_LOOKS  # how many there were since it has worked
        self._bulletins = 0  # how many bulletins had been made at the last look

    def configure(self, settings: Config) -> None:
        """Takes up a new configuration."""
        self._settings = settings

    def sweep_if_due(self, now: float) -> float:
        """Begins a clean-up if it is time. Returns when it is time again."""
        if now >= self._next_sweep:
            begun = self._clean(self._sweep)
            interval = self._settings.cleanup_interval_secs
            self._next_sweep = now + (interval if begun else min(interval, AGAIN_SECONDS))
        return self._next_sweep

    def tick(self) -> None:
        """Called once in a while: keeps the disk within its budget, and looks whether events pile
        up."""
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
        """Gives memory back to the system once the work is over that needed it. `bulletins` is how
        many were made until now: a bulletin is work, although it takes hardly any time."""
        # A look needs some memory. If each look gave it back, the next one would ask for it again.
        if time.process_time() - self._worked > WORK_SECONDS:
            self._quiet_looks = 0
        else:
            self._quiet_looks = 1 if bulletins != self._bulletins else self._quiet_looks + 1
            if self._quiet_looks <= GIVE_BACK_LOOKS:
                give_back()
        self._bulletins = bulletins
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
