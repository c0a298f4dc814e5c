"""Threads: how all of them are started, and how anything is imported while they run.

A thread that the system refuses must end nothing: whoever wanted it goes on without, and asks
again. The system refuses where a limit (`ulimit -u`, a control group's `pids.max`) or memory is
used up, and both may pass.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger("main")

SAID_SECONDS = 3600.0

# Two threads that import at the same time may need the same modules in different order. Then Python
# gives one of them a module that is not complete ("partially initialized module"), rather than let
# both wait for ever. So whoever imports after the start holds this, and threads import by no other
# way. A test watches for that.
importing = threading.RLock()

_said_at = float("-inf")


def start(task: Callable[[], object], name: str) -> threading.Thread | None:
    """Runs `task` in a thread of its own, which keeps no process from ending. None: the system has
    no thread to give now."""
    thread = threading.Thread(target=lambda: _run(task, name), name=name, daemon=True)
    try:
        thread.start()
    except (RuntimeError, MemoryError) as error:
        _say(name, error)
        return None
    return thread


def _run(task: Callable[[], object], name: str) -> None:
    try:
        task()
    except Exception:  # out of memory, or a bug: its thread ends, and the daemon goes on
        with contextlib.suppress(MemoryError):
            log.exception("internal error in thread %s", name)


def _say(name: str, error: BaseException) -> None:
    # Once in a while: with many events each of them may ask for a thread.
    global _said_at
    now = time.monotonic()
    if now - _said_at >= SAID_SECONDS:
        _said_at = now
        why = str(error) or "out of memory"
        log.warning("no thread for %s: %s; going on with those that run", name, why)
