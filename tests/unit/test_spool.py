"""Whatever happens on the way, an event is in the spool whole and for good, or not at all."""

import errno
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdagent.spool import (
    FILE_MODE,
    Spool,
    SpoolError,
    file_name,
    open_fifo,
    poke,
    wake_fifo,
)
from tests.support.agent import directory
from tests.support.faults import calls, python, traced
from tests.support.users import AGENT, ROOT, SENDER, STRANGER
from tests.unit.spooling import ENQUEUE, ODD, enqueue, names, open_files


@pytest.fixture
def shared() -> Iterator[Path]:
    """A spool with the modes of an installed one, that every user can reach."""
    with directory() as top:
        for name in ("tmp", "pdq"):
            (top / name).mkdir()
            if ROOT:
                os.chown(top / name, AGENT.uid, AGENT.gid)
            (top / name).chmod(0o3733)
        yield top


def test_an_event_is_one_file_with_exactly_its_body(root: Path) -> None:
    """Named by microsecond and key, and nothing else is left behind."""
    name = Spool(str(root), lambda: 1_795_402_356_123_456_789).enqueue("KEY1", b'{"a":1}')
    assert name == "1795402356123456_KEY1.txt"
    assert names(root, "pdq") == [name]
    assert (root / "pdq" / name).read_bytes() == b'{"a":1}'
    assert names(root, "tmp") == []


def test_names_sort_in_the_order_of_their_making() -> None:
    """From 1970 on, whatever the key."""
    made = [file_name(n, "K") for n in (0, 5, 1_000_000, 1_795_402_356_123_456, 10**16 - 1)]
    assert made == sorted(made)
    assert made[1] == "0000000000000005_K.txt"


@pytest.mark.parametrize("key", ["a_b", "a b", "%s", "\u00e9" * 64, "k" * 128, ".", ".."])
def test_odd_keys_make_good_names(root: Path, key: str) -> None:
    """What check_key lets through can be a file."""
    name = Spool(str(root)).enqueue(key, b"{}")
    assert names(root, "pdq") == [name]
    assert name.endswith(f"_{key}.txt")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_the_mode_does_not_depend_on_the_umask(root: Path, umask: int) -> None:
    """The agent's group can read it, others can't, whatever the sender's umask."""
    before = os.umask(umask)
    try:
        name = Spool(str(root)).enqueue("KEY1", b"{}")
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "pdq" / name).stat().st_mode) == FILE_MODE


def test_the_same_microsecond_makes_different_names_in_order(root: Path) -> None:
    """A name that exists is never used again: the next microsecond is."""
    spool = Spool(str(root), lambda: 5_000)
    made = [spool.enqueue("K", b"%d" % n) for n in range(20)]
    assert made == sorted(set(made))
    assert [(root / "pdq" / name).read_bytes() for name in made] == [b"%d" % n for n in range(20)]


def test_what_is_in_the_way_is_not_touched(root: Path) -> None:
    """Files, links and directories that others made under the next names stay as they are."""
    (root / "tmp" / file_name(5, "K")).write_bytes(b"theirs")
    (root / "tmp" / file_name(6, "K")).symlink_to(root / "target")
    (root / "pdq" / file_name(5, "K")).write_bytes(b"theirs")
    (root / "pdq" / file_name(6, "K")).symlink_to(root / "target")
    (root / "pdq" / file_name(7, "K")).mkdir()
    name = Spool(str(root), lambda: 5_000).enqueue("K", b"ours")
    assert name == file_name(8, "K")
    assert (root / "pdq" / file_name(5, "K")).read_bytes() == b"theirs"
    assert (root / "tmp" / file_name(5, "K")).read_bytes() == b"theirs"
    assert not (root / "target").exists()


