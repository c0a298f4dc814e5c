"""Threads: how all of them are started, how they pause, and how they import anything.

The system may refuse a thread, where a limit (`ulimit -u`, a control group's `pids.max`) or memory
is used up. That may pass, and nothing ends because of it: whoever wanted the thread goes on without
it, and asks again.
"""

import _thread
import contextlib
import logging
import select
import threading
import time
import weakref
from collections.abc import Callable

log = logging.getLogger("main")

SAID_SECONDS = 3600.0
JOIN_SECONDS = 0.01

# Two threads that import at the same time may need the same modules in different order. So that
# they do not wait for each other for ever, Python then gives one of them an incomplete module
# ("partially initialized module"). To avoid that, whoever imports after the start holds this lock.
# A test sees to it.
importing = threading.RLock()

_said_at = float("-inf")


class Thread:
    """A thread that runs `task`, and keeps no process from ending. Raises RuntimeError or
    MemoryError where the system has none to give.

    Python's own class waits until the new thread says that it runs. If memory is so short that it
    can't even say that, its creator waits for ever.
    """

    def __init__(self, task: Callable[[], object], name: str) -> None:
        token = _Token()
        # Nobody but the new thread holds the token, however early it ends.
        self._token = weakref.ref(token)
        _thread.start_new_thread(_run, (token, task, name))

    def is_alive(self) -> bool:
        """Whether the task still runs."""
        return self._token() is not None

    def join(self, seconds: float) -> None:
        """Waits for its end, but no longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while self.is_alive() and time.monotonic() < deadline:
            pause(JOIN_SECONDS)


class _Token:
    __slots__ = ("__weakref__",)


def start(task: Callable[[], object], name: str) -> Thread | None:
    """Runs `task` in a thread of its own. None: the system has no thread to give now."""
    try:
        return Thread(task, name)
    except (RuntimeError, MemoryError) as error:
        with contextlib.suppress(MemoryError):
            _say(name, error)
        return None


def pause(seconds: float) -> None:
    """Waits for `seconds`, by a clock that nobody can step.

    `time.sleep` waits until a moment of the monotonic clock. Where a library fakes the clock
    (libfaketime, say), that moment may not exist, and `time.sleep` raises OSError.
    """
    select.select((), (), (), seconds)


def _run(token: _Token, task: Callable[[], object], name: str) -> None:
    try:
        with contextlib.suppress(MemoryError):  # whoever started it counts on the task
            threading.current_thread().name = name
        task()
    except Exception:  # out of memory, or a bug: its thread ends, and the daemon goes on
        with contextlib.suppress(MemoryError):
            log.exception("internal error in thread %s", name)
    finally:
        # A traceback that somebody keeps would keep this frame, and the token with it.
        del token


def _say(name: str, error: BaseException) -> None:
    # This is said once in a while only, since each of many events may ask for a thread.
    global _said_at
    now = time.monotonic()
    if now - _said_at >= SAID_SECONDS:
        why = str(error) or "out of memory"
        log.warning("no thread for %s: %s; going on with those that run", name, why)
        _said_at = now  # only now: there may have been no memory for the line above
