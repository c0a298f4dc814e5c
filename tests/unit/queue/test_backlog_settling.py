"""What leaves the queue overwrites nothing, and what is purged is gone for good."""

import errno
import os
from collections import Counter
from pathlib import Path

import pytest

from pdagent.queue.backlog import Backlog
from pdagent.queue.names import key_of
from pdagent.queue.opening import Directory
from pdagent.spool import file_name
from tests.unit.queue.entries import NAME, Counted, put


def test_settling_never_overwrites(root: Path) -> None:
    """The next free microsecond is taken, for events and for what is not one."""
    backlog = Backlog(str(root))
    for n in range(3):
        put(root, data=b"%d" % n)
        assert backlog.settle_in_error(NAME) == file_name(5 + n, "KEY1")
        for junk in ("junk", "j" * 255):
            put(root, junk, data=b"%d" % n)
            assert backlog.settle_in_error(junk).startswith(junk[:200])
    put(root, "suc-other", place="suc")
    put(root, data=b"last")
    backlog.settle_delivered(NAME)
    assert (root / "suc" / NAME).read_bytes() == b"last"
    contents = Counter(path.read_bytes() for path in (root / "err").iterdir())
    assert contents == {b"0": 3, b"1": 3, b"2": 3}


def test_a_long_name_is_cut(root: Path) -> None:
    """So that there is room for what tells it from the other of its name."""
    put(root, "j" * 255, place="err")
    put(root, "j" * 255)
    new, tilde, number = Backlog(str(root)).settle_in_error("j" * 255).partition("~")
    assert (new, tilde, number.isdigit()) == ("j" * 200, "~", True)


def test_settling_over_a_dangling_link_does_not_replace_it(root: Path) -> None:
    """Even what points nowhere is there."""
    (root / "err" / NAME).symlink_to("/nowhere")
    put(root)
    assert Backlog(str(root)).settle_in_error(NAME) == file_name(6, "KEY1")


def test_what_is_set_aside_may_come_from_elsewhere(root: Path) -> None:
    """As an expectation does. What its name would be there is known before."""
    backlog = Backlog(str(root))
    put(root, place="err")
    assert backlog.name_in_error(NAME) == file_name(6, "KEY1")
    put(root, place="expected")
    assert backlog.settle_in_error(NAME, "expected") == file_name(6, "KEY1")
    assert os.listdir(root / "expected") == []
    put(root)
    assert backlog.settle_in_error(NAME, there="j~1") == "j~1"
    put(root)
    assert backlog.settle_in_error(NAME, there="j~1").startswith("j~1~")  # somebody has it
    assert backlog.name_in_error("5_X.txt") == "5_X.txt"


def test_zeros_keep_a_place(root: Path) -> None:
    """As many as a name can have. After that the next number has to do."""
    backlog = Backlog(str(root))
    zeros = ["0" * number + NAME for number in range(5)]
    for number, name in enumerate(zeros):
        assert backlog.name_in_place(NAME, "pdq") == name
        assert key_of(name) == "KEY1"
        put(root, name, data=b"%d" % number)
    assert backlog.name_in_place(NAME, "pdq") == "5_KEY1.txt"
    put(root, "5_KEY1.txt")
    assert backlog.name_in_place(NAME, "pdq") == file_name(6, "KEY1")
    assert backlog.name_in_place(NAME, "err") == NAME


def test_the_last_number(root: Path) -> None:
    """Behind it comes the first one, since a name with a longer number is no event's."""
    last = f"{'9' * 20}_KEY1.txt"
    put(root, last)
    assert Backlog(str(root)).name_in_place(last, "pdq") == file_name(0, "KEY1")


def test_settling_what_is_gone(root: Path) -> None:
    """Says so."""
    with pytest.raises(FileNotFoundError):
        Backlog(str(root)).settle_delivered(NAME)


def test_purge_takes_what_is_there(root: Path) -> None:
    """From wherever it is, a directory too; of what is gone already nothing is said. Nothing is
    left, in tmp/ neither."""
    put(root)
    put(root, place="err")
    put(root, "7_K.txt", place="suc")
    (root / "pdq" / "8_K.txt").mkdir()
    (root / "pdq" / "8_K.txt" / "inside").touch()
    entries = [("pdq", NAME), ("pdq", "6_K.txt"), ("err", NAME), ("suc", "7_K.txt")]
    entries.append(("pdq", "8_K.txt"))
    assert Backlog(str(root)).purge(entries) == [*entries[:1], *entries[2:]]
    assert [path for path in root.rglob("*") if path.parent != root] == []


