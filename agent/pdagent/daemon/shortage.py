"""Shortage: the host has too little of something now, and may have enough again.

What waits for that goes on later. Any other error that nobody expected is a bug of ours: going on
would hide it, so it ends its thread with a traceback, and where it is the main thread, the daemon.
"""

import errno

from pdagent.queue.opening import SHORTAGES

ENDURE_SECONDS = 1.0  # between two tries, where the host is short of something
_OF_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.ENOBUFS)


def is_shortage(error: Exception) -> bool:
    """Whether the error says that memory, descriptors or room run short."""
    number = error.errno if isinstance(error, OSError) else None
    return isinstance(error, MemoryError) or number in SHORTAGES + _OF_ROOM
