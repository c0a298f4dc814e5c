"""What the file of an event turns out to be, and who has to wait for it."""

import errno
import fcntl
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from pdagent import api
from pdagent.config import Config
from pdagent.daemon import reading
from pdagent.daemon.large import Turn
from pdagent.daemon.reading import (
    AGAIN_SECONDS,
    BEING_WRITTEN,
    DENIED_AGAIN_MOST,
    INCOMPLETE_AGAIN_SECONDS,
    UNFINISHED_SECONDS,
    UNREADABLE_SECONDS,
    Aside,
    Found,
    Gone,
    Heavy,
    Later,
    Left,
    Reading,
    Ready,
    Unfit,
    Waits,
)
from pdagent.queue import backlog
from pdagent.queue.backlog import INCOMPLETE_SECONDS, Backlog
from pdagent.queue.pending import HEAVY_BYTES, Pending
from pdagent.schedule.entry import Entry
from pdagent.spool import file_name
from tests.support.calls import Calls, Fault
from tests.support.events import KEY, OTHER

NAME = file_name(1, KEY)
NOW = 1000.0
DENIED = "the agent may not read it"


def event(key: str = KEY, details: str = "") -> bytes:
    payload = {"summary": "x", "source": "db1", "severity": "error", "custom_details": details}
    return json.dumps(
        {"routing_key": key, "event_action": "trigger", "dedup_key": "inc", "payload": payload}
    ).encode()


class Desk:
    """A reading of a spool, an event in it, and those who wait for it: `patient` or not."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.reading = Reading(Backlog(str(root)), Turn(), nullcontext())
        self.entry = Entry(NAME, KEY, owner=1000)
        self.config = Config({})
        self.patient = True

    @property
    def path(self) -> Path:
        return self.root / "pdq" / self.entry.name

    def read(self, now: float = NOW, entry: Entry | None = None) -> Found:
        return self.reading.read(entry or self.entry, now, self.config, lambda *_: self.patient)


@pytest.fixture
def desk(root: Path) -> Desk:
    return Desk(root)


# what is there


def test_an_event_is_ready(desk: Desk) -> None:
    """Read, and understood."""
    desk.path.write_bytes(event())
    found = desk.read()
    assert isinstance(found, Ready)
    assert (found.pending.key, found.pending.chain) == (KEY, "=inc")


def test_what_is_no_event_is_unfit(desk: Desk) -> None:
    """By its name, its form, or its kind; a link is not followed."""
    desk.path.write_bytes(b"[1]")
    assert desk.read() == Unfit("it is not a JSON object")
    desk.path.unlink()
    desk.path.symlink_to("/etc/passwd")
    assert desk.read() == Unfit("it is a symbolic link")
    odd = Entry("README", "/1000", owner=1000)
    assert desk.read(entry=odd) == Unfit("its name is not an event's")


def test_what_is_not_there_and_what_is_a_directory(desk: Desk) -> None:
    """The first has gone; the second is left, since it would be its owner's in err/ too."""
    assert desk.read() == Gone()
    desk.path.mkdir()
    assert desk.read() == Left()


def test_a_large_event_finds_a_place_first(desk: Desk) -> None:
    """Then it is read."""
    desk.path.write_bytes(event(details="x" * HEAVY_BYTES))
    assert desk.read() == Heavy()
    desk.entry.heavy = True
    assert isinstance(desk.read(), Ready)


def test_another_key_in_the_body_is_unfit(desk: Desk) -> None:
    """The key in the name decides who waits. A key's name is the key that it stands for."""
    desk.path.write_bytes(event(OTHER))
    assert desk.read() == Unfit("its name and its body have different integration keys")
    desk.path.write_bytes(event("@db"))
    desk.config = Config({}, {"db": KEY})
    assert isinstance(desk.read(), Ready)


# what is not whole yet


def test_an_event_with_two_names_waits_for_its_sender(desk: Desk) -> None:
    """As long as the sender may be at work. After that the event counts as accepted, and its name
    in tmp/ goes."""
    desk.path.write_bytes(event())
    second = desk.root / "tmp" / NAME
    os.link(desk.path, second)
    assert desk.read() == Waits("=inc", NOW + UNFINISHED_SECONDS)
    assert second.exists()
    assert isinstance(desk.read(NOW + UNFINISHED_SECONDS), Ready)
    assert not second.exists()


