"""Expectations as files: taken over, renewed, cancelled, and what else lies there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pdagent.event import Event
from pdagent.queue import expected as module
from pdagent.queue import quota
from pdagent.queue.elapsed import Moment
from pdagent.queue.expectation import EXPECTATION_BYTES, written
from pdagent.queue.expected import UNKNOWN, Drops, Expected, Taken
from pdagent.queue.pending import Hostile
from tests.support.users import ROOT, SENDER
from tests.unit.queue.entries import with_bad_inode
from tests.unit.queue.expectations import SINCE, Queue, accept, begun, kept, later


def test_an_expectation_is_taken_over_and_renewed(root: Path, expected: Expected) -> None:
    """There is one file of it, the last."""
    expected.take(accept(root), later(0.0))
    taken = expected.take(accept(root, at=30.0), later(30.0))
    assert taken is not None
    assert taken[2] is Taken.KEPT
    assert os.listdir(root / "expect") == os.listdir(root / "tmp") == []
    assert kept(root) == [""]
    found = expected.read(taken[0])
    assert found is not None
    assert found.since == later(30.0)
    assert len(expected) == 1


@pytest.mark.parametrize("lapses", [True, False])
def test_a_cancellation_ends_it(root: Path, expected: Expected, queue: Queue, lapses: bool) -> None:
    """And resolves what it has opened."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    if lapses:
        expected.lapse(taken[0], later(60.0))
    for _ in range(2):
        ended = expected.take(accept(root, term=0.0, at=70.0), later(70.0))
        assert ended is not None
        assert ended[2] is Taken.CANCELLED
    assert kept(root) == []
    assert queue.actions == (["trigger", "resolve"] if lapses else [])
    assert (len(expected), expected.lapsed) == (0, 0)


@pytest.mark.parametrize("again", ["the same look", "another daemon", "another boot"])
def test_what_is_overtaken_counts_for_nothing(root: Path, queue: Queue, again: str) -> None:
    """The clock was set back between two renewals, so the later one has the earlier name. It is
    kept, though a power cut may bring the other one back."""
    late, early = accept(root, at=30.0), accept(root, at=10.0)
    expected = begun(root, queue)
    assert expected.take(late, later(40.0)) is not None
    now = later(40.0)
    if again != "the same look":
        expected = begun(root, queue)
    if again == "another boot":
        now = Moment(now.wall, 5.0, 5.0, "next boot")
    assert expected.take(early, now) is None
    assert os.listdir(root / "expect") == []
    [identity] = expected.load()
    found = expected.read(identity)
    assert found is not None
    assert found.since == later(30.0)


def test_a_cancellation_is_not_undone_by_what_it_overtook(root: Path, expected: Expected) -> None:
    """In one look. The next look finds what came later."""
    late, early = accept(root, term=0.0, at=30.0), accept(root, at=10.0)
    expected.take(late, later(40.0))
    assert expected.take(early, later(40.0)) is None
    assert kept(root) == []
    expected.look()
    assert expected.take(accept(root, at=10.0), later(40.0)) is not None


def test_what_claims_to_be_later_than_now_overtakes_nothing(root: Path, expected: Expected) -> None:
    """Otherwise root could not cancel it."""
    expected.take(accept(root, at=1000.0), later(0.0))
    taken = expected.take(accept(root, term=0.0, at=20.0), later(30.0))
    assert taken is not None
    assert kept(root) == []


