"""A key waits for files that are not whole, of one owner, for a while in each minute."""

from pdagent.schedule import patience
from pdagent.schedule.patience import Patience

PLACE = ("incomplete", "K", 1)


def test_it_is_shared_and_comes_back() -> None:
    """All files of a place share it. Other places have their own."""
    found = Patience()
    assert found.lasts(PLACE, 0.0, 1.0)
    assert found.lasts(PLACE, 0.9, 1.0)
    assert not found.lasts(PLACE, 1.0, 1.0)
    assert found.lasts(("incomplete", "K", 2), 1.0, 1.0)
    assert not found.lasts(PLACE, patience.EVERY_SECONDS - 0.1, 1.0)
    assert found.lasts(PLACE, patience.EVERY_SECONDS, 1.0)


def test_what_is_remembered_is_bounded() -> None:
    """With more places than that, nobody waits, until the oldest are forgotten."""
    found = Patience()
    for number in range(patience.KEPT):
        assert found.lasts(("incomplete", str(number), 1), 0.0, 1.0)
    assert not found.lasts(PLACE, 1.0, 1.0)
    assert found.lasts(PLACE, patience.EVERY_SECONDS, 1.0)