def test_one_look_does_for_all_whose_senders_died(desk: Desk) -> None:
    """It saw what each of them has in tmp/. A look for each of 60,000 would take hours."""
    entries, began = [desk.entry, Entry(file_name(2, KEY), KEY)], time.monotonic()
    for entry in entries:
        path = desk.root / "pdq" / entry.name
        path.write_bytes(event())
        os.link(path, desk.root / "tmp" / entry.name)
        assert isinstance(desk.read(began, entry), Waits)
    later = began + UNFINISHED_SECONDS
    assert isinstance(desk.read(later, entries[0]), Ready)
    (desk.root / "tmp").rename(desk.root / "away")
    assert isinstance(desk.read(later, entries[1]), Ready)


def test_nobody_waits_any_longer_for_a_sender_who_had_his_time(desk: Desk) -> None:
    """Where others have waited for such files already, the event goes at once."""
    desk.path.write_bytes(event())
    os.link(desk.path, desk.root / "tmp" / NAME)
    desk.patient = False
    assert isinstance(desk.read(), Ready)


def test_a_file_that_is_being_written(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key waits for it, if it has not waited for others like it, and not for ever."""
    monkeypatch.setattr(backlog, "INCOMPLETE_SECONDS", 1e9)  # by the clock of the wall
    desk.path.write_bytes(b'{"routing_key"')
    again = NOW + INCOMPLETE_AGAIN_SECONDS
    assert desk.read() == Later(again, BEING_WRITTEN)
    desk.patient = False
    assert desk.read() == Aside(again)
    desk.patient = True
    why = "it is not JSON: it does not end with '}'"
    assert desk.read(NOW + INCOMPLETE_SECONDS) == Unfit(why)


def test_a_large_event_is_cut_to_what_pagerduty_takes(desk: Desk) -> None:
    """Once it has one of the places for such."""
    desk.path.write_bytes(event(details="x" * 2 * api.BODY_BYTES))
    assert desk.read() == Heavy()
    desk.entry.heavy = True
    found = desk.read()
    assert isinstance(found, Ready)
    assert len(found.pending.data) <= api.BODY_BYTES


def test_others_are_asked_for_their_patience(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an enqueue under way, and with a file that is being written, each for so long."""
    monkeypatch.setattr(backlog, "INCOMPLETE_SECONDS", 1e9)
    asked: list[tuple[str, float]] = []

    def is_patient(what: str, seconds: float) -> bool:
        asked.append((what, seconds))
        return True

    desk.path.write_bytes(event())
    os.link(desk.path, desk.root / "tmp" / "second")
    desk.reading.read(desk.entry, NOW, desk.config, is_patient)
    desk.path.write_bytes(b"")
    desk.reading.read(desk.entry, NOW, desk.config, is_patient)
    assert asked == [("unfinished", UNFINISHED_SECONDS), ("incomplete", INCOMPLETE_SECONDS)]


def test_a_second_name_that_can_not_be_looked_for(desk: Desk) -> None:
    """It is the disk's error, and waits as any other."""
    desk.path.write_bytes(event())
    os.link(desk.path, desk.root / "second")
    (desk.root / "tmp").rmdir()
    desk.read()
    why = os.strerror(errno.ENOENT)
    now = NOW + UNFINISHED_SECONDS
    assert desk.read(now) == Later(now + AGAIN_SECONDS, f"an event can't be read: {why}", why)


# what can't be read


def test_a_disk_that_fails_is_waited_for_five_minutes(desk: Desk, opening_calls: Calls) -> None:
    """Then the event is set aside. What says so is the system."""
    desk.path.write_bytes(event())
    opening_calls.inject(Fault(1, errno.EIO))
    why = os.strerror(errno.EIO)
    assert desk.read() == Later(NOW + AGAIN_SECONDS, f"an event can't be read: {why}", why)
    opening_calls.inject(Fault(1, errno.EIO))
    assert desk.read(NOW + UNREADABLE_SECONDS) == Unfit(f"it can't be read: {why}")


def test_a_shortage_is_not_the_files_fault(desk: Desk, opening_calls: Calls) -> None:
    """However long it lasts."""
    desk.path.write_bytes(event())
    for now in (NOW, NOW + 10 * UNREADABLE_SECONDS):
        opening_calls.inject(Fault(1, errno.EMFILE))
        assert isinstance(desk.read(now), Later)


def test_a_file_that_the_agent_may_not_read_waits_by_itself(
    desk: Desk, opening_calls: Calls
) -> None:
    """Until it is repaired. It is looked at less and less often, and named once."""
    desk.path.write_bytes(event())
    for now, again, problem in (
        (NOW, AGAIN_SECONDS, os.strerror(errno.EACCES)),
        (NOW + 300, 30.0, ""),
        (NOW + 86_400, DENIED_AGAIN_MOST, ""),
    ):
        opening_calls.inject(Fault(1, errno.EACCES))
        assert desk.read(now) == Aside(now + again, DENIED, problem)
    opening_calls.inject(None)
    assert isinstance(desk.read(NOW + 90_000), Ready)


def test_a_leased_file_waits_by_itself(desk: Desk) -> None:
    """With F_SETLEASE its owner keeps it from being opened, for 45 seconds: no disk is behind
    that."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # it tells that somebody wants the file
    desk.path.write_bytes(event())
    fd = os.open(desk.path, os.O_RDWR)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        leased = "its owner has a lease of it"
        assert desk.read() == Aside(NOW + AGAIN_SECONDS, leased, leased)
        assert desk.read(NOW + 300) == Aside(NOW + 330, leased, "")
    finally:
        os.close(fd)
        signal.signal(signal.SIGIO, before)
    assert isinstance(desk.read(NOW + 400), Ready)


def test_of_each_owner_a_bounded_number_of_such_files_is_kept(
    desk: Desk, opening_calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger could make a million of them. Another user's are kept, and so is the next one once
    the first is repaired."""
    monkeypatch.setattr(reading, "DENIED_MOST", 1)
    monkeypatch.setattr(reading, "DENIED_LEAST", 1)
    second, others = Entry(file_name(2, KEY), KEY, owner=1000), Entry(file_name(3, KEY), KEY)
    for entry in (desk.entry, second, others):
        (desk.root / "pdq" / entry.name).write_bytes(event())

    def denied(entry: Entry) -> Found:
        opening_calls.inject(Fault(1, errno.EACCES))
        return desk.read(entry=entry)

    assert isinstance(denied(desk.entry), Aside)
    assert denied(second) == Unfit(DENIED)
    assert isinstance(denied(others), Aside)
    opening_calls.inject(None)
    assert isinstance(desk.read(), Ready)
    assert isinstance(denied(second), Aside)


def test_owners_share_what_is_kept(
    desk: Desk, opening_calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two get two each of five. A file that is gone takes no place."""
    monkeypatch.setattr(reading, "DENIED_OF_ALL", 5)
    monkeypatch.setattr(reading, "DENIED_LEAST", 1)
    assert desk.read(entry=Entry(file_name(1, KEY), KEY, owner=1001)) == Gone()
    entries = [Entry(file_name(number, KEY), KEY, owner=1000) for number in (1, 2, 3)]

    def denied(entry: Entry) -> Found:
        (desk.root / "pdq" / entry.name).write_bytes(event())
        opening_calls.inject(Fault(1, errno.EACCES))
        return desk.read(entry=entry)

    assert [type(denied(entry)) for entry in entries] == [Aside, Aside, Unfit]
    (desk.root / "pdq" / entries[0].name).unlink()
    opening_calls.inject(None)
    assert desk.read(entry=entries[0]) == Gone()
    assert isinstance(denied(entries[2]), Aside)


def test_one_owners_file_is_read_beside_anothers(desk: Desk) -> None:
    """While the disk makes one of them wait."""
    desk.path.write_bytes(event())
    second = Entry(file_name(2, KEY), KEY, owner=1001)
    (desk.root / "pdq" / second.name).write_bytes(event())
    hangs, go_on = threading.Event(), threading.Event()

    class Slow(Backlog):
        def load(self, name: str, large: bool = True, fitting: bool = False) -> Pending:
            if name == NAME:
                hangs.set()
                assert go_on.wait(60)
            return super().load(name, large, fitting)

    desk.reading = Reading(Slow(str(desk.root)), Turn(), nullcontext())
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(desk.read)
        assert hangs.wait(60)
        try:
            assert isinstance(pool.submit(desk.read, NOW, second).result(60), Ready)
        finally:
            go_on.set()
        assert isinstance(first.result(60), Ready)


def test_after_an_accident_with_the_whole_queue_the_order_is_kept(
    desk: Desk, opening_calls: Calls
) -> None:
    """Where the agent may not use pdq/ either, nothing else can leave: the key waits."""
    desk.path.write_bytes(event())
    (desk.root / "pdq").rename(desk.root / "away")
    opening_calls.inject(Fault(1, errno.EACCES))
    assert desk.read() == Later(NOW + AGAIN_SECONDS, DENIED, os.strerror(errno.EACCES))
