"""The storm of docs/sizing.md, smaller: nothing is lost, and chains keep their order."""

import pytest

from benchmarks.fleet import out_of_order, storm


@pytest.mark.parametrize("away", [None, (20.0, 40.0), (20.0, 620.0)])
def test_two_relays(away: tuple[float, float] | None) -> None:
    """One that is away for a restart loses no chain; for ten minutes, and they move."""
    made = storm(keys=20, limit=120, hosts=200, events=3, away=away)
    assert len(made.arrived) == len(made.safe) == 600
    assert out_of_order(made) == 0
    assert bool(made.moved) is (away == (20.0, 620.0))


def test_pagerdutys_limit() -> None:
    """Nobody is faster than it, and the agent is not much slower."""
    made = storm(keys=1, limit=120, hosts=400)
    assert len(made.arrived) == 400
    assert 180 <= max(made.arrived.values()) < 260
