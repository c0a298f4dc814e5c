"""Timers give lanes in the order of time."""

from pdagent.schedule.lane import Lane
from pdagent.schedule.timers import Timers


def test_due_lanes_come_in_order() -> None:
    """Each as often as it was set, and none before its time."""
    timers = Timers()
    early, late = Lane("A", lambda: 0.5), Lane("B", lambda: 0.5)
    timers.set(2.0, late)
    timers.set(1.0, early)
    timers.set(2.0, early)
    assert timers.next == 1.0
    assert timers.take(0.9) is None
    assert [timers.take(2.0) for _ in range(4)] == [early, late, early, None]
    assert timers.next is None
