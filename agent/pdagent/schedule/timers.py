"""Timers: when a lane may have something to send again. Pure."""

import heapq

from pdagent.schedule.lane import Lane


class Timers:
    """Lanes by time. A lane may have several timers. When one fires that no longer matters, its
    lane is looked at in vain, which costs little."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Lane]] = []
        self._count = 0

    def set(self, at: float, lane: Lane) -> None:
        """The lane is due at this time, in monotonic seconds."""
        self._count += 1  # breaks ties, so that lanes are never compared
        heapq.heappush(self._heap, (at, self._count, lane))

    def take(self, now: float) -> Lane | None:
        """A lane whose timer is due."""
        return heapq.heappop(self._heap)[2] if self._heap and self._heap[0][0] <= now else None

    @property
    def next(self) -> float | None:
        """When the next timer is due, in monotonic seconds; None if there is none."""
        return self._heap[0][0] if self._heap else None
