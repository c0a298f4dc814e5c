"""Looking at the queue misses nothing, and costs what it has to. What an adopted event was."""

import errno
import os
import time
from pathlib import Path

import pytest

from pdagent.queue import backlog as backlog_module
from pdagent.queue.backlog import Backlog
from pdagent.queue.pending import Unfinished
from pdagent.spool import file_name
from tests.support.looking import looked
from tests.unit.queue.entries import NAME, V2, Counted, put


def test_scan_gives_the_order_of_the_queue(root: Path) -> None:
    """By number, not by letter; what is no event's name comes apart."""
    made = ["5_B.txt", "0000000000000006_A.txt", "1795402356123456_A.txt", "1795402356123456_B.txt"]
    for name in [*reversed(made), "junk", ".hidden"]:
        put(root, name)
    events, others = looked(Backlog(str(root)))
    assert events == made
    assert sorted(others) == [".hidden", "junk"]


def test_names_come_in_the_order_of_the_queue(root: Path) -> None:
    """By number, not by letter, from whichever directory; other names are left out."""
    for name in ("10_A.txt", "9_B.txt", "junk", "0000000000000008_C.txt"):
        put(root, name, place="err")
    assert Backlog(str(root)).names("err") == ["0000000000000008_C.txt", "9_B.txt", "10_A.txt"]


def test_scan_opens_nothing(root: Path) -> None:
    """So 100,000 files cost a directory listing, and a FIFO can't hold it up."""
    os.mkfifo(root / "pdq" / NAME)
    (root / "pdq" / "5_K.txt").symlink_to("/nowhere")
    assert looked(Backlog(str(root))) == ([NAME, "5_K.txt"], [])


def test_no_change_is_missed_and_quiet_is_noticed(root: Path) -> None:
    """Two scans have to see the same time stamp before the directory counts as unchanged."""
    backlog = Backlog(str(root))
    assert not backlog.is_quiet()
    assert backlog.changed()
    assert not backlog.is_quiet()
    assert backlog.changed()
    assert backlog.is_quiet()
    assert not backlog.changed()
    assert not backlog.changed()
    assert backlog.is_quiet()
    path = put(root)
    os.utime(root / "pdq", ns=(1, 1))
    assert not backlog.is_quiet()
    assert [backlog.changed() for _ in range(3)] == [True, True, False]
    assert backlog.is_quiet()
    path.unlink()
    assert not backlog.is_quiet()
    assert backlog.changed()
    assert backlog.changed()
    assert backlog.is_quiet()
    (root / "pdq").rmdir()
    assert not backlog.is_quiet()


def test_a_scan_that_fails_has_seen_nothing(root: Path) -> None:
    """However often it fails: what came before is found when it succeeds again."""
    backlog = Backlog(str(root))
    for _ in range(5):
        assert backlog.changed()
        (root / "pdq").rename(root / "away")
        with pytest.raises(FileNotFoundError):
            looked(backlog)
        (root / "away").rename(root / "pdq")


def test_a_name_linked_within_the_stamps_tick_is_found(root: Path) -> None:
    """A file that comes right after a scan, and leaves the very stamp that the scan saw."""
    backlog = Backlog(str(root))
    stamp = 10**18
    os.utime(root / "pdq", ns=(stamp, stamp))
    assert backlog.changed()
    assert looked(backlog) == ([], [])
    put(root)
    os.utime(root / "pdq", ns=(stamp, stamp))
    assert backlog.changed()
    assert looked(backlog) == ([NAME], [])


def test_a_second_name_means_unfinished_until_adopted(root: Path) -> None:
    """The event is known at once; adopting drops the name in tmp/ and no other file's."""
    put(root, "other", place="tmp")
    put(root, "mine", place="tmp")
    os.link(root / "tmp" / "mine", root / "pdq" / NAME)
    backlog = Backlog(str(root))
    with pytest.raises(Unfinished) as caught:
        backlog.load(NAME)
    assert caught.value.pending.chain == "=fire"
    backlog.adopt(NAME)
    assert os.listdir(root / "tmp") == ["other"]
    assert backlog.load(NAME).data == V2


