"""Expectations that lapse, and the resolves that follow, whoever dies in between."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pdagent.event import Event
from pdagent.queue.elapsed import Moment
from pdagent.queue.expectation import written
from pdagent.queue.expected import Expected, counted
from pdagent.queue.renewal import ExpectationSpool
from pdagent.spool import NAME_TRIES, SpoolError
from tests.support.events import KEY
from tests.unit.queue.expectations import ACCEPTED, SINCE, Died, Queue, accept, begun, kept, later


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
    ("at", "place"), [(155.0, ACCEPTED + 155_000_000), (40.0, ACCEPTED + 150_000_100)]
)
def test_a_renewal_resolves_what_its_lapse_opened(
    root: Path, expected: Expected, queue: Queue, at: float, place: int
) -> None:
    """At the place of its acceptance, so before what came after that, and behind any place that the
    trigger may have got."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    expected.lapse(taken[0], later(150.0))
    expected.take(accept(root, at=at), later(160.0))
    assert queue.events == [("trigger", ACCEPTED + 150_000_000), ("resolve", place)]
    assert kept(root) == ["renewed"]
    assert expected.lapsed == 0
    expected.take(accept(root, at=157.0), later(160.0))
    assert queue.actions == ["trigger", "resolve"]


@pytest.mark.parametrize("ends", ["cancelled", "renewed", "lapses again"])
def test_a_resolve_goes_behind_the_trigger_of_a_daemon_that_died(
    root: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """The daemon dies when its trigger is in the queue, and then the clock is set back."""
    expected = begun(root, queue)
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    renames = iter([os.rename])

    def dies(path: str, target: str) -> None:
        try:
            next(renames)(path, target)
        except StopIteration:
            raise Died from None

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", dies)
        with pytest.raises(Died):
            expected.lapse(taken[0], later(60.0))
    expected = begun(root, queue)
    now = Moment(SINCE.wall - 3600.0, 300.0, 300.0, "boot")
    if ends == "lapses again":
        expected.lapse(taken[0], now)
        assert expected.is_lapsed(taken[0])
    term = 60.0 if ends == "renewed" else 0.0
    body = Event(KEY, "trigger", "no backup", "backup").body("v2", 0)
    spool = ExpectationSpool(str(root), lambda: int(now.wall * 1e9))
    expected.take(spool.enqueue(KEY, written(body, term, now)), now)
    triggered = ACCEPTED + 60_000_000
    again = [("trigger", triggered)] if ends == "lapses again" else []
    assert queue.events == [("trigger", triggered), *again, ("resolve", triggered + NAME_TRIES)]


def test_a_trigger_goes_behind_the_resolve_of_the_lapse_before(root: Path, queue: Queue) -> None:
    """The clock is set back in between, and another daemon goes on. Also a cancellation's resolve
    then goes behind what is pending."""
    expected = begun(root, queue)
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    expected.lapse(taken[0], later(60.0))
    expected.take(accept(root, at=61.0), later(61.0))
    back = Moment(SINCE.wall - 3600.0, 300.0, 300.0, "boot")
    expected = begun(root, queue)
    assert expected.lapsed == 0
    expected.lapse(taken[0], back)
    assert (len(expected), expected.lapsed) == (1, 1)
    expected = begun(root, queue)
    assert expected.is_lapsed(taken[0])
    expected.take(accept(root, term=0.0, at=-3590.0), later(-3590.0))
    actions = [action for action, _ in queue.events]
    places = [place for _, place in queue.events]
    assert actions == ["trigger", "resolve", "trigger", "resolve"]
    assert places == sorted(set(places))
    assert places[2] == places[1] + NAME_TRIES
    assert os.listdir(root / "expected") == []


def test_one_that_was_renewed_is_renewed_again(root: Path, expected: Expected) -> None:
    """There is one file of it, which has not lapsed."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    expected.lapse(taken[0], later(60.0))
    for at in (61.0, 90.0):
        expected.take(accept(root, at=at), later(at))
    [name] = os.listdir(root / "expected")
    assert name == f"{taken[0]}.renewed-{ACCEPTED + 61_000_000}"
    assert counted(str(root)) == (1, 0)
    found = expected.read(taken[0])
    assert found is not None
    assert found.since == later(90.0)


@pytest.mark.parametrize(
    "left", ["", f".lapsing-{ACCEPTED}", f".lapsed-{ACCEPTED}", f".renewed-{ACCEPTED}"]
)
def test_a_crash_before_the_old_file_is_gone(
    root: Path, expected: Expected, queue: Queue, left: str
) -> None:
    """The renewal counts. The old file may have any mark, since a read-only disk took no other."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    (root / "expected" / taken[0]).rename(root / "expected" / f"{taken[0]}{left}")
    new = f"{taken[0]}.renewed-{ACCEPTED + 61_000_000}"
    (root / "expect" / accept(root, at=61.0)).rename(root / "expected" / new)
    expected = begun(root, queue)
    assert os.listdir(root / "expected") == [new]
    assert (len(expected), expected.lapsed) == (1, 0)
    found = expected.read(taken[0])
    assert found is not None
    assert found.since == later(61.0)


def test_what_nobody_wrote_is_no_place(root: Path, expected: Expected, queue: Queue) -> None:
    """Its trigger goes to the beginning, and its resolve to where it was accepted."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    path = root / "expected" / taken[0]
    path.rename(f"{path}.lapsing-x")
    expected.load()
    expected.take(accept(root, at=60.4), later(61.0))
    assert queue.events == [("resolve", ACCEPTED + 60_400_000)]


def test_a_stamp_that_is_to_come_is_not_believed(
    root: Path, expected: Expected, queue: Queue
) -> None:
    """Anyone may give a file any name; a resolve must not wait behind what comes in a year."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    expected.lapse(taken[0], later(60.0))
    expected.take(accept(root, at=31e6), later(90.0))
    assert queue.events[-1] == ("resolve", ACCEPTED + 90_000_000)


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


def refuses(*_: str) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize("ends", ["renewed", "cancelled", "removed"])
def test_a_read_only_disk_stops_no_page(
    root: Path, expected: Expected, queue: Queue, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """It lapses once, and is resolved, though its file has no mark."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuses)
        expected.lapse(taken[0], later(60.0))
    assert queue.events == [("trigger", ACCEPTED + 60_000_000)]
    assert expected.is_lapsed(taken[0])
    assert (len(expected), expected.lapsed) == (1, 1)
    assert os.listdir(root / "expected") == [taken[0]]
    if ends == "removed":
        expected.forget(taken[0])
    else:
        expected.take(accept(root, term=60.0 if ends == "renewed" else 0.0, at=81.0), later(82.0))
        assert queue.events[1:] == [("resolve", ACCEPTED + 81_000_000)]
    assert kept(root) == (["renewed"] if ends == "renewed" else [])
    assert expected.lapsed == 0
    if ends == "renewed":
        found = expected.read(taken[0])
        assert found is not None
        assert found.since == later(81.0)


def test_a_disk_that_can_be_written_again_takes_the_mark(
    root: Path, expected: Expected, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the event is enqueued once more, because it could not be before."""
    taken = expected.take(accept(root), later(0.0))
    assert taken is not None
    queue.full = True
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuses)
        with pytest.raises(SpoolError):
            expected.lapse(taken[0], later(60.0))
    queue.full = False
    expected.lapse(taken[0], later(70.0))
    assert os.listdir(root / "expected") == [f"{taken[0]}.lapsed-{ACCEPTED + 60_000_000}"]
    assert queue.events == [("trigger", ACCEPTED + 60_000_000)]


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
        daemon = Expected(str(root), enqueue, enqueue)
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
        assert kept(root) == ["renewed"]
        daemon.forget(identity)
    assert dies_at > 3
