"""What was settled long ago goes, what is pending never does, and no clock makes it go early."""

import logging
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from pdagent.queue.budget import Disk
from pdagent.queue.cleanup import Cleanup, disk_of
from pdagent.queue.state import Reason, State
from tests.support.faults import mounted
from tests.support.users import ROOT

DAY = 86_400.0
WEEK = 7 * DAY
NAME = "0000000000000001_KEY1.txt"  # of 1970: its name must not matter


class Host:
    """A spool, and the two clocks of its host."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root.parent / "db").mkdir()
        self.state = State(str(root.parent))
        self.wall = time.time()
        self.running = 1000.0
        self.disk = Disk(10**12, 10**12, 10**6, 10**6)
        self.start()

    def start(self) -> None:
        """The daemon starts, or starts again."""
        self.cleanup = Cleanup(
            str(self.root),
            self.state,
            lambda: self.wall,
            lambda: self.running,
            lambda _: self.disk,
        )

    def put(self, place: str, name: str = NAME) -> Path:
        """A file that got there now. (The kernel stamps it, so `wall` catches up.)"""
        path = self.root / place / name
        path.write_bytes(b"{}")
        self.wall = max(self.wall, time.time())
        return path

    def live(self, seconds: float, interval: float = 10_800.0) -> None:
        """Time passes, with a sweep at every interval."""
        while seconds > 0:
            step = min(interval, seconds)
            self.wall += step
            self.running += step
            seconds -= step
            self.cleanup.sweep(WEEK)


@pytest.fixture
def host(root: Path) -> Host:
    return Host(root)


@pytest.mark.parametrize("place", ["suc", "err", "tmp"])
def test_what_is_older_than_the_threshold_goes(host: Host, place: str) -> None:
    """A week after it got there, not by the time in its name; and not a sweep earlier."""
    host.live(1)
    path = host.put(place)
    host.live(WEEK - 60)
    assert path.exists()
    host.live(120)
    assert not path.exists()


def test_pending_events_stay_for_ever(host: Host) -> None:
    """However old, whatever their names."""
    paths = [host.put("pdq", name) for name in (NAME, "5_K.txt", "junk")]
    host.live(1)
    host.live(10 * WEEK, DAY)
    assert all(path.exists() for path in paths)


def test_badly_named_files_go_too(host: Host) -> None:
    """The old agent kept them for ever."""
    host.live(1)
    paths = [host.put("err", "junk"), host.put("tmp", ".hidden")]
    (host.root / "err" / "link").symlink_to(host.put("pdq"))
    host.live(WEEK + 60)
    assert not any(path.exists() for path in paths)
    assert not os.path.lexists(host.root / "err" / "link")
    assert (host.root / "pdq" / NAME).exists()


def test_age_counts_from_settling(host: Host) -> None:
    """An event that waited for two weeks and then failed is there for a week after that."""
    host.live(1)
    host.put("pdq")
    os.utime(host.root / "pdq" / NAME, (1, 1))
    os.rename(host.root / "pdq" / NAME, host.root / "err" / NAME)
    host.live(WEEK - 60)
    assert (host.root / "err" / NAME).exists()


def test_a_reason_goes_with_its_event(host: Host) -> None:
    """Nothing is left of it in db/."""
    host.live(1)
    host.put("err")
    host.state.keep_reason(NAME, Reason("", 400, "no", 1))
    host.live(WEEK + 60)
    assert host.state.reason(NAME) is None


def test_a_reason_without_its_event_goes_in_time(host: Host) -> None:
    """A crash between the two leaves one: it is kept as long as its event would be."""
    host.put("err")
    reason = Reason("2026-11-23T00:00:00Z", 400, "refused", 1)
    host.state.keep_reason("1_GONE.txt", reason)
    host.live(WEEK - DAY)
    assert host.state.reason("1_GONE.txt") == reason
    host.live(2 * DAY)
    assert host.state.reason("1_GONE.txt") is None


@pytest.mark.parametrize("step", [-3600.0, -WEEK, 3600.0, WEEK, 365 * DAY, -50 * 365 * DAY])
def test_a_stepped_clock_cleans_nothing_early(host: Host, step: float) -> None:
    """Back an hour, forward a year, 1970: a week is a week of time that really passed."""
    host.live(1)
    path = host.put("suc")
    host.live(DAY)
    host.wall += step
    host.live(WEEK - DAY - 60)
    assert path.exists()
    host.live(WEEK + 2 * DAY)
    assert not path.exists(), "late is fine, never is not"


@pytest.mark.parametrize("step", [-3600.0, 30 * DAY, 365 * DAY, -50 * 365 * DAY])
def test_a_clock_stepped_while_the_daemon_was_away(host: Host, step: float) -> None:
    """Nor when nobody saw it happen."""
    host.live(1)
    path = host.put("suc")
    host.live(DAY)
    host.wall += step
    host.running = 5.0
    host.start()
    host.live(WEEK - DAY - 60)
    assert path.exists()
    host.live(2 * DAY)
    assert not path.exists()


def test_a_step_back_and_forth_cleans_nothing_early(host: Host) -> None:
    """A clock that NTP puts right after a start in 1970."""
    host.live(1)
    host.wall -= 50 * 365 * DAY
    host.live(60)
    path = host.put("suc")
    host.running += 60
    host.live(WEEK - 120)
    assert path.exists()


def test_a_restart_does_not_start_ages_anew(host: Host) -> None:
    """With a steady clock, a daemon that is restarted every day cleans all the same."""
    host.live(1)
    path = host.put("suc")
    for _ in range(8):
        host.live(DAY)
        host.running = 5.0
        host.start()
    assert not path.exists()


def test_a_first_start_counts_from_now(host: Host) -> None:
    """What an old agent left is kept for another week: nobody knows what its clock did."""
    path = host.put("suc")
    host.wall += 52 * WEEK
    host.cleanup.sweep(WEEK)
    assert path.exists()
    host.live(WEEK + 60)
    assert not path.exists()


@pytest.mark.parametrize("damage", ["", "{}", '{"seen": "x", "steady_since": null}'])
def test_a_damaged_memory_of_the_clock_cleans_nothing_early(host: Host, damage: str) -> None:
    """As after a first start."""
    host.live(1)
    path = host.put("suc")
    host.live(6 * DAY)
    (host.root.parent / "db" / "clock").write_text(damage)
    host.start()
    host.live(2 * DAY)
    assert path.exists()


def test_a_directory_that_was_set_aside_goes_with_all_that_is_in_it(host: Host) -> None:
    """Somebody made it in pdq/."""
    host.live(1)
    (host.root / "err" / "dir").mkdir()
    (host.root / "err" / "dir" / "file").touch()
    host.live(WEEK + 60)
    assert not (host.root / "err" / "dir").exists()


@pytest.mark.skipif(not ROOT, reason="needs mount(2)")
def test_what_cannot_be_removed_is_said_and_does_not_stop_the_rest(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """A mount point; the events beside it go."""
    host.live(1)
    (host.root / "err" / "dir").mkdir()
    path = host.put("err")
    with mounted(host.root / "err" / "dir", "size=64k"):
        host.live(WEEK + 60)
    assert not path.exists()
    assert "cannot remove" in caplog.text


def test_a_missing_directory_is_said_and_does_not_stop_the_rest(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """suc/ was removed by hand; err/ and tmp/ are cleaned."""
    host.live(1)
    os.rmdir(host.root / "suc")
    path = host.put("err")
    host.live(WEEK + 60)
    assert not path.exists()
    assert "cannot look into" in caplog.text


# a disk that runs short


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


def test_what_jobs_keep(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """For more than a year, and of each user's the newest. A directory that somebody made stays."""
    monkeypatch.setattr("pdagent.queue.cleanup.JOBS_MOST", 3)
    (host.root / "jobs").mkdir()
    (host.root / "jobs" / "directory").mkdir()
    host.live(DAY)
    host.put("jobs", "monthly")
    host.live(390 * DAY, DAY / 2)
    assert names(host) == {"directory", "monthly"}
    host.live(11 * DAY, DAY / 2)
    assert names(host) == {"directory"}
    for number in range(5):
        host.put("jobs", f"{number}")
        time.sleep(0.02)  # the kernel's stamps are as coarse as its clock ticks
    if ROOT:
        for name in ("other", "another"):
            os.chown(host.put("jobs", name), 64003, 64003)
    host.wall = time.time()
    host.start()
    host.cleanup.sweep(WEEK)
    assert names(host) - {"other", "another"} == {"directory", "2", "3", "4"}
    assert len(names(host)) == (6 if ROOT else 4)


def names(host: Host) -> set[str]:
    return {path.name for path in (host.root / "jobs").iterdir()}