@pytest.mark.parametrize("place", ["tmp", "pdq"])
def test_a_hundred_names_in_the_way_are_reported(root: Path, place: str) -> None:
    """It ends, in words, and leaves nothing."""
    for n in range(150):
        (root / place / file_name(n, "K")).touch()
    with pytest.raises(SpoolError) as caught:
        Spool(str(root), lambda: 0).enqueue("K", b"{}")
    assert str(caught.value) == f"cannot write to {root}/{place}: File exists. {ODD}"
    assert len(names(root, place)) == 150
    assert names(root, "pdq" if place == "tmp" else "tmp") == []


@pytest.mark.parametrize("place", ["tmp", "pdq"])
def test_ninety_nine_names_in_the_way_are_not(root: Path, place: str) -> None:
    """The next one is free."""
    for n in range(99):
        (root / place / file_name(n, "K")).touch()
    name = Spool(str(root), lambda: 0).enqueue("K", b"{}")
    assert (root / "pdq" / name).read_bytes() == b"{}"
    assert name == file_name(99 if place == "pdq" else 0, "K")


@pytest.mark.skipif(not ROOT, reason="needs several users")
def test_any_user_may_add_and_do_nothing_else(shared: Path) -> None:
    """Not list, read, replace or remove what is there; the event is the sender's, group the
    agent's."""
    sent = subprocess.run(
        enqueue(shared), capture_output=True, umask=0o777, check=False, **SENDER.popen()
    )
    name = sent.stdout.decode().strip()
    assert sent.returncode == 0, sent
    status = (shared / "pdq" / name).stat()
    assert (status.st_uid, status.st_gid) == (SENDER.uid, AGENT.gid)
    assert stat.S_IMODE(status.st_mode) == FILE_MODE
    path = str(shared / "pdq" / name)
    other = str(shared / "pdq" / "mine")
    for attempt in (
        f"os.listdir({str(shared / 'pdq')!r})",
        f"open({path!r})",
        f"os.unlink({path!r})",
        f"os.rename({path!r}, {other!r})",
        f"os.link({path!r}, {other!r})",
        f"(open({other!r}, 'w'), os.rename({other!r}, {path!r}))",
    ):
        code = f"import os\ntry:\n    {attempt}\nexcept PermissionError:\n    sys.exit(7)"
        tried = subprocess.run(python(code), capture_output=True, check=False, **STRANGER.popen())
        assert tried.returncode == 7, attempt
    assert len((shared / "pdq" / name).read_bytes()) == 100


def test_nothing_is_pending_before_it_is_on_the_disk(root: Path, tmp_path: Path) -> None:
    """write, fsync, link, fsync, and only then is the temporary name dropped."""
    log = tmp_path / "log"
    assert traced(enqueue(root), log).returncode == 0
    assert calls(log, root.parent) == [
        "open", "fchmod", "write", "fsync", "link", "open", "fsync", "unlink", "open",
    ]  # fmt: skip
    synced = re.findall(r"fsync\(\d+<([^>]+)>", log.read_text())
    assert [str(Path(path).relative_to(root)).split("/")[0] for path in synced] == ["tmp", "pdq"]


@pytest.mark.skipif(not ROOT, reason="needs several users")
def test_who_may_not_open_the_directory_syncs_the_file_again(shared: Path, tmp_path: Path) -> None:
    """Users outside the agent's group make the link durable by way of its inode."""
    log = tmp_path / "log"
    switch = f"import os; os.setgroups([]); os.setgid({SENDER.gid}); os.setuid({SENDER.uid})"
    command = python(switch + ENQUEUE, str(shared), "KEY", "100")
    assert traced(command, log).returncode == 0
    synced = re.findall(r"fsync\(\d+<([^>]+)>", log.read_text())
    assert [Path(path).parent.name for path in synced] == ["tmp", "tmp"]
    order = [call for call in calls(log, shared) if call in ("fsync", "link", "unlink")]
    assert order == ["fsync", "link", "fsync", "unlink"]


