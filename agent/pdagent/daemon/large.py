"""Large files: while one is parsed no other thread runs, and it takes up to 50 MB for a while.

Anyone may make many of them. So one is read at a time, and parsing takes a quarter of the time at
most. The memory is given back to the system at once: libc keeps free memory for each thread, and
with 36 threads that came to 280 MB.
"""

import contextlib
import threading
import time

from pdagent.threads import importing, pause

PAUSES = 3  # the pause after each file, in times that its parsing took
PAUSE_MOST = 1.0
WORK_SECONDS = 0.005  # a file that took less was small


class Turn:
    """A lock that is held while a large file is read and understood."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = 0.0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._began = time.thread_time()

    def __exit__(self, *_: object) -> None:
        took = time.thread_time() - self._began
        try:
            if took > WORK_SECONDS:
                give_back()
            pause(min(PAUSE_MOST, took * PAUSES))
        finally:
            self._lock.release()


def give_back() -> None:
    """Gives free memory back to the system."""
    # Only the packaged program's Python has this module.
    with contextlib.suppress(ImportError), importing:
        from _pages import release  # type: ignore[import-not-found]

        release()
