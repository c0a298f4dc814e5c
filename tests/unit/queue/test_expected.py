"""Expectations as files: taken over, renewed, cancelled, lapsed, by whoever dies in between."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pdagent.event import Event
from pdagent.queue import expected as module
from pdagent.queue import quota
from pdagent.queue.elapsed import Moment
from pdagent.queue.expectation import EXPECTATION_BYTES, written
from pdagent.queue.expected import Drops, Expected, Taken
from pdagent.queue.pending import Hostile
from pdagent.queue.renewal import ExpectationSpool
from pdagent.spool import SpoolError
from tests.support.events import KEY

SINCE = Moment(1_790_000_000.0, 100.0, 100.0, "boot")
ACCEPTED = int(SINCE.wall * 1e6)


def later(seconds: float) -> Moment:
    return Moment(SINCE.wall + seconds, 100.0 + seconds, 100.0 + seconds, "boot")


class Queue:
    """What was enqueued: actions and places."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int | None]] = []
        self.place = ACCEPTED + 50_000_000
        self.full = False

    def enqueue(self, key: str, body: bytes, place: int | None) -> int:
        if self.full:
            raise SpoolError(key, body, "no room", "")
        self.events.append((json.loads(body)["event_action"], place))
        return self.place if place is None else place

    @property
    def actions(self) -> list[str]:
        return [action for action, _ in self.events]


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def expected(root: Path, queue: Queue) -> Expected:
    return begun(root, queue)


def begun(root: Path, queue: Queue) -> Expected:
    """As a daemon begins that finds what the one before it has left."""
    found = Expected(str(root), queue.enqueue)
    found.load()
    return found


def accept(
    root: Path,
    dedup_key: str = "backup",
    term: float = 60.0,
    at: float = 0.0,
    data: bytes = b"",
    by: str = "",
) -> str:
    """An expectation as `pd-send` leaves it."""
    trigger = Event(KEY, "trigger", "no backup", dedup_key).body("v2", 0)
    spool = ExpectationSpool(str(root), lambda: int((SINCE.wall + at) * 1e9))
    return spool.enqueue(KEY, data or written(trigger, term, later(at), by))


def kept(root: Path) -> list[str]:
    """The marks of what is kept."""
    return sorted(
        name.partition(".")[2].partition("-")[0] for name in os.listdir(root / "expected")
    )


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


def test_a_lapse_is_an_event(root: Path, expected: Expected, queue: Queue) -> None:
    """Once, and not before the term is over."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    identity = taken[0]
    assert expected.lapse(identity, later(59.0)) is not None
    assert queue.actions == []
    assert not expected.is_lapsed(identity)
    expected.lapse(identity, later(60.0))
    assert queue.actions == ["trigger"]
    assert expected.is_lapsed(identity)
    assert (len(expected), expected.lapsed) == (1, 1)
    assert begun(root, queue).is_lapsed(identity)


@pytest.mark.parametrize(
    ("at", "place"), [(70.0, ACCEPTED + 70_000_000), (40.0, ACCEPTED + 50_000_001)]
)
def test_a_renewal_resolves_what_its_lapse_opened(
    root: Path, expected: Expected, queue: Queue, at: float, place: int
) -> None:
    """At the place of its acceptance, so before what came after that, and behind the trigger."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    expected.lapse(taken[0], later(150.0))
    expected.take(accept(root, at=at), later(160.0))
    assert queue.events[-1] == ("resolve", place)
    assert kept(root) == [""]
    assert expected.lapsed == 0
    expected.take(accept(root, at=150.0), later(160.0))
    assert queue.actions == ["trigger", "resolve"]


def test_a_stamp_that_is_to_come_is_not_believed(
    root: Path, expected: Expected, queue: Queue
) -> None:
    """Anyone may give a file any name; a resolve must not wait behind what comes in a year."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    expected.lapse(taken[0], later(60.0))
    expected.take(accept(root, at=31e6), later(90.0))
    assert queue.events[-1] == ("resolve", ACCEPTED + 90_000_000)


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


def test_what_a_person_removed_does_not_lapse(root: Path, expected: Expected, queue: Queue) -> None:
    """Its file is gone."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    (root / "expected" / taken[0]).unlink()
    assert expected.lapse(taken[0], later(60.0)) is None
    assert (len(expected), queue.actions) == (0, [])


def test_a_full_disk_is_waited_out(root: Path, expected: Expected, queue: Queue) -> None:
    """A lapse that can't be enqueued is not forgotten, nor is a renewal's resolve."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    queue.full = True
    with pytest.raises(SpoolError):
        expected.lapse(taken[0], later(60.0))
    assert not expected.is_lapsed(taken[0])
    queue.full = False
    expected.lapse(taken[0], later(60.0))
    queue.full = True
    name = accept(root, at=70.0)
    with pytest.raises(SpoolError):
        expected.take(name, later(70.0))
    queue.full = False
    expected.look()
    expected.take(name, later(80.0))
    assert queue.actions == ["trigger", "resolve"]


def test_what_came_later_waits_for_what_the_queue_did_not_take(
    root: Path, expected: Expected, queue: Queue
) -> None:
    """Else a renewal, which comes to its end after the disk was full, would undo a later
    cancellation."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    expected.lapse(taken[0], later(60.0))
    names = [accept(root, at=70.0), accept(root, term=0.0, at=71.0)]
    queue.full = True
    with pytest.raises(SpoolError):
        expected.take(names[0], later(72.0))
    queue.full = False
    assert expected.take(names[1], later(72.0)) is None
    expected.look()
    for name in names:
        assert expected.take(name, later(73.0)) is not None
    assert kept(root) == []
    assert queue.actions == ["trigger", "resolve"]


# --- whoever dies -------------------------------------------------------------------------------


class Died(BaseException):
    pass


@pytest.mark.parametrize("renewed", [False, True])
def test_a_daemon_dies_at_any_call(
    root: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch, renewed: bool
) -> None:
    """The next one goes on: a lapse is an incident, and a renewal ends it, whatever was done."""
    calls = 0
    dies_at = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            nonlocal calls
            calls += 1
            if calls == dies_at:
                raise Died
            return real(*arguments)

        return call

    for name in ("rename", "unlink", "fsync"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    enqueue = counted(queue.enqueue)
    survived = False
    while not survived:
        dies_at += 1
        queue.events.clear()
        name = accept(root)
        calls = -99
        daemon = Expected(str(root), enqueue)  # type: ignore[arg-type]
        daemon.load()
        taken = daemon.take(name, later(0.0))
        assert taken is not None
        identity = taken[0]
        if renewed:
            daemon.lapse(identity, later(60.0))
            name = accept(root, at=61.0)
        calls = 0
        try:
            if renewed:
                daemon.take(name, later(62.0))
            else:
                daemon.lapse(identity, later(60.0))
            survived = True
        except Died:
            pass
        calls = -99
        daemon = begun(root, queue)
        if not renewed:
            if not daemon.is_lapsed(identity):
                daemon.lapse(identity, later(63.0))
            assert set(queue.actions) == {"trigger"}
            assert daemon.is_lapsed(identity)
            name = accept(root, at=64.0)
        for each in daemon.look().names.get(os.getuid(), []):
            daemon.take(each, later(65.0))
        assert "trigger" in queue.actions
        assert queue.actions[-1] == "resolve"
        assert not begun(root, queue).is_lapsed(identity)
        assert kept(root) == [""]
        daemon.forget(identity)
    assert dies_at > 3
