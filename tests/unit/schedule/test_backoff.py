"""How long to wait before the next try."""

import random

from hypothesis import given
from hypothesis import strategies as st

from pdagent.schedule.backoff import FIRST_SECONDS, Backoff


def test_waits_double_from_a_second_to_the_cap() -> None:
    """The longest wait doubles with every failure, and stops at the cap."""
    backoff = Backoff(lambda: 1.0)
    assert [backoff.failed(60.0) for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_the_whole_range_is_used() -> None:
    """Full jitter: what failed together does not come back together."""
    source = random.Random(1)
    waits = []
    for _ in range(200):
        backoff = Backoff(source.random)
        for _ in range(4):
            wait = backoff.failed(60.0)
        waits.append(wait)
    assert min(waits) < 0.8
    assert max(waits) > 7.2
    assert len(set(waits)) == 200


def test_success_takes_one_step_down() -> None:
    """A server that answers now and then is not hammered."""
    backoff = Backoff(lambda: 1.0)
    for _ in range(5):
        backoff.failed(60.0)
    backoff.succeeded()
    assert backoff.failed(60.0) == 16.0


def test_success_from_the_start_is_no_credit() -> None:
    """A thousand successes do not make the first failure cheaper."""
    backoff = Backoff(lambda: 1.0)
    for _ in range(1000):
        backoff.succeeded()
    assert backoff.failed(60.0) == FIRST_SECONDS


def test_a_new_cap_counts_at_once() -> None:
    """A reload may change it at any time, in either direction."""
    backoff = Backoff(lambda: 1.0)
    for _ in range(10):
        backoff.failed(60.0)
    assert backoff.failed(5.0) == 5.0
    assert backoff.failed(600.0) == 600.0


@given(st.lists(st.booleans(), max_size=2000), st.floats(0.5, 86_400.0), st.floats(0, 0.999))
def test_waits_stay_within_bounds(successes: list[bool], cap: float, draw: float) -> None:
    """Whatever happens for however long, a wait is between nothing and the cap."""
    backoff = Backoff(lambda: draw)
    for success in successes:
        if success:
            backoff.succeeded()
        else:
            assert 0 <= backoff.failed(cap) <= cap
