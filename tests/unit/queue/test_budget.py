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
    short = short_of_room(Disk(2**21, 100 * 2**20, 900, 1000))
    assert short.startswith("the disk is short: 2048 of 102400 kB are free")
    full = short_of_room(Disk(4096, 100 * 2**20, 900, 1000))
    assert full.startswith("the disk is full: 4 of 102400 kB are free")
    assert "3 of 1000 inodes are free" in short_of_room(Disk(10**12, 10**12, 3, 1000))
