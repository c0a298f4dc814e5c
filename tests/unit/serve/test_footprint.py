"""What the spool takes."""

from pathlib import Path

from pdagent.serve.footprint import SHARE, Footprint


class Clock:
    """Time that goes on by a second each time that somebody looks."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_files_and_bytes(root: Path) -> None:
    """Each state has the number of its files and their bytes."""
    (root / "pdq" / "1_A.txt").write_bytes(b"x" * 100)
    (root / "pdq" / "2_A.txt").write_bytes(b"x" * 50)
    (root / "err" / "3_A.txt").write_bytes(b"x")
    expected = {"pending": (2, 150), "delivered": (0, 0), "in_error": (1, 1)}
    assert Footprint(str(root)).measure() == expected


def test_it_does_not_look_all_the_time(root: Path) -> None:
    """After a look that took a second, nobody looks again for the next twenty."""
    clock = Clock()
    footprint = Footprint(str(root), clock)
    footprint.measure()
    (root / "suc" / "1_A.txt").write_bytes(b"x")
    assert footprint.measure()["delivered"] == (0, 0)
    clock.now += SHARE
    assert footprint.measure()["delivered"] == (1, 1)


def test_a_directory_that_is_gone(root: Path) -> None:
    """It counts as empty."""
    clock = Clock()
    footprint = Footprint(str(root), clock)
    (root / "err").rmdir()
    assert footprint.measure()["in_error"] == (0, 0)
