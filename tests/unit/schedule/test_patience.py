"""A key waits for files that are not whole, of one owner, for a while in each minute."""

from pdagent.schedule import patience
from pdagent.schedule.patience import Patience

KIND = ("incomplete", "K", 1)


def test_it_is_shared_and_comes_back() -> None:
    """All files of a kind share it. Other kinds have their own."""
    found = Patience()
    assert found.lasts(KIND, 0.0, 1.0)
    assert found.lasts(KIND, 0.9, 1.0)
    assert not found.lasts(KIND, 1.0, 1.0)
    assert found.lasts(("incomplete", "K", 2), 1.0, 1.0)
    assert not found.lasts(KIND, patience.EVERY_SECONDS - 0.1, 1.0)
    assert found.lasts(KIND, patience.EVERY_SECONDS, 1.0)


def test_what_is_remembered_is_bounded() -> None:
    """With more kinds than that, nobody waits, until the oldest are forgotten."""
    found = Patience()
    for number in range(patience.KEPT):
        assert found.lasts(("incomplete", str(number), 1), 0.0, 1.0)
    assert not found.lasts(KIND, 1.0, 1.0)
    assert found.lasts(KIND, patience.EVERY_SECONDS, 1.0)
