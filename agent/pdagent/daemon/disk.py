"""The disk: work on the files of events, which keeps nobody while the disk is slow."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

# A file is opened, read or moved in a fiftieth of this, where the disk has it in its memory.
SLOW_SECONDS = 0.002


class Disk:
    """`with disk.used()`, the disk is used by one worker. To be `away` for each use would cost more
    than most uses take, since threads switch then. A disk that was slow a moment ago will be slow
    again. So whoever uses it then is away meanwhile, until one use was quick."""

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
