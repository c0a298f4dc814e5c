"""The daemon's half of the spool takes every entry for hostile, and loses none that is not."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pdagent.queue import backlog as backlog_module
from pdagent.queue.backlog import Backlog, Count
from pdagent.queue.names import key_of
from pdagent.queue.opening import Directory
from pdagent.queue.pending import EVENT_BYTES_MOST, Hostile, Incomplete, Pending, Unfinished
from pdagent.spool import Spool, file_name
from tests.support.agent import directory
from tests.support.faults import python
from tests.support.looking import looked
from tests.support.users import AGENT, ROOT, SENDER

NAME = file_name(5, "KEY1")
V2 = b'{"routing_key":"KEY1","event_action":"trigger","dedup_key":"fire"}'


def put(root: Path, name: str = NAME, data: bytes = V2, place: str = "pdq") -> Path:
    path = root / place / name
    path.write_bytes(data)
    return path


# looking


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


# reading


@pytest.mark.parametrize(
    ("body", "version", "action", "dedup_key", "chain"),
    [
        ({"routing_key": "K", "event_action": "resolve", "dedup_key": "d"},
         "v2", "resolve", "d", "=d"),
        ({"service_key": "K", "event_type": "trigger", "incident_key": "d"},
         "v1", "trigger", "d", "=d"),
        ({"routing_key": "K", "payload": {}}, "change", "change", None, NAME),
        ({"service_key": "K", "event_type": "trigger"}, "v1", "trigger", None, NAME),
        ({"service_key": "K", "event_type": "trigger", "incident_key": ""},
         "v1", "trigger", "", NAME),
        ({"routing_key": "K", "event_action": 7, "dedup_key": ["x"]}, "v2", "7", "['x']", "=['x']"),
    ],
)  # fmt: skip
def test_an_event_is_understood(
    root: Path, body: dict[str, object], version: str, action: str, dedup_key: str, chain: str
) -> None:
    """v1 and v2 events of the same incident are of one chain; without a key, each is its own."""
    put(root, data=json.dumps(body).encode())
    pending = Backlog(str(root)).load(NAME)
    assert isinstance(pending, Pending)
    assert pending.version == version
    assert pending.action == action
    assert (pending.dedup_key or "") == (dedup_key or "")
    assert pending.chain == chain
    assert pending.data == json.dumps(body).encode()


def hostile(path: Path, kind: str) -> None:
    """Makes a hostile entry of that kind."""
    contents = {
        "empty": b"",
        "not JSON": b"disk full",
        "cut off": V2[:-5],
        "not UTF-8": b'{"routing_key":"\xff"}',
        "UTF-16": '{"routing_key":"K"}'.encode("utf-16"),
        "no object": b'["routing_key"]',
        "no key": b'{"event_action":"trigger"}',
        "nested": b'{"a":' * 100_000 + b"}",
        "a number too long": b'{"routing_key":"K","x":' + b"9" * 5000 + b"}",
        "too large": b'{"routing_key":"' + b"x" * EVENT_BYTES_MOST + b'"}',
    }
    if kind in contents:
        path.write_bytes(contents[kind])
    elif kind == "sparse":
        with path.open("wb") as file:
            file.truncate(1 << 40)
    elif kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "dangling link":
        path.symlink_to("/nowhere")
    elif kind == "looping link":
        path.symlink_to(path.name)
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        here = os.open(path.parent, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(f"/proc/self/fd/{here}/{path.name}")  # paths of sockets are short
        os.close(here)


HOSTILE = {
    "empty": "it is empty",
    "not JSON": "it is not JSON",
    "cut off": "it is not JSON",
    "not UTF-8": "it is not UTF-8",
    "UTF-16": "it is not JSON",
    "no object": "it is not a JSON object",
    "no key": "neither a routing_key nor a service_key",
    "nested": "it is nested too deep",
    "a number too long": "it is not JSON",
    "too large": "it is larger than 4194304 bytes",
    "sparse": "it is larger than 4194304 bytes",
    "link": "it is a symbolic link",
    "dangling link": "it is a symbolic link",
    "looping link": "it is a symbolic link",
    "FIFO": "it is not a regular file",
    "socket": "it is not a regular file",
}


@pytest.mark.parametrize(("kind", "why"), HOSTILE.items(), ids=HOSTILE.keys())
def test_a_hostile_entry_is_named_and_can_be_set_aside(root: Path, kind: str, why: str) -> None:
    """Nothing is followed, nothing blocks; the reason is in words."""
    hostile(root / "pdq" / NAME, kind)
    backlog = Backlog(str(root))
    with pytest.raises(Hostile, match=why):
        backlog.load(NAME)
    assert backlog.settle_in_error(NAME) == NAME
    assert os.listdir(root / "err") == [NAME]
    assert os.listdir(root / "pdq") == []


@pytest.mark.parametrize("data", [b"", V2[:-5], '{"a": "é'.encode()[:-1]])
@pytest.mark.parametrize(("age", "kind"), [(0, Incomplete), (60, Hostile), (-60, Hostile)])
def test_a_new_file_may_be_half_written(
    root: Path, data: bytes, age: int, kind: type[Hostile]
) -> None:
    """What may be the beginning of an event is one only while it is new by the clock."""
    path = put(root, data=data)
    now = path.stat().st_mtime - age
    os.utime(path, (now, now))
    with pytest.raises(Hostile) as caught:
        Backlog(str(root)).load(NAME)
    assert type(caught.value) is kind
    assert str(caught.value).startswith("it is ")  # empty, or not JSON


@pytest.mark.parametrize("data", [b'["routing_key"]', b'{"event_action":"trigger"}'])
def test_a_new_file_that_is_complete_is_judged_at_once(root: Path, data: bytes) -> None:
    """Nothing that anyone may write behind it makes it an event."""
    put(root, data=data)
    with pytest.raises(Hostile) as caught:
        Backlog(str(root)).load(NAME)
    assert type(caught.value) is Hostile


@pytest.mark.skipif(not ROOT, reason="needs several users")
def test_a_file_that_the_agent_may_not_read() -> None:
    """Another user's, mode 600: set aside, not in the way for ever."""
    with directory() as root:
        for name in ("pdq", "err"):
            (root / name).mkdir()
            os.chown(root / name, AGENT.uid, AGENT.gid)
        path = put(root)
        os.chown(path, SENDER.uid, SENDER.gid)
        path.chmod(0o600)
        code = (
            "from pdagent.queue.backlog import Backlog\n"
            "from pdagent.queue.pending import Hostile\n"
            "backlog = Backlog(sys.argv[0])\n"
            f"try:\n    backlog.load({NAME!r})\n"
            f"except Hostile as why:\n    print(why, backlog.settle_in_error({NAME!r}))\n"
        )
        found = subprocess.run(python(code, str(root)), capture_output=True, **AGENT.popen())
        assert found.stdout.decode() == f"the agent may not read it {NAME}\n", found
        assert os.listdir(root / "err") == [NAME]


