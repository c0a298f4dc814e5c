"""Arrivals: how the daemon learns of events, by names on the wake FIFO and by looks at pdq/.

Anyone may write to the FIFO and add files. The main thread does this work.
"""

import contextlib
import fcntl
import logging
import os
from collections.abc import Callable

from pdagent import log as logs
from pdagent.config import Config
from pdagent.daemon.workers import Workers
from pdagent.queue.backlog import Backlog
from pdagent.queue.layout import CannotRun, make_directories, open_wake
from pdagent.queue.names import key_of
from pdagent.queue.settlement import Settlement
from pdagent.spool import PENDING

log = logging.getLogger("main")

WAKE_BYTES = 65_536


class Arrivals:
    """Hands what arrives in the spool to `workers`. `fd` is readable after a sender's wake; from
    construction on the FIFO has a reader, which is how others know that a daemon runs. `asked` is
    called when somebody asks how things stand."""

    def __init__(
        self,
        settings: Config,
        backlog: Backlog,
        settlement: Settlement,
        workers: Workers,
        asked: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._backlog = backlog
        self._settlement = settlement
        self._workers = workers
        self._asked = asked
        self.fd = open_wake(settings.spool_dir)

    def scan(self, always: bool = False) -> None:
        """Looks at the whole directory, if it has changed since the last look, or `always`."""
        try:
            if self._backlog.changed() or always:
                events, others = self._backlog.scan()
                self._workers.add(events)
                self._set_aside(others)
        except OSError as error:
            log.error("cannot look into %s/%s: %s", self._backlog.root, PENDING, error.strerror)
            with contextlib.suppress(CannotRun):
                make_directories(self._settings)

    def _set_aside(self, names: list[str]) -> None:
        for name in names:
            if name not in self._settlement:
                log.warning("in error: %s: Badly named event", logs.masked_name(name))
                self._workers.tally.count_refused("unreadable")
                self._settlement.in_error(name, "its name is not an event's")

    def woken(self) -> None:
        """Takes the names that senders wrote to the FIFO."""
        try:
            data = os.read(self.fd, WAKE_BYTES)
        except BlockingIOError:
            return
        # Anyone may write anything here: what is not the name of a pending event is dropped.
        lines = data.split(b"\n")[:-1]
        names = [os.fsdecode(line) for line in lines if line and b"/" not in line]
        names = [n for n in names if key_of(n) is not None and self._backlog.has(n)]
        # An empty line is somebody who asks how things stand (see queue.condition). A name that is
        # not there may be the first sign of a queue that the service can no longer look into.
        if len(names) < len(lines):
            self._asked()
        if len(data) >= self._wake_room:
            # The FIFO may have been full: a sender that found no room has linked its file before
            # that, so this scan sees it, and sees it before the names that came after.
            self.scan(always=True)
        self._workers.add(names)

    @property
    def _wake_room(self) -> int:
        # A write that finds no page of its own free fails, so a full FIFO may hold less than its
        # size.
        return min(WAKE_BYTES, fcntl.fcntl(self.fd, fcntl.F_GETPIPE_SZ)) * 3 // 4
