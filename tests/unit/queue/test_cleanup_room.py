"""Where the disk is short, or many events were delivered, the oldest delivered ones go, and nothing
else does."""

import logging
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from pdagent.queue.budget import Disk, disk_of
from pdagent.queue.cleanup import Cleanup
from pdagent.queue.state import State
from tests.support.faults import mounted
from tests.support.users import ROOT
from tests.unit.queue.cleaning import Host


@pytest.fixture
def host(root: Path) -> Host:
    return Host(root)


def settle_in_order(host: Host, number: int) -> list[Path]:
    """Delivered events, each settled later than the one before, with names in the other order."""
    paths: list[Path] = []
    for n in range(number):
        path = host.put("suc", f"{10_000 - n:016}_K.txt")
        last = paths[-1].stat().st_ctime_ns if paths else 0
        while path.stat().st_ctime_ns == last:  # stamps tick more slowly than files come
            path.chmod(0o640)
        paths.append(path)
    return paths


def test_scarcity_takes_the_oldest_delivered_events(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those delivered first, whatever their names, and only as many as it takes."""
    paths = settle_in_order(host, 5)
    others = [host.put(place) for place in ("pdq", "err", "tmp")]
    asked = []

    def disk(_: str) -> Disk:
        asked.append(1)
        return Disk(0 if len(asked) == 1 else 10**12, 10**12, 10**6, 10**6)

    monkeypatch.setattr("pdagent.queue.cleanup.BATCH", 2)
    clocks = (lambda: host.wall), (lambda: host.running)
    Cleanup(str(host.root), host.state, *clocks, disk).relieve()
    assert [path.exists() for path in paths] == [False, False, True, True, True]
    assert all(path.exists() for path in others)


@pytest.mark.parametrize(
    ("most", "files_of_bytes", "left"), [(2, 5, 2), (5, 3, 3), (0, 5, 0), (9, 9, 5)]
)
def test_the_oldest_delivered_events_over_the_budget_go(
    host: Host, most: int, files_of_bytes: int, left: int
) -> None:
    """By number and by the disk that they take up, whichever is passed first; nothing else goes."""
    paths = settle_in_order(host, 5)
    others = [host.put(place) for place in ("pdq", "err", "tmp")]
    room = paths[0].stat().st_blocks * 512
    host.cleanup.trim(most, files_of_bytes * room)
    assert [path.exists() for path in paths] == [False] * (5 - left) + [True] * left
    assert all(path.exists() for path in others)


def test_a_trim_that_removes_nothing_remembers_nothing(host: Host) -> None:
    """Looking at what is kept anyway takes no memory for each of its files."""
    for number in range(2000):
        (host.root / "suc" / f"{number}_KEY1.txt").touch()
    tracemalloc.start()
    try:
        host.cleanup.trim(10_000, 1 << 40)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200_000
    assert len(os.listdir(host.root / "suc")) == 2000


def test_no_scarcity_takes_nothing(host: Host) -> None:
    """A disk with room keeps its week of delivered events."""
    path = host.put("suc")
    host.cleanup.relieve()
    assert path.exists()


def test_a_disk_that_stays_short_keeps_what_is_not_delivered(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """All of suc/ may go; evidence and pending events may not. And it is said."""
    caplog.set_level(logging.WARNING)
    others = [host.put(place) for place in ("pdq", "err", "tmp")]
    for n in range(3):
        host.put("suc", f"{n}_K.txt")
    host.disk = Disk(0, 10**12, 10**6, 10**6)
    host.cleanup.relieve()
    assert os.listdir(host.root / "suc") == []
    assert all(path.exists() for path in others)
    assert "removed the 3 oldest delivered events" in caplog.text


@pytest.mark.parametrize(
    ("disk", "scarce"),
    [
        (Disk(10**12, 10**12, 10**6, 10**6), False),
        (Disk(99 * 1024**2, 10**12, 10**6, 10**6), True),
        (Disk(101 * 1024**2, 10**12, 10**6, 10**6), False),
        (Disk(6 * 1024**2, 100 * 1024**2, 10**6, 10**6), False),
        (Disk(4 * 1024**2, 100 * 1024**2, 10**6, 10**6), True),
        (Disk(10**12, 10**12, 10, 10**6), True),
        (Disk(10**12, 10**12, 0, 0), False),
        (Disk(0, 0, 0, 0), False),
    ],
    ids=["roomy", "short", "enough", "small", "small and short", "inodes", "no inodes", "unknown"],
)
def test_when_a_disk_is_scarce(disk: Disk, scarce: bool) -> None:
    """100 MiB or five in a hundred, of bytes or of inodes; some file systems count no inodes."""
    assert disk.scarce is scarce


@pytest.mark.skipif(not ROOT, reason="needs mount(2)")
def test_a_real_disk_that_fills_up(root: Path) -> None:
    """A full tmpfs is scarce, and relief brings back room for events."""
    with mounted(root, "size=1m"):
        for name in ("tmp", "pdq", "suc", "err"):
            (root / name).mkdir()
        assert not disk_of(str(root)).scarce
        for n in range(63):
            (root / "suc" / f"{n}_K.txt").write_bytes(b"x" * 16_384)
        assert disk_of(str(root)).scarce
        (root.parent / "db").mkdir()
        cleanup = Cleanup(str(root), State(str(root.parent)), time.time, time.monotonic)
        assert cleanup.disk_is_scarce()
        cleanup.relieve()
        assert not cleanup.disk_is_scarce()


def test_a_spool_that_is_gone_is_not_scarce(root: Path, tmp_path: Path) -> None:
    """Others say that it is gone."""
    cleanup = Cleanup(str(tmp_path / "none"), State(str(tmp_path)), time.time, time.monotonic)
    assert not cleanup.disk_is_scarce()