def test_a_large_event_within_the_limit_is_read(root: Path) -> None:
    """Just under 4 MiB is PagerDuty's to judge, as it was."""
    data = b'{"routing_key":"' + b"x" * (EVENT_BYTES_MOST - 18) + b'"}'
    assert len(data) == EVENT_BYTES_MOST
    put(root, data=data)
    assert Backlog(str(root)).load(NAME).data == data


def test_what_is_gone_is_not_hostile(root: Path) -> None:
    """A person removed it."""
    with pytest.raises(FileNotFoundError):
        Backlog(str(root)).load(NAME)


# an enqueue that died, or is still running


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


# moving on


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


def test_counts(root: Path) -> None:
    """By key and state, keys sorted; what is no event does not count."""
    for place, name in [
        ("pdq", "1_B.txt"), ("pdq", "2_B.txt"), ("suc", "1_A.txt"), ("err", "1_B.txt"),
        ("pdq", "junk"), ("err", "x_B.txt"), ("tmp", "1_C.txt"),
    ]:  # fmt: skip
        put(root, name, place=place)
    counts = Backlog(str(root)).counts()
    assert list(counts.items()) == [("A", Count(0, 1, 0)), ("B", Count(2, 0, 1))]


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


def test_a_directory_is_never_moved(root: Path) -> None:
    """Not even one that was slipped in after the file was read: in err/ its owner could go on
    writing into it."""
    (root / "pdq" / NAME).mkdir()
    backlog = Backlog(str(root))
    with pytest.raises(Directory):
        backlog.load(NAME)
    for settle in (backlog.settle_in_error, backlog.settle_delivered):
        with pytest.raises(IsADirectoryError, match=NAME):
            settle(NAME)
    assert os.listdir(root / "pdq") == [NAME]
    assert os.listdir(root / "err") == os.listdir(root / "suc") == []


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


class Counted:
    """A function, and how often it was called."""

    def __init__(self, function: Callable[[str], object]) -> None:
        self._function = function
        self.calls = 0

    def __call__(self, path: str) -> object:
        self.calls += 1
        return self._function(path)


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


# everything at once

KEYS = st.sampled_from(["A", "B_b", "C c"])
KINDS = st.sampled_from(sorted(set(HOSTILE) - {"too large", "nested"}))


