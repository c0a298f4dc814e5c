"""Some days of the simulation, in this process: what mutmut puts to each mutant besides the tests
that are about its module."""

import pytest

from tests.simulation.day import Day


@pytest.mark.parametrize("seed", [1, 5, 14, 28, 30, 32, 38, 80])
def test_a_day(seed: int) -> None:
    """The promises hold."""
    Day(seed).run()
