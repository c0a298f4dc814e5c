"""Settlement: an event leaves `pdq/`, delivered or in error, and is counted.

Called by all workers.
"""

import logging
import threading
import time
from collections.abc import Callable

from pdagent.queue.backlog import Backlog
from pdagent.queue.state import Counters, Reason, State, iso
from pdagent.shown import masked_name
from pdagent.spool import DELIVERED, IN_ERROR, PENDING

log = logging.getLogger("pdagent.settlement")

UNWRITTEN_MOST = 1000  # reasons kept in memory while the disk is full


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
        # Events that could not be moved, with the directory and the name that they would get there.
        # The log names each of them once.
        self._stuck: dict[str, tuple[str, str]] = {}
        self._obstacle = ("", "")  # the directory that the last of them did not get into, and why
        # Events in error whose reason could not be written yet.
        self._unwritten: dict[str, Reason] = {}
        self._retried: set[str] = set()  # pending, with the reason of their first failure

    def __contains__(self, name: str) -> bool:
        """Whether an entry of pdq/ is settled but could not be moved, so that it must not be
        sent."""
        return name in self._stuck

    @property
    def obstacle(self) -> tuple[str, str]:
        """The directory that settled events do not get into, and why; empty if all do."""
        return self._obstacle if self._stuck else ("", "")

    def retried(self, names: list[str]) -> set[str]:
        """Those of the names in pdq/ that were in error before: their reason is kept until they
        are settled anew."""
        found = self._state.with_reason(names)
        with self._lock:
            self._retried |= found
        return found

    def delivered(self, name: str) -> None:
        """PagerDuty has it."""
        with self._lock:
            self._counters.delivered += 1
        self._backlog.tell(name)
        if name in self._retried:
            self.gone(name)
        self._move(name, DELIVERED)

    def gone(self, name: str) -> None:
        """A pending event has left the queue, so its reason is no longer needed."""
        with self._lock:
            if name not in self._retried:
                return
            self._retried.discard(name)
            # A stale wake-up may name an event that was set aside meanwhile. Then the reason
            # belongs to the event in err/, and must stay.
            if self._backlog.name_in_error(name) == name:
                self._state.drop_reason(name)

    def in_error(
        self,
        name: str,
        why: str,
        status: int | None = None,
        attempts: int = 0,
        durable: bool = True,
    ) -> None:
        """The event will not be sent again unless a person says so. Its reason is written first, so
        that no event in error lacks one. The reason of a file that was never accepted need not be
        `durable`: anyone can make thousands of such files, and an fsync for each would hold up the
        disk for all."""
        with self._lock:
            self._counters.refused += 1
        # The reason is kept under the name that the event gets in err/: another event may have the
        # event's own name there.
        there = self._backlog.name_in_error(name)
        reason = Reason(iso(self._wall()), status, why, attempts)
        # A reason that can't be written now is written later. The event must not hold up others
        # meanwhile.
        if self._state.keep_reason(there, reason, durable):
            self._unwritten.pop(there, None)
        elif len(self._unwritten) < UNWRITTEN_MOST:
            self._unwritten[there] = reason
        self._backlog.tell(name, why)
        with self._lock:
            self._retried.discard(name)
        # crash here: the event is sent, and settled, once more. A reason that is left over goes
        # with a later clean-up.
        self._move(name, IN_ERROR, there)

    @property
    def is_tidy(self) -> bool:
        """Whether `tidy` would have nothing to do."""
        return not (self._stuck or self._unwritten)

    def tidy(self) -> None:
        """Tries again to move what could not be moved, and to write what could not be written."""
        for name, (directory, there) in list(self._stuck.items()):
            self._move(name, directory, there)
        for name, reason in list(self._unwritten.items()):
            if not self._state.keep_reason(name, reason):
                break  # the others can't be written either
            self._unwritten.pop(name, None)

    def _move(self, name: str, directory: str, there: str = "") -> None:
        try:
            if directory == DELIVERED:
                self._backlog.settle_delivered(name)
            else:
                # crash between the move and the renaming of the reason: the event has no reason.
                # It takes another entry that got the name `there` a moment ago.
                moved = self._backlog.settle_in_error(name, there=there)
                if moved != there:  # things have changed in err/ meanwhile
                    self._state.move_reason(there, moved)
                    if there in self._unwritten:
                        self._unwritten[moved] = self._unwritten.pop(there)
        except IsADirectoryError:
            # Its owner has put a directory in its place meanwhile. Directories stay in pdq/.
            log.warning("%s is a directory now: it is left there", masked_name(name))
        except OSError as error:
            # Somebody may have removed the directory that it was to get into.
            if not isinstance(error, FileNotFoundError) or self._backlog.seen(name) is not None:
                self._keep_in_mind(name, directory, there, error)
                return
            # A person removed it while it was on its way, or being looked at.
            log.info("%s was removed from the queue before it was settled", masked_name(name))
            if directory == IN_ERROR:
                self._unwritten.pop(there, None)
                self._state.drop_reason(there)
        self._stuck.pop(name, None)

    def _keep_in_mind(self, name: str, directory: str, there: str, error: OSError) -> None:
        if name not in self._stuck:
            log.error(
                "cannot move %s from %s to %s: %s; it stays there and is not sent",
                masked_name(name),
                PENDING,
                directory,
                error.strerror,
            )
        self._stuck[name] = directory, there
        self._obstacle = directory, error.strerror or str(error)
