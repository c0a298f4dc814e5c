"""Settlement: an event leaves `pdq/`, delivered or in error, and is counted.

Called by all workers, and by the daemon's main thread for entries that are no events.
"""

import logging
import threading
import time
from collections.abc import Callable

from pdagent.backlog import Backlog
from pdagent.log import masked_name
from pdagent.spool import DELIVERED, IN_ERROR, PENDING
from pdagent.state import Counters, Reason, State, iso

log = logging.getLogger("pdagent.settlement")


class Settlement:
    """Settles entries of the backlog. `wall` gives seconds since the epoch."""

    def __init__(
        self,
        backlog: Backlog,
        state: State,
        counters: Counters,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._backlog = backlog
        self._state = state
        self._counters = counters
        self._wall = wall
        self._lock = threading.Lock()
        self._stuck: dict[str, str] = {}  # not to be moved to this directory, said once

    def __contains__(self, name: str) -> bool:
        """Whether an entry of pdq/ is settled, must not be sent, but could not be moved."""
        return name in self._stuck

    def delivered(self, name: str) -> None:
        """PagerDuty has it."""
        with self._lock:
            self._counters.delivered += 1
        self._move(name, DELIVERED)

    def in_error(self, name: str, why: str, status: int | None = None, attempts: int = 0) -> None:
        """It will not be sent again unless a person says so. Its reason is kept first, so that no
        event in error is without."""
        with self._lock:
            self._counters.refused += 1
        self._state.keep_reason(name, Reason(iso(self._wall()), status, why, attempts))
        self._move(name, IN_ERROR)

    def tidy(self) -> None:
        """Tries again to move what could not be moved."""
        for name, directory in list(self._stuck.items()):
            self._move(name, directory)

    def _move(self, name: str, directory: str) -> None:
        try:
            if directory == DELIVERED:
                self._backlog.settle_delivered(name)
            else:
                moved = self._backlog.settle_in_error(name)
                if moved != name:
                    self._state.move_reason(name, moved)
        except FileNotFoundError:
            pass  # somebody removed it meanwhile
        except OSError as error:
            if name not in self._stuck:
                log.error(
                    "cannot move %s from %s to %s: %s; it stays there and is not sent",
                    masked_name(name),
                    PENDING,
                    directory,
                    error.strerror,
                )
            self._stuck[name] = directory
            return
        self._stuck.pop(name, None)
