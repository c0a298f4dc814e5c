"""A signal and a nudge wake the main thread, and a signal is not lost."""

import os
import select
import signal
from collections.abc import Iterator

import pytest

from pdagent.daemon.signals import Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    """The daemon's, in place of this process's for as long as the test takes."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield Signals()
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


def is_awake(signals: Signals) -> bool:
    return bool(select.select([signals.fd], [], [], 0)[0])


def test_signals_wake_and_are_taken_once(signals: Signals) -> None:
    """All that came since the last time, each once."""
    assert not is_awake(signals)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
        signal.raise_signal(number)
    assert is_awake(signals)
    assert signals.take() == {signal.SIGHUP, signal.SIGTERM}
    assert not is_awake(signals)
    assert signals.take() == set()


def test_a_nudge_is_no_signal(signals: Signals) -> None:
    """It wakes, and that is all."""
    signals.nudge()
    assert is_awake(signals)
    assert signals.take() == set()
    assert not is_awake(signals)


def test_nudges_never_wait(signals: Signals) -> None:
    """However many come while the main thread is busy, and whatever has become of the pipe."""
    for _ in range(100_000):
        signals.nudge()
    assert is_awake(signals)
    os.close(signals._sender)
    signals.nudge()