def test_a_missing_spool_is_named(root: Path) -> None:
    """As is what to do about it."""
    os.rmdir(root / "pdq")
    with pytest.raises(SpoolError, match=rf"cannot write to {root}/pdq: .*pdagentd been started"):
        Spool(str(root)).enqueue("K", b"x")
    assert names(root, "tmp") == []
    os.rmdir(root / "tmp")
    with pytest.raises(SpoolError, match=rf"cannot write to {root}/tmp: No such file"):
        Spool(str(root)).enqueue("K", b"x")


@pytest.mark.parametrize("place", ["tmp", "pdq"])
def test_a_spool_that_is_not_writable_is_named(shared: Path, place: str) -> None:
    """By the directory that is to blame, with the mode it should have."""
    (shared / place).chmod(0o755 if ROOT else 0o555)
    sent = subprocess.run(enqueue(shared), capture_output=True, check=False, **SENDER.popen())
    assert sent.returncode == 75
    said = f"cannot write to {shared}/{place}: Permission denied. The event was not queued. "
    assert sent.stdout.decode().startswith(said)
    assert "3733" in sent.stdout.decode()
    (shared / place).chmod(0o755)
    assert names(shared, "tmp") == []


def test_the_daemon_is_told_the_name(root: Path) -> None:
    """On a line of its own."""
    wake = Path(wake_fifo(str(root)))
    wake.parent.mkdir()
    os.mkfifo(wake)
    fd = os.open(wake, os.O_RDWR | os.O_NONBLOCK)
    try:
        made = [Spool(str(root)).enqueue("K", b"{}") for _ in range(3)]
        assert os.read(fd, 4096).decode().split() == made
    finally:
        os.close(fd)


@pytest.mark.parametrize("kind", ["missing", "nobody listens", "full", "file", "directory", "link"])
def test_a_wake_up_that_fails_is_no_failure(root: Path, kind: str) -> None:
    """The event is pending; the daemon will look. And nothing but a FIFO is ever written to."""
    wake = Path(wake_fifo(str(root)))
    wake.parent.mkdir()
    fd = -1
    if kind in ("nobody listens", "full"):
        os.mkfifo(wake)
    if kind == "full":
        fd = os.open(wake, os.O_RDWR | os.O_NONBLOCK)
        assert os.write(fd, b"x" * 1_048_576) < 1_048_576
    if kind == "file":
        wake.write_bytes(b"precious")
    if kind == "directory":
        wake.mkdir()
    if kind == "link":
        (root / "precious").touch()
        wake.symlink_to(root / "precious")
    name = Spool(str(root)).enqueue("K", b"{}")
    assert names(root, "pdq") == [name]
    if kind == "file":
        assert wake.read_bytes() == b"precious"
    if kind == "link":
        assert (root / "precious").read_bytes() == b""
    if fd >= 0:
        os.close(fd)


def test_an_event_that_is_not_queued_comes_back(root: Path) -> None:
    """With its key and its body, for those who deliver it in another way; and with the remedy."""
    (root / "pdq").rmdir()
    with pytest.raises(SpoolError, match="started once") as problem:
        Spool(str(root)).enqueue("K", b"{}")
    assert (problem.value.key, problem.value.body) == ("K", b"{}")
    assert not list((root / "tmp").iterdir())


def test_whether_anybody_listens(root: Path) -> None:
    """A wake says so. What is no FIFO is not written to."""
    spool = Spool(str(root))
    fifo = Path(wake_fifo(str(root)))
    fifo.parent.mkdir(exist_ok=True)
    os.mkfifo(fifo)
    assert not spool.wake("x")
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert spool.wake("1_\udcff.txt")
    assert os.read(fd, 100) == b"\n1_\xff.txt\n"
    assert poke(str(fifo), b"x" * 1_048_576)  # more than it holds
    assert spool.wake("full")
    os.close(fd)
    fifo.unlink()
    fifo.write_text("whole")
    assert not spool.wake("x")
    assert fifo.read_text() == "whole"
    with pytest.raises(OSError, match=r"not a FIFO$") as caught:
        open_fifo(str(fifo))
    assert (caught.value.errno, caught.value.strerror) == (errno.EINVAL, "not a FIFO")
    assert open_files(root.parent) == []
