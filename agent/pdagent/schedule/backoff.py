"""Backoff: how long to wait before the next try.

Exponential with full jitter: before try n + 1, a random time between nothing and min(cap, 2**n)
seconds. The range begins at nothing, since events that failed together would otherwise come back
together (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog). A success goes one
step down, not back to the start, so that a server that answers only now and then is not hammered.
"""

from collections.abc import Callable

FIRST_SECONDS = 1.0
_STEPS_MOST = 32  # 2**32 s is past any cap, so the power need not get larger


class Backoff:
    """The waiting times of one thing that fails: a chain, a key or the destination. `random` gives
    floats in [0, 1)."""

    __slots__ = ("_random", "step")

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self.step = 0

    def failed(self, cap: float) -> float:
        """Seconds to wait after one more failure, `cap` at most."""
        longest: float = min(cap, FIRST_SECONDS * 2**self.step)
        self.step = min(self.step + 1, _STEPS_MOST)
        return longest * self._random()

    def succeeded(self) -> None:
        """Goes one step down."""
        self.step = max(0, self.step - 1)
