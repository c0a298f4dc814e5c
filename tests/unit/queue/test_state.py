"""What the daemon remembers survives crashes and full disks, and damage never stops it."""

import errno
import json
import logging
import os
import stat
import uuid
from pathlib import Path

import pytest

from pdagent.queue import regular
from pdagent.queue.holds import told
from pdagent.queue.state import Counters, Reason, State, iso, write_whole
from tests.support.calls import Calls, Fault
from tests.support.faults import mounted, python, traced
from tests.support.users import ROOT

WALL = 1_795_402_356.9
REASON = Reason("2026-11-23T02:52:36Z", 400, "Event object is invalid", 3)
NAME = "1795402356123456_c7a4f1e2b9d84c6fa0b1c2d3e4f50617.txt"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "db").mkdir()
    return tmp_path


# writing


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """Text and mode are as asked, whatever was there and whatever the umask."""
    path = tmp_path / "file"
    path.write_text("old and longer")
    before = os.umask(0o777)
    try:
        write_whole(str(path), "new", 0o640)
    finally:
        os.umask(before)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "fault",
    ["fsync:error=EIO", "write:error=ENOSPC:when=1", "?rename,?renameat,?renameat2:error=EIO"],
)
def test_a_fault_leaves_the_old_text(tmp_path: Path, fault: str) -> None:
    """And nothing else."""
    path = tmp_path / "db" / "file"
    path.parent.mkdir()
    path.write_text("old")
    code = "from pdagent.queue.state import write_whole\nwrite_whole(sys.argv[0], 'new')"
    command = [word for word in python(code, str(path)) if word != "-S"]
    failed = traced(command, tmp_path / "log", fault)
    assert failed.returncode != 0
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["file"]


def test_death_in_mid_write_leaves_the_old_text(tmp_path: Path) -> None:
    """And the next write takes away what it left."""
    path = tmp_path / "db" / "file"
    path.parent.mkdir()
    path.write_text("old")
    code = "from pdagent.queue.state import write_whole\nwrite_whole(sys.argv[0], 'new')"
    died = traced(python(code, str(path)), tmp_path / "log", "fsync:signal=KILL")
    assert died.returncode == -9
    assert path.read_text() == "old"
    write_whole(str(path), "newer")
    assert path.read_text() == "newer"
    assert os.listdir(path.parent) == ["file"]


# agent id


def test_the_agents_id_is_made_once(data_dir: Path) -> None:
    """A UUID on one line, which every pd-send may read."""
    made = State(str(data_dir)).agent_id()
    assert State(str(data_dir)).agent_id() == made
    path = data_dir / "db/agent_id.txt"
    assert path.read_text() == f"{uuid.UUID(made)}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("damage", [b"", b"\n", b"not a uuid\n", b"\xff\xfe", b"\0" * 36])