def test_one_sender_can_have_so_many(
    root: Path, expected: Expected, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by itself, though all are one user's files; all of them leave room for users. The next
    daemon counts the same."""
    monkeypatch.setattr(quota, "HOLDER_MOST", 2)
    monkeypatch.setattr(quota, "RELAYED_MOST", 3)

    def take(dedup_key: str, by: str) -> Taken:
        taken = expected.take(accept(root, dedup_key, by=by), later(0.0))
        assert taken is not None
        return taken[2]

    assert [take(key, "web1") for key in "abc"] == [Taken.KEPT, Taken.KEPT, Taken.TOO_MANY]
    assert [take(key, "db1") for key in "abc"] == [Taken.KEPT, Taken.TOO_MANY, Taken.TOO_MANY]
    assert take("a", "") is Taken.KEPT
    expected = begun(root, queue)
    assert take("d", "") is Taken.KEPT
    assert take("d", "app1") is Taken.TOO_MANY
    expected.take(accept(root, "a", term=0.0, by="web1"), later(0.0))
    assert take("d", "app1") is Taken.KEPT


@pytest.mark.skipif(not ROOT, reason="needs several users")
def test_a_user_can_make_no_senders_up(root: Path, expected: Expected) -> None:
    """He would have the room of all of them."""
    name = accept(root, by="web1")
    os.chown(root / "expect" / name, SENDER.uid, SENDER.gid)
    with pytest.raises(Hostile, match="only the endpoint"):
        expected.take(name, later(0.0))
    assert kept(root) == []


def test_one_user_can_have_so_many(
    root: Path, expected: Expected, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is beyond is not watched, and paged at once, since its sender was told it is accepted.
    Those that there are can be renewed."""
    monkeypatch.setattr(quota, "HOLDER_MOST", 2)
    outcomes = []
    for dedup_key in ("a", "b", "c", "a"):
        taken = expected.take(accept(root, dedup_key), later(0.0))
        assert taken is not None
        outcomes.append(taken[2])
    assert outcomes == [Taken.KEPT, Taken.KEPT, Taken.TOO_MANY, Taken.KEPT]
    assert queue.actions == ["trigger"]
    assert os.listdir(root / "expect") == []
    monkeypatch.setattr(quota, "HOLDER_MOST", 9)
    monkeypatch.setattr(quota, "ALL_MOST", 2)
    taken = expected.take(accept(root, "d"), later(0.0))
    assert taken is not None
    assert taken[2] is Taken.TOO_MANY
    # and when one is cancelled there is room for another
    expected.take(accept(root, "a", term=0.0), later(0.0))
    taken = expected.take(accept(root, "d"), later(0.0))
    assert taken is not None
    assert taken[2] is Taken.KEPT


def directory(path: Path) -> None:
    path.mkdir()


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def huge(path: Path) -> None:
    path.write_bytes(b"{" + b" " * EXPECTATION_BYTES + b"}")


def deep(path: Path) -> None:
    path.write_bytes(b'{"trigger":' + b"[" * 30_000 + b"]" * 30_000 + b"}")


@pytest.mark.parametrize("make", [directory, link, fifo, huge, deep])
def test_what_is_no_expectation_is_not_taken(
    root: Path, expected: Expected, make: Callable[[Path], None]
) -> None:
    """Nothing is followed, waited for, or parsed without bounds."""
    name = "1_x.txt"
    make(root / "expect" / name)
    with pytest.raises(Hostile):
        expected.take(name, later(0.0))
    assert os.path.lexists(root / "expect" / name)
    assert kept(root) == []


def test_a_directory_is_passed_over_and_the_rest_in_order(root: Path, expected: Expected) -> None:
    """Of each user."""
    (root / "expect" / "1_x.txt").mkdir()
    names = [accept(root, at=at) for at in (9.0, 3.0, 6.0)]
    found = expected.look()
    assert found == Drops({os.getuid(): sorted(names)}, set(), newer=False)


def test_a_file_that_the_disk_tells_nothing_of_stops_no_look(
    root: Path, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are found, and it counts as nobody's until it was read."""
    bad, good = (accept(root, at=at) for at in (1.0, 2.0))
    monkeypatch.setattr(os, "scandir", with_bad_inode(bad))
    found = expected.look()
    assert found == Drops({UNKNOWN: [bad], os.getuid(): [good]}, set(), newer=False)


def test_what_comes_during_a_look_is_left_for_the_next(
    root: Path, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a look might find that an expectation is cancelled, and not the renewal before."""
    before, scandir = accept(root, at=1.0), os.scandir
    came = []

    def late(path: str) -> "os._ScandirIterator[str]":
        came.append(accept(root, at=2.0))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", late)
    assert expected.look() == Drops({os.getuid(): [before]}, set(), newer=True)
    monkeypatch.undo()
    assert expected.look() == Drops({os.getuid(): [before, *came]}, set(), newer=False)


def test_a_look_keeps_so_many_names(
    root: Path, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest, and says that there are more."""
    monkeypatch.setattr(module, "NAMES_MOST", 3)
    names = [accept(root, at=at) for at in range(10)]
    found = expected.look()
    assert found.names[os.getuid()][:3] == names[:3]
    assert len(found.names[os.getuid()]) < 6
    assert found.more == {os.getuid()}


def test_what_its_owner_changes_later_is_hostile(
    root: Path, expected: Expected, queue: Queue
) -> None:
    """The file is still its sender's own. It harms nobody else."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    other = Event("OTHER", "trigger", "x", "theirs").body("v2", 0)
    (root / "expected" / taken[0]).write_bytes(written(other, 1.0, SINCE))
    with pytest.raises(Hostile, match="changed"):
        expected.lapse(taken[0], later(60.0))
    expected.forget(taken[0])
    assert kept(root) == []
    assert queue.actions == []