def test_a_second_name_elsewhere_is_no_obstacle(root: Path) -> None:
    """A user who keeps a hard link somewhere: nothing to drop, and no failure."""
    put(root)
    os.link(root / "pdq" / NAME, root / "keepsake")
    backlog = Backlog(str(root))
    with pytest.raises(Unfinished):
        backlog.load(NAME)
    backlog.adopt(NAME)
    assert (root / "keepsake").exists()


def test_adopting_what_is_gone(root: Path) -> None:
    """Says so."""
    with pytest.raises(FileNotFoundError):
        Backlog(str(root)).adopt(NAME)


def test_what_takes_the_second_names_place_stays(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at tmp/ may be old: the name is another file's by now, or gone."""
    for name in ("1_K.txt", "2_K.txt", "3_K.txt"):
        os.link(put(root, name, place="tmp"), root / "pdq" / name)
    backlog = Backlog(str(root))
    backlog.adopt("1_K.txt", time.monotonic())
    (root / "tmp" / "2_K.txt").unlink()
    put(root, "2_K.txt", place="tmp")
    monkeypatch.setattr(os, "scandir", looks := Counted(os.scandir))
    backlog.adopt("2_K.txt", backlog._half_done_at)
    (root / "tmp" / "3_K.txt").unlink()
    backlog.adopt("3_K.txt", backlog._half_done_at)  # its sender has done it meanwhile
    assert looks.calls == 0  # no younger look is needed
    assert os.listdir(root / "tmp") == ["2_K.txt"]


def test_a_look_at_tmp_is_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clean-up removes the rest."""
    monkeypatch.setattr(backlog_module, "ADOPTED_MOST", 3)
    for number in range(10):
        put(root, f"{number}_K.txt", place="tmp")
    os.link(root / "tmp" / "1_K.txt", root / "pdq" / NAME)
    backlog = Backlog(str(root))
    backlog.adopt(NAME)
    assert len(backlog._half_done) + 10 - len(os.listdir(root / "tmp")) == 3


def test_an_old_look_at_tmp_is_forgotten(root: Path) -> None:
    """Its names take memory."""
    for name in ("1_K.txt", "2_K.txt"):
        os.link(put(root, name, place="tmp"), root / "pdq" / name)
    backlog = Backlog(str(root))
    backlog.adopt("1_K.txt")
    backlog.rest(3600.0)
    assert list(backlog._half_done.values()) == ["2_K.txt"]
    backlog.rest(-1.0)
    assert backlog._half_done == {}
    backlog.adopt("2_K.txt")
    assert os.listdir(root / "tmp") == []


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOMEM, errno.EACCES])
def test_an_entry_that_the_disk_tells_nothing_of_keeps_its_place(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Otherwise the next event of its chain would go before it."""
    names = [file_name(stamp, "KEY1") for stamp in (1, 2)]
    for name in names:
        put(root, name)
    really = os.lstat

    def lstat(path: str) -> os.stat_result:
        if path.endswith(names[0]):
            raise OSError(number, os.strerror(number))
        return really(path)

    monkeypatch.setattr(os, "lstat", lstat)
    backlog = Backlog(str(root))
    assert looked(backlog) == (names, [])
    [found] = backlog.look(lambda name: name == names[1])
    assert (found.owner, found.is_directory) == (os.geteuid(), False)
    assert backlog.seen(names[0]) is None  # whoever tells of a name may have made it up


def test_one_entry_is_seen(root: Path) -> None:
    """Whatever it is, with its owner; a name that can't be one is none."""
    path = put(root)
    (root / "pdq" / "5_D.txt").mkdir()
    backlog = Backlog(str(root))
    seen = backlog.seen(NAME)
    assert seen is not None
    assert (seen.name, seen.owner, seen.is_directory) == (NAME, path.stat().st_uid, False)
    assert seen.changed == path.stat().st_ctime_ns
    directory = backlog.seen("5_D.txt")
    assert directory is not None
    assert directory.is_directory
    assert [backlog.seen(name) for name in ("5_X.txt", "a\0b", "x" * 300)] == [None] * 3


def test_what_comes_during_a_look_is_left_for_the_next(root: Path) -> None:
    """Else a look might find a resolve and not its trigger, which was linked where it had been."""
    backlog = Backlog(str(root))
    put(root, "5_A.txt")
    backlog.changed()

    def known(name: str) -> bool:
        if name == "5_A.txt":
            put(root, "6_A.txt")
        return False

    for number in range(100):
        put(root, f"{10 + number}_A.txt")
    first = {seen.name for seen in backlog.look(known)}
    assert len(first) == 101
    assert "6_A.txt" not in first
    assert backlog.changed()
    assert "6_A.txt" in {seen.name for seen in backlog.look(lambda _: False)}


def test_what_changes_during_a_look_hides_nothing_else(root: Path) -> None:
    """It is left for the next look, and the look goes on behind it."""
    names = [f"{number}_K.txt" for number in range(50)]
    paths = [put(root, name) for name in names]
    made = paths[0].stat().st_ctime_ns

    def known(_: str) -> bool:
        while paths[0].stat().st_ctime_ns < made + 50_000_000:  # time stamps tick slowly
            for path in paths[::2]:
                path.chmod(0o640)
        return False

    found = {seen.name for seen in Backlog(str(root)).look(known)}
    assert found >= set(names[1::2])


def test_what_is_known_is_passed_over(root: Path) -> None:
    """And what goes meanwhile: the look goes on behind it."""
    names = [f"{number}_K.txt" for number in range(50)]
    for name in names:
        put(root, name)
    backlog, asked = Backlog(str(root)), list[str]()

    def known(name: str) -> bool:
        asked.append(name)
        if len(asked) == 2:
            (root / "pdq" / name).unlink()
        return len(asked) == 1

    found = [seen.name for seen in backlog.look(known)]
    assert found == asked[2:]
    assert len(asked) == len(names)


@pytest.mark.parametrize(
    ("began", "now", "is_found"), [(0, 0, True), (-1, 0, False), (-2, -1, True)]
)
def test_only_what_came_after_the_beginning_came_during_a_look(
    root: Path, monkeypatch: pytest.MonkeyPatch, began: int, now: int, is_found: bool
) -> None:
    """And not later than now: such a stamp is from before a step of the clock."""
    changed = put(root).stat().st_ctime_ns
    times = iter([changed + began, changed + now])
    monkeypatch.setattr(time, "time_ns", lambda: next(times))
    assert [seen.name for seen in Backlog(str(root)).look(lambda _: False)] == [NAME] * is_found


def test_whose_queue_it_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's, if it may do everything there, and new files get its group."""
    backlog = Backlog(str(root))
    assert backlog.is_ours()
    asked = []

    def access(path: str, mode: int) -> bool:
        asked.append((path, mode))
        return False

    with monkeypatch.context() as patch:
        patch.setattr(os, "access", access)
        assert not backlog.is_ours()
    assert asked == [(f"{root}/pdq", os.R_OK | os.W_OK | os.X_OK)]
    with monkeypatch.context() as patch:
        patch.setattr(os, "getegid", lambda: 12_345)
        assert not backlog.is_ours()
    (root / "pdq").rmdir()
    assert not backlog.is_ours()
    monkeypatch.setattr(os, "access", lambda *_: True)
    assert not backlog.is_ours()


def test_a_clock_that_was_set_back_hides_nothing(root: Path) -> None:
    """A file whose stamp lies in the future did not come during this look."""
    put(root)
    backlog = Backlog(str(root))
    real = time.time_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: real() - 10**12)
        assert [seen.name for seen in backlog.look(lambda _: False)] == [NAME]


def test_one_look_at_tmp_does_for_all_that_died(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60,000 enqueues that died must not cost as many looks at 60,000 names."""
    monkeypatch.setattr(os, "scandir", looks := Counted(os.scandir))
    names = [f"{number}_K.txt" for number in range(20)]
    for name in names:
        os.link(put(root, name, place="tmp"), root / "pdq" / name)
    backlog = Backlog(str(root))
    seen = time.monotonic()
    for name in names:
        backlog.adopt(name, seen)
    assert looks.calls == 1
    assert os.listdir(root / "tmp") == []
    os.link(put(root, "30_K.txt", place="tmp"), root / "pdq" / "30_K.txt")
    backlog.adopt("30_K.txt", time.monotonic())
    assert looks.calls == 2
    assert os.listdir(root / "tmp") == []