def test_a_damaged_id_is_set_aside_and_said_once(
    data_dir: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The old agent never started again with one (an empty file, after a full disk)."""
    path = data_dir / "db/agent_id.txt"
    path.write_bytes(damage)
    made = State(str(data_dir)).agent_id()
    assert State(str(data_dir)).agent_id() == made
    assert (data_dir / "db/agent_id.txt.damaged").read_bytes() == damage
    assert caplog.text.count("is damaged") == 1


# db


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'"text"', b"\xff", b"[" * 100_000, b"\0" * 100]
)
def test_a_damaged_file_is_set_aside_and_said_once(
    data_dir: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing that can be in db/ stops the daemon."""
    path = data_dir / "db" / "aggregates"
    path.write_bytes(damage)
    state = State(str(data_dir))
    assert Counters(state, WALL).delivered == 0
    assert state.read("aggregates") == {}
    assert (data_dir / "db" / "aggregates.damaged").read_bytes() == damage
    assert caplog.text.count("is damaged") == 1


@pytest.mark.parametrize("shortage", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_shortage_is_no_damage(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, shortage: int
) -> None:
    """The files stay as they are, and are read when it is over."""
    state = State(str(data_dir))
    made = state.agent_id()
    state.write("aggregates", {"successful_events_count": 7})
    calls = Calls(os)
    with monkeypatch.context() as patch:
        patch.setattr(regular, "os", calls)
        for read in (state.agent_id, lambda: Counters(state, WALL)):
            calls.inject(Fault(1, shortage))
            with pytest.raises(OSError, match=os.strerror(shortage)):
                read()
    assert sorted(os.listdir(data_dir / "db")) == ["agent_id.txt", "aggregates"]
    assert state.agent_id() == made
    assert Counters(state, WALL).delivered == 7


def test_what_was_written_is_read(data_dir: Path) -> None:
    """As readable JSON, as the old agent wrote it."""
    state = State(str(data_dir))
    state.write("clock", {"b": 1, "a": None})
    assert state.read("clock") == {"a": None, "b": 1}
    assert (data_dir / "db" / "clock").read_text() == '{\n    "a": null,\n    "b": 1\n}\n'


@pytest.mark.skipif(not ROOT, reason="needs mount(2)")
def test_a_full_disk_costs_the_memory_and_not_the_daemon(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every method that writes returns, and the log says what was lost, without the key. Counters
    are written when there is room again."""
    with mounted(data_dir / "db", "size=4k,nr_inodes=2"):
        filler = data_dir / "db" / "filler"
        filler.write_bytes(b"x" * 4096)
        state = State(str(data_dir))
        assert not state.write("clock", {"a": 1})
        assert not state.keep_reason(NAME, REASON)
        counters = Counters(state, WALL)
        counters.save()
        assert state.reason(NAME) is None
        filler.unlink()
        counters.save()
        assert state.read("aggregates")["successful_events_count"] == 0
    assert "No space left on device" in caplog.text
    assert "c7a4f1e2b9d84c6f" not in caplog.text


# reasons


def test_a_reason_goes_with_its_event(data_dir: Path) -> None:
    """Kept, renamed, dropped; and never for others to read."""
    state = State(str(data_dir))
    state.keep_reason(NAME, REASON)
    assert state.reason(NAME) == REASON
    reasons = data_dir / "db" / "reasons"
    assert stat.S_IMODE((reasons / NAME).stat().st_mode) == 0o640
    assert stat.S_IMODE(reasons.stat().st_mode) & 0o007 == 0
    state.move_reason(NAME, "other")
    assert state.reason(NAME) is None
    assert state.reason("other") == REASON
    state.drop_reason("other")
    assert state.reason("other") is None
    state.drop_reason("other")
    assert os.listdir(reasons) == []


@pytest.mark.parametrize("name", ["x" * 255, "5_\udcff.txt", "~", ".hidden", "a\nb"])
def test_every_name_can_have_a_reason(data_dir: Path, name: str) -> None:
    """Also those that a vandal thought of."""
    state = State(str(data_dir))
    state.keep_reason(name, REASON)
    assert state.reason(name) == REASON


_NO_REASONS = [
    "",
    "{}",
    "[]",
    '{"at":1}',
    "nonsense",
    '{"at":5,"attempts":1,"reason":"r","status":400}',
    '{"at":"a","attempts":"1","reason":"r","status":400}',
    '{"at":"a","attempts":1,"reason":{},"status":400}',
    '{"at":"a","attempts":1,"reason":"r","status":[]}',
]


@pytest.mark.parametrize("damage", _NO_REASONS)
def test_a_damaged_reason_is_none(data_dir: Path, damage: str) -> None:
    """A person reads "no reason", not a traceback."""
    state = State(str(data_dir))
    state.keep_reason(NAME, REASON)
    (data_dir / "db" / "reasons" / NAME).write_text(damage)
    assert state.reason(NAME) is None


def test_no_reason_without_a_database(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody removed db/ while the daemon ran: said, and survived."""
    caplog.set_level(logging.ERROR)
    State(str(tmp_path)).keep_reason(NAME, REASON)
    assert "No such file or directory" in caplog.text
    assert "c7a4f1e2b9d84c6f" not in caplog.text


# counters


def test_counters_go_on_from_the_old_agents(data_dir: Path) -> None:
    """The file is the old agent's, to the byte."""
    text = {
        "failed_events_count": 6,
        "started_on": "2016-11-23T02:53:50Z",
        "successful_events_count": 7,
    }
    path = data_dir / "db" / "aggregates"
    path.write_text(json.dumps(text, indent=4, sort_keys=True))
    counters = Counters(State(str(data_dir)), WALL)
    assert (counters.delivered, counters.refused) == (7, 6)
    counters.delivered += 1
    counters.save()
    assert json.loads(path.read_text()) == {**text, "successful_events_count": 8}


def test_counters_are_written_only_when_they_have_changed(data_dir: Path) -> None:
    """An idle daemon writes nothing."""
    path = data_dir / "db" / "aggregates"
    counters = Counters(State(str(data_dir)), WALL)
    counters.save()
    assert json.loads(path.read_text())["started_on"] == "2026-11-23T02:52:36Z"
    path.unlink()
    counters.save()
    assert not path.exists()
    counters.refused += 1
    counters.save()
    assert path.exists()


@pytest.mark.parametrize(
    "value", [None, "7", -1, 1.5, True, [], {}, pytest.param(10**4300 - 1, id="long")]
)
def test_odd_counters_start_from_nothing(data_dir: Path, value: object) -> None:
    """Whatever somebody wrote there."""
    state = State(str(data_dir))
    names = ("failed_events_count", "successful_events_count", "started_on")
    state.write("aggregates", dict.fromkeys(names, value))
    counters = Counters(state, WALL)
    assert (counters.delivered, counters.refused) == (0, 0)
    assert isinstance(counters.started_on, str)
    counters.delivered += 1
    counters.save()


def test_iso() -> None:
    """UTC, whole seconds, 1970 included."""
    assert iso(WALL) == "2026-11-23T02:52:36Z"
    assert iso(0) == "1970-01-01T00:00:00Z"


def test_a_fifo_in_their_place(tmp_path: Path) -> None:
    """Whoever reads them, root too, does not wait for a FIFO's writer, and reads no device."""
    (tmp_path / "db/reasons").mkdir(parents=True)
    os.mkfifo(tmp_path / "db/agent_id.txt")
    os.mkfifo(tmp_path / "db/aggregates")
    (tmp_path / "db/clock").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "db/holds")
    os.mkfifo(tmp_path / "db/reasons/1_KEY.txt")
    state = State(str(tmp_path))
    assert told(str(tmp_path)) is None
    assert state.reason("1_KEY.txt") is None
    assert (state.read("aggregates"), state.read("clock")) == ({}, {})
    assert state.agent_id() == State(str(tmp_path)).agent_id()
