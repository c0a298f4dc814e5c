"""The disk: work on the files of events, which keeps nobody waiting while the disk is slow."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

# A file that is in the kernel's memory is opened, read or moved in a fiftieth of this.
SLOW_SECONDS = 0.002


class Disk:
    """A worker uses the disk inside `with disk.used():`. To be `away` for each use would cost more
    than most uses take, since threads switch then. But a disk that was slow a moment ago will be
    slow again. So after a slow use, workers are away while they use it, until one use was quick."""

    def __init__(
        self, away: AbstractContextManager[None], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._away = away
        self._monotonic = monotonic
        self._quick: AbstractContextManager[None] = nullcontext()
        self._was_slow = False

    @contextmanager
    def used(self) -> Iterator[None]:
        """For one use, which may raise whatever it likes. Any thread may be in it."""
        with self._away if self._was_slow else self._quick:
            began = self._monotonic()
            try:
                yield
            finally:
                self._was_slow = self._monotonic() - began > SLOW_SECONDS
