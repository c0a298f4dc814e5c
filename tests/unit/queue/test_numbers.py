"""Which values out of JSON count as numbers."""

import math

import pytest

from pdagent.queue.numbers import is_number


@pytest.mark.parametrize("value", [0, -1, 0.5, 999, -999.9])
def test_numbers(value: object) -> None:
    """They may be below zero, and whole or not."""
    assert is_number(value)
    assert is_number(value, 1000)


@pytest.mark.parametrize("value", [None, True, "1", [1], {}, math.nan, math.inf, -math.inf])
def test_what_is_none(value: object) -> None:
    """JSON's other values are none, nor is what Python takes for a number beside them."""
    assert not is_number(value)


@pytest.mark.parametrize("value", [1000, -1000, 1e300, 10**400])
def test_what_is_too_much(value: object) -> None:
    """The bound itself is too much, and so is an int that no float can hold."""
    assert not is_number(value, 1000)
