"""Renewals: expectations as their senders put them into `expect/`."""

import os
import time
from collections.abc import Callable

from pdagent.queue.layout import EXPECT, WAKE_LINE
from pdagent.spool import Spool, poke, wake_fifo
from pdagent.threads import pause

_LOOK_SECONDS = 0.005


class ExpectationSpool(Spool):
    """A spool to put an expectation in: as an event, but into another directory."""

    __slots__ = ("_name_there",)
    place = EXPECT

    def __init__(self, root: str, clock_ns: Callable[[], int] = time.time_ns) -> None:
        super().__init__(root, clock_ns)
        self._name_there = ""  # the file's name, once a daemon was told of it

    def wake(self, name: str) -> bool:
        heard = poke(wake_fifo(self.root), f"\n{WAKE_LINE}\n".encode())
        self._name_there = name if heard else ""
        return heard

    def see_taken(self, seconds: float) -> None:
        """Waits until the daemon has taken the expectation over, if a daemon runs, for `seconds` at
        most."""
        deadline = time.monotonic() + seconds
        path = f"{self.root}/{EXPECT}/{self._name_there}"
        while self._name_there and os.path.lexists(path) and time.monotonic() < deadline:
            pause(_LOOK_SECONDS)


class TheirSpool(ExpectationSpool):
    """A spool in which root puts an expectation as if the user `owner` did."""

    __slots__ = ("_owner",)

    def __init__(self, root: str, owner: int) -> None:
        super().__init__(root)
        self._owner = owner

    def _create(self, key: str) -> tuple[int, str]:
        fd, path = super()._create(key)
        try:
            os.fchown(fd, self._owner, -1)  # not the path: its directory is not root's
        except OSError:
            os.close(fd)
            os.unlink(path)
            raise
        return fd, path
