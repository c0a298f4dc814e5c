"""Absence: when a post that waits for its answer is away, which means that other posts go on
meanwhile.

- When a post goes away, threads switch, and that costs a good part of what an event costs. Where
  the last answer on a connection came at once, the next one will too, and others could do little in
  the meantime. Such a post first waits in its place. If its answer is slow after all, that keeps
  others from their work for PATIENCE_SECONDS.
- Most answers come whole. With one in parts the post stays away until its end: if it came back for
  each part, it would keep others from their work as often as the other side likes.
"""

import contextlib
import math
import time
from collections.abc import Callable

from pdagent.wire.post import Post

# An answer comes at once if it takes no longer than the work for one event.
QUICK_SECONDS = 0.0005
PATIENCE_SECONDS = 0.001  # the shortest time that poll(2) waits

# Is handed how many bytes to receive at most, and how many seconds to wait at most. Raises
# TimeoutError after that, or when the time of the post is up.
Receive = Callable[[int, float], bytes]


class Absence:
    """When the posts of one connection are away."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._was_quick = False

    def receiver(
        self, receive: Receive, post: Post, rest: contextlib.ExitStack
    ) -> Callable[[int], bytes]:
        """What receives the answer for this post. Once the answer has come in parts, the post is
        away until `rest` ends."""
        parts = 0

        def receive_part(size: int) -> bytes:
            nonlocal parts
            parts += 1
            if parts == 1:
                return self._first(receive, size, post)
            if parts == 2:
                rest.enter_context(post.away)
            return receive(size, math.inf)

        return receive_part

    def _first(self, receive: Receive, size: int, post: Post) -> bytes:
        began = self._monotonic()
        try:
            if self._was_quick:
                with contextlib.suppress(TimeoutError):
                    return receive(size, PATIENCE_SECONDS)
            with post.away:
                return receive(size, math.inf)
        finally:
            self._was_quick = self._monotonic() - began <= QUICK_SECONDS
