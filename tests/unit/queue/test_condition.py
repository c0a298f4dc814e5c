"""The daemon's condition, as text and in a line."""

import time

import pytest

from pdagent.queue.condition import Condition, Trouble
from pdagent.shown import hour

NOW = time.mktime((2026, 11, 23, 14, 30, 0, 0, 0, -1))
LOST = Trouble("authorities", "/home/a/ca.pem", "Permission denied", NOW - 600)
UNSHOWN = Trouble("metrics", "/conf", "why", NOW)


def test_round_trip() -> None:
    """What was written is read again; another version's is nobody's."""
    condition = Condition(1, 2.0, 3, 4.0, None, "why", 5.0, 6.0, {"throttled": 1}, (LOST,))
    assert Condition.loads(condition.dumps().encode()) == condition
    for bad in (b"", b"[]", b"{}", b'{"version": 2}', b'{"version": 1, "pid": 1}', b"[" * 9999):
        with pytest.raises(ValueError):  # noqa: PT011
            Condition.loads(bad)


@pytest.mark.parametrize(
    ("condition", "line"),
    [
        (Condition(1, 0.0), "0 pending; nothing delivered yet"),
        (Condition(1, 0.0, delivered=NOW - 60), "0 pending; last delivery 14:29"),
        (
            Condition(1, 0.0, 3, unreachable="the proxy answered 407", since=NOW - 2520),
            "cannot reach PagerDuty since 13:48: the proxy answered 407; 3 pending",
        ),
        (
            Condition(1, 0.0, 3, troubles=(LOST, LOST)),
            "the service cannot read /home/a/ca.pem: Permission denied, since 14:20 "
            "(and 1 more); 3 pending",
        ),
        (
            Condition(1, 0.0, 3, unreachable="the proxy answered 407", troubles=(UNSHOWN,)),
            "cannot reach PagerDuty: the proxy answered 407; 3 pending",
        ),
        (
            Condition(1, 0.0, troubles=(UNSHOWN,)),
            "metrics are not shown: why, since 14:30; 0 pending; nothing delivered yet",
        ),
        (
            Condition(1, 0.0, 1234, holds={"throttled": 2}, delivered=NOW - 86_400),
            "keys that PagerDuty throttles: 2; 1,234 pending; last delivery 2026-11-22 14:30",
        ),
        (
            Condition(1, 0.0, troubles=(Trouble("disk", "/var", "no space left", NOW),)),
            "the disk of /var is full, since 14:30; 0 pending",
        ),
    ],
)
def test_summary(condition: Condition, line: str) -> None:
    """systemd's line of status."""
    assert condition.summary(NOW) == line


def test_hour() -> None:
    """A time of another day comes with its date."""
    assert hour(NOW, NOW) == "14:30"
    assert hour(NOW - 86_400, NOW) == "2026-11-22 14:30"
