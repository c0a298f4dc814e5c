"""A post: one request on its way, with its deadline. Any thread may cut it off."""

import contextlib
import math
import socket
import time
from contextlib import AbstractContextManager

# In place of `away`: whoever posts keeps its place while it waits for the other side.
NOT_AWAY = contextlib.nullcontext()


class Post:
    """One request on its way. `deadline` is in monotonic seconds. A `fresh` post needs a connection
    that has carried nothing. `with away`, others work while the post waits for the other side."""

    __slots__ = ("away", "begun", "deadline", "fresh", "overdue", "reused", "sent", "twin")

    def __init__(
        self,
        deadline: float,
        fresh: bool = False,
        away: AbstractContextManager[None] = NOT_AWAY,
    ) -> None:
        self.deadline = deadline
        self.fresh = fresh
        self.away = away
        self.twin: socket.socket | None = None  # of its connection's socket, for another thread
        self.begun = False  # its first bytes may have gone out
        self.sent = False  # True once the kernel has taken all of it
        self.reused = False  # True if its connection has carried another post
        self.overdue = False  # True once its time is up, or it was cut off

    def left(self, most: float = math.inf) -> float:
        """Seconds until the deadline, `most` at most. Raises TimeoutError if there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0 or self.overdue:
            self.overdue = True
            raise TimeoutError("timed out")
        return min(left, most)

    def abort(self) -> None:
        """Called by another thread: whatever this post waits for on its socket fails now."""
        self.overdue = True
        if self.twin is not None:
            with contextlib.suppress(OSError):  # the socket is closed already
                self.twin.shutdown(socket.SHUT_RDWR)
