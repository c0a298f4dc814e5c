"""Activity: which workers work, and which are away, waiting for somebody else.

No two threads run Python at once. Two that work beside each other hand the interpreter's lock to
and fro at each system call, and a switch between threads costs more than what it switches to. So
one worker works at a time, as far as that can be had:

- An event is taken only while nobody works, or is about to come back.
- Whoever goes away, until an answer comes or a slow disk is done, has somebody else go on.
- Whoever comes back waits until the one who works goes away, or is done.

So as many events are on their way as the time of an answer has room for (Little's law). Nothing
waits for long: see RETURN_SECONDS and SLOW_SECONDS.
"""

import contextlib
import threading
import time
from collections.abc import Callable

# Whoever comes back waits for this long at most.
RETURN_SECONDS = 0.05
# Only a disk that hangs, or a bug, keeps a worker at work for this long. It no longer counts then.
SLOW_SECONDS = 0.5


class Activity:
    """Which workers work. `with` an activity, the worker that runs is away. Whenever a worker goes
    away, `call` is called, under the `lock`. All other methods are called while it is held."""

    def __init__(
        self,
        lock: threading.RLock,
        call: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = lock
        self._call = call
        self._monotonic = monotonic
        self._since: dict[int, float] = {}  # who works, by thread
        self._returning = 0
        self._free = threading.Condition(lock)

    def is_any(self) -> bool:
        """Whether a worker works or is about to: it will soon take an event, or have one taken."""
        if self._returning:
            return True
        if not self._since:
            return False
        late = self._monotonic() - SLOW_SECONDS
        return any(since > late for since in self._since.values())

    def begin(self) -> None:
        """The worker that runs works from now on."""
        self._since[threading.get_ident()] = self._monotonic()

    def end(self) -> None:
        """The worker that runs works no longer."""
        self._since.pop(threading.get_ident(), None)
        if self._returning:
            with contextlib.suppress(MemoryError):  # then it comes back by itself, a little later
                self._free.notify()

    def __enter__(self) -> None:
        # Without the memory to call somebody the worker goes away all the same: its request may be
        # on its way. `Workers.tend` calls somebody, a little later.
        with self._lock, contextlib.suppress(MemoryError):
            self.end()
            self._call()

    def __exit__(self, *_: object) -> None:
        # Without the memory for this the worker goes on all the same: it may hold an answer.
        with self._lock, contextlib.suppress(MemoryError):
            if self.is_any():
                self._wait()
            self.begin()

    def _wait(self) -> None:
        self._returning += 1
        try:
            self._free.wait(RETURN_SECONDS)
        finally:
            self._returning -= 1
