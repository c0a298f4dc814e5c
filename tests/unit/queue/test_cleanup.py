"""What was settled long ago goes, what is pending never does, and no clock makes it go early."""

import errno
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from pdagent.queue import regular
from pdagent.queue.cleanup import STUCK_SAID, Cleanup
from pdagent.queue.state import Reason
from tests.support.calls import Calls, Fault
from tests.support.faults import mounted
from tests.support.users import ROOT
from tests.unit.queue.cleaning import DAY, NAME, WEEK, Host
from tests.unit.queue.entries import with_bad_inode


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


@pytest.mark.parametrize("place", ["tmp", "err", "suc"])
def test_what_comes_during_a_sweep_stays(host: Host, place: str) -> None:
    """It is younger than the beginning of the sweep, and no sign of a clock that was set."""
    host.wall -= 2 * WEEK
    host.live(2 * WEEK)
    path = host.root / place / NAME

    def wall() -> float:
        now = time.time()
        if not path.exists():  # the sweep has only begun
            time.sleep(0.05)  # the kernel's stamps are a little late
            path.write_bytes(b"{}")
        return now

    Cleanup(str(host.root), host.state, wall, lambda: host.running).sweep(WEEK)
    assert path.exists()


@pytest.mark.parametrize("place", ["tmp", "err", "suc"])
def test_a_small_step_back_cleans_nothing_early(host: Host, place: str) -> None:
    """What got there just before it has a time to come, and is as young as it was."""
    host.wall -= 2 * WEEK
    host.live(2 * WEEK)
    path = host.put(place)
    host.wall -= 60
    host.cleanup.sweep(WEEK)
    assert path.exists()


@pytest.mark.parametrize("step", [-3600.0, -2 * WEEK])
def test_a_step_back_during_a_sweep_cleans_nothing_early(host: Host, step: float) -> None:
    """Neither what had been there for a while, nor what comes then."""
    host.wall -= 2 * WEEK
    host.live(2 * WEEK)
    path = host.put("err")
    times = [host.wall]

    def wall() -> float:  # the sweep begins, and then the clock is set back
        return times.pop() if times else host.wall + step

    Cleanup(str(host.root), host.state, wall, lambda: host.running).sweep(WEEK)
    assert path.exists()


def test_pending_events_stay_for_ever(host: Host) -> None:
    """However old, whatever their names."""
    paths = [host.put("pdq", name) for name in (NAME, "5_K.txt", "junk")]
    host.live(1)
    host.live(10 * WEEK, DAY)
    assert all(path.exists() for path in paths)


def test_what_the_disk_tells_nothing_of_stops_no_sweep(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and the others go."""
    host.live(1)
    bad, *good = (host.put("suc", f"{number}_KEY1.txt") for number in range(3))
    monkeypatch.setattr(os, "scandir", with_bad_inode(bad.name))
    host.live(WEEK + 60)
    assert [path.exists() for path in (bad, *good)] == [True, False, False]
    assert "cannot look at 0_*: Input/output error" in caplog.text


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


_NO_CLOCKS = [
    "",
    "{}",
    '{"seen": "x", "steady_since": null}',
    '{"seen": NaN, "steady_since": NaN}',
    '{"seen": 0, "steady_since": NaN}',
    f'{{"seen": 1{"0" * 400}, "steady_since": 1}}',
]


@pytest.mark.parametrize("damage", _NO_CLOCKS)
def test_a_damaged_memory_of_the_clock_cleans_nothing_early(host: Host, damage: str) -> None:
    """As after a first start; and later it cleans."""
    host.live(1)
    path = host.put("suc")
    host.live(6 * DAY)
    (host.root.parent / "db" / "clock").write_text(damage)
    host.start()
    host.live(2 * DAY)
    assert path.exists()
    host.live(8 * DAY)
    assert not path.exists()


def test_without_descriptors_nothing_is_cleaned_and_the_clock_is_remembered(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is old by then goes with the next sweep."""
    host.live(1)
    path = host.put("suc")
    host.live(WEEK - 60)
    calls = Calls(os)
    with monkeypatch.context() as patch:
        patch.setattr(regular, "os", calls)
        calls.inject(Fault(1, errno.EMFILE))
        host.live(1)
    assert "cannot read since when the clock is steady: Too many open files" in caplog.text
    host.live(120)
    assert not path.exists()


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


def test_of_what_cannot_be_removed_a_few_are_said(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise whoever leaves thousands of directories in tmp/ would overwrite the log."""

    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr("pdagent.queue.cleanup.remove", refuse)
    host.live(1)
    for number in range(STUCK_SAID + 7):
        host.put("tmp", f"{number}")
    host.live(WEEK + 60, WEEK)
    said = [record.message for record in caplog.records if "cannot remove" in record.message]
    assert len(said) == STUCK_SAID + 1
    assert said[-1] == "Cleanup: cannot remove 7 more entries of tmp"


def test_a_clean_up_keeps_no_names(host: Host) -> None:
    """Anyone can leave a million files in tmp/."""
    host.live(1)
    for number in range(4000):
        host.put("tmp", f"{number:0250}")
    host.wall += WEEK + 60
    host.running += WEEK + 60
    tracemalloc.start()
    host.cleanup.sweep(WEEK)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert os.listdir(host.root / "tmp") == []
    assert most < 500_000


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
