"""The disk: whoever uses a slow one is away meanwhile, and whoever uses a quick one is not."""

import pytest

from pdagent.daemon.disk import SLOW_SECONDS, Disk


class Worker:
    """Uses a disk that takes as long as the test says, and counts how often it went away."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.went_away = 0
        self.disk = Disk(self, lambda: self.now)

    def __enter__(self) -> None:
        self.went_away += 1

    def __exit__(self, *_: object) -> None:
        self.now += 60.0  # others work, which is not the disk's fault

    def use(self, seconds: float, error: type[OSError] | None = None) -> None:
        with self.disk.used():
            self.now += seconds
            if error is not None:
                raise error


def test_a_quick_disk_keeps_its_worker() -> None:
    """A worker whose disk has not been slow never goes away."""
    worker = Worker()
    for _ in range(3):
        worker.use(SLOW_SECONDS / 2)
    assert worker.went_away == 0


def test_a_slow_disk_is_remembered_until_it_was_quick() -> None:
    worker = Worker()
    worker.use(2 * SLOW_SECONDS)
    assert worker.went_away == 0
    worker.use(2 * SLOW_SECONDS)
    worker.use(SLOW_SECONDS / 2)
    assert worker.went_away == 2
    worker.use(SLOW_SECONDS / 2)
    assert worker.went_away == 2


def test_a_use_that_fails_counts_too() -> None:
    """A slow use is remembered also where it raised an error."""
    worker = Worker()
    with pytest.raises(FileNotFoundError):
        worker.use(2 * SLOW_SECONDS, FileNotFoundError)
    worker.use(0)
    assert worker.went_away == 1