class SpoolMachine(RuleBasedStateMachine):
    """Senders, vandals, crashes, a clock that jumps, a daemon and an administrator share a spool.

    Each event has a number of its own in its body, so that it can be found again wherever it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="pdagent-"))
        for name in ("tmp", "pdq", "suc", "err"):
            (self.root / name).mkdir()
        self.clock = 1_000_000
        self.number = 0
        self.backlog = Backlog(str(self.root))
        self.spool = Spool(str(self.root), lambda: self.clock * 1000)
        self.where: dict[int, str] = {}  # accepted events, and the directory each must be in
        self.vandalism = 0  # entries that are no events

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def made(self, key: str) -> tuple[int, bytes]:
        self.number += 1
        body = {"routing_key": key, "event_action": "trigger", "n": self.number}
        return self.number, json.dumps(body).encode()

    # --- what happens -----------------------------------------------------------------------

    @rule(ticks=st.integers(-5, 5))
    def the_clock_moves(self, ticks: int) -> None:
        self.clock += ticks

    @rule(key=KEYS, times=st.integers(1, 4))
    def enqueue(self, key: str, times: int) -> None:
        for _ in range(times):
            number, data = self.made(key)
            name = self.spool.enqueue(key, data)
            assert key_of(name) == key
            self.where[number] = "pdq"

    @rule(key=KEYS)
    def die_before_link(self, key: str) -> None:
        self.leave_in_tmp(key, self.made(key)[1])

    @rule(key=KEYS)
    def die_before_unlink(self, key: str) -> None:
        number, data = self.made(key)
        path = self.leave_in_tmp(key, data)
        for tick in range(1000):
            target = self.root / "pdq" / file_name(self.clock + tick, key)
            if not os.path.lexists(target):
                os.link(path, target)
                break
        self.where[number] = "pdq"

    def leave_in_tmp(self, key: str, data: bytes) -> Path:
        path = self.root / "tmp" / file_name(self.clock - self.number * 10_000, key)
        path.write_bytes(data)
        return path

    @rule(kind=KINDS, key=KEYS, named=st.booleans())
    def vandalise(self, kind: str, key: str, named: bool) -> None:
        name = file_name(self.clock, key) if named else f"junk{self.clock}"
        path = self.root / "pdq" / name
        if not os.path.lexists(path):
            hostile(path, kind)
            self.vandalism += 1

    @rule(data=st.data(), most=st.integers(1, 5))
    def drain(self, data: st.DataObject, most: int) -> None:
        events, others = looked(self.backlog)
        assert events == sorted(events, key=lambda name: (int(name.partition("_")[0]), name))
        for name in others:
            self.backlog.settle_in_error(name)
        for name in events[:most]:
            self.take(name, data.draw(st.sampled_from(["delivered", "in error", "waits"])))

    def take(self, name: str, fate: str) -> None:
        try:
            pending = self.backlog.load(name)
        except Unfinished as unfinished:
            pending = unfinished.pending
            self.backlog.adopt(name)
            assert self.backlog.load(name).data == pending.data
        except Hostile:
            self.backlog.settle_in_error(name)
            return
        number = pending.body["n"]
        assert isinstance(number, int)
        assert self.where[number] == "pdq", "pending again, or never accepted"
        if fate == "delivered":
            self.backlog.settle_delivered(name)
            self.where[number] = "suc"
        elif fate == "in error":
            self.backlog.settle_in_error(name)
            self.where[number] = "err"

    @precondition(lambda self: "err" in self.where.values())
    @rule(key=st.none() | KEYS)
    def retry(self, key: str | None) -> None:
        for old in self.backlog.names("err"):
            if key is not None and key_of(old) != key:
                continue
            new = self.backlog.name_in_place(old, "pdq")
            self.backlog.retry(old, new)
            path = self.root / "pdq" / new
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 1000:
                number = number_in(path)
                if number is not None:
                    assert self.where[number] == "err"
                    self.where[number] = "pdq"

    @precondition(lambda self: self.where)
    @rule(data=st.data(), place=st.sampled_from(["pdq", "err", "suc"]))
    def purge(self, data: st.DataObject, place: str) -> None:
        names = self.backlog.names(place)
        entries = [(place, name) for name in names if data.draw(st.booleans())]
        numbers = [number_in(self.root / place / name) for _, name in entries]
        assert self.backlog.purge(entries) == entries
        self.vandalism -= numbers.count(None)
        for number in numbers:
            self.where.pop(number or 0, None)

    # --- what holds -----------------------------------------------------------------------------

    @invariant()
    def every_accepted_event_is_where_it_should_be_and_nowhere_else(self) -> None:
        found: Counter[tuple[int, str]] = Counter()
        others = 0
        for place in ("pdq", "suc", "err"):
            for entry in self.entries(place):
                number = number_in(entry)
                if number is None:
                    others += 1
                else:
                    found[number, place] += 1
        assert found == Counter(self.where.items())
        assert others == self.vandalism, "somebody's entry was overwritten"

    def entries(self, place: str) -> Iterator[Path]:
        yield from (self.root / place).iterdir()

    @invariant()
    def the_counts_are_those_of_the_directories(self) -> None:
        counts = self.backlog.counts().values()
        named = {
            place: sum(key_of(path.name) is not None for path in self.entries(place))
            for place in ("pdq", "suc", "err")
        }
        assert sum(count.pending for count in counts) == named["pdq"]
        assert sum(count.delivered for count in counts) == named["suc"]
        assert sum(count.in_error for count in counts) == named["err"]


def number_in(path: Path) -> int | None:
    """The number of the event in a file, None for a vandal's entry."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > 1000:
        return None
    try:
        number = json.loads(path.read_bytes()).get("n")
    except (ValueError, AttributeError):
        return None
    return number if isinstance(number, int) else None


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
