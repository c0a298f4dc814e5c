"""What a person is told of a spool that is nearly too full."""

import pytest

from pdagent.queue.budget import Disk, many_pending, short_of_room


@pytest.mark.parametrize(
    ("pending", "mark", "says"),
    [(11, 10, "11 events are pending"), (10, 10, ""), (11, 0, ""), (0, 0, "")],
)
def test_many_pending(pending: int, mark: int, says: str) -> None:
    """Past the mark, and where there is one."""
    said = many_pending(pending, mark)
    assert said.startswith(says)
    assert bool(said) == bool(says)


def test_short_of_room() -> None:
    """It says what there is too little of."""
    assert short_of_room(Disk(10**12, 10**12, 10**6, 10**6)) == ""
    assert "1024 of 102400 kB are free" in short_of_room(Disk(2**20, 100 * 2**20, 9, 10))
    assert "3 of 1000 inodes are free" in short_of_room(Disk(10**12, 10**12, 3, 1000))
