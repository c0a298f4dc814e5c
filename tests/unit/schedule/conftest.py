"""Desks, as fixtures."""

from dataclasses import replace

import pytest

from pdagent.schedule import lane
from tests.unit.schedule.desk import ONE_BY_ONE, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Three chains of a key may be on their way at once, from the start."""
    monkeypatch.setattr(lane, "NEW_ROOM", 3)
    return Desk(limits=replace(ONE_BY_ONE, per_key=3))