def test_purge_of_a_link_to_a_directory(root: Path) -> None:
    """The link goes, and what it leads to stays."""
    (root / "theirs").mkdir()
    (root / "theirs" / "file").touch()
    (root / "pdq" / NAME).symlink_to(root / "theirs")
    assert Backlog(str(root)).purge([("pdq", NAME)]) == [("pdq", NAME)]
    assert os.listdir(root / "theirs") == ["file"]
    assert os.listdir(root / "pdq") == os.listdir(root / "tmp") == []


def test_a_purge_that_fails_half_way(root: Path) -> None:
    """What was taken until then is gone for good."""
    put(root)
    put(root, "6_K.txt")
    with pytest.raises(OSError, match="File name too long"):
        Backlog(str(root)).purge([("pdq", NAME), ("pdq", "x" * 300), ("pdq", "6_K.txt")])
    assert os.listdir(root / "pdq") == ["6_K.txt"]
    assert os.listdir(root / "tmp") == []


def test_nobody_can_guess_where_a_purged_event_goes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone may add names to tmp/, so none may be in the way."""
    rename, taken = os.rename, list[str]()

    def renamed(old: str, new: str) -> None:
        rename(old, new)
        taken.append(Path(new).name)

    monkeypatch.setattr(os, "rename", renamed)
    for _ in range(2):
        put(root)
        Backlog(str(root)).purge([("pdq", NAME)])
    assert len({name.removeprefix("purged-").partition("-")[0] for name in taken}) == 2
    assert all(len(name) > 32 for name in taken)


def test_purge_of_an_event_whose_sender_died(root: Path) -> None:
    """Its second name in tmp/ is nobody's event, and clean-up's."""
    put(root)
    os.link(root / "pdq" / NAME, root / "tmp" / NAME)
    assert Backlog(str(root)).purge([("pdq", NAME)]) == [("pdq", NAME)]
    assert os.listdir(root / "pdq") == []
    assert os.listdir(root / "tmp") == [NAME]


@pytest.mark.parametrize("place", ["pdq", "err"])
def test_a_purge_is_synced_before_it_deletes(
    root: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Renamed, made durable, deleted, in this order: what is reported as gone is not pending again
    after a power cut."""
    put(root, place=place)
    done: list[str] = []
    rename, fsync, unlink = os.rename, os.fsync, os.unlink

    def renamed(old: str, new: str) -> None:
        rename(old, new)
        done.append("renamed")

    def synced(fd: int) -> None:
        fsync(fd)
        done.append(f"synced {Path(os.readlink(f'/proc/self/fd/{fd}')).name}")

    def unlinked(path: str) -> None:
        unlink(path)
        done.append("deleted")

    for name, function in (("rename", renamed), ("fsync", synced), ("unlink", unlinked)):
        monkeypatch.setattr(os, name, function)
    Backlog(str(root)).purge([(place, NAME)])
    assert done == ["renamed", f"synced {place}", "deleted"]


def test_a_directory_is_never_moved(root: Path) -> None:
    """Not even one that was slipped in after the file was read: in err/ its owner could go on
    writing into it."""
    (root / "pdq" / NAME).mkdir()
    backlog = Backlog(str(root))
    with pytest.raises(Directory):
        backlog.load(NAME)
    for settle in (backlog.settle_in_error, backlog.settle_delivered):
        with pytest.raises(IsADirectoryError) as raised:
            settle(NAME)
        assert raised.value.errno == errno.EISDIR
        assert raised.value.strerror == "Is a directory"
        assert raised.value.filename == f"{root}/pdq/{NAME}"
    assert os.listdir(root / "pdq") == [NAME]
    assert os.listdir(root / "err") == os.listdir(root / "suc") == []


def test_many_names_in_a_row_that_are_taken(root: Path) -> None:
    """Whoever has 2,000 of them taken costs the next one no 2,000 looks."""
    for number in range(5, 2005):
        put(root, file_name(number, "KEY1"), place="err")
    put(root)
    looks = Counted(os.path.lexists)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os.path, "lexists", looks)
        # After 100 the steps grow: 2, 4, 8, and so on.
        assert Backlog(str(root)).settle_in_error(NAME) == file_name(2151, "KEY1")
    assert looks.calls < 200
    assert len(os.listdir(root / "err")) == 2001
