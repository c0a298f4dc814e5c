"""Whatever happens on the way, an event is in the spool whole and for good, or not at all."""

import contextlib
import errno
import os
import posix
import re
import resource
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
from tests.support.faults import LINK, UNLINK, calls, mounted, python, traced
from tests.support.users import AGENT, ROOT, SENDER, STRANGER

ENQUEUE = """
from pdagent.spool import Spool, SpoolError
root, key, size = sys.argv
try:
    print(Spool(root).enqueue(key, b"x" * int(size)))
except SpoolError as error:
    print(error)
    sys.exit(75)
"""


def names(root: Path, name: str) -> list[str]:
    return sorted(os.listdir(root / name))


def open_files(below: Path) -> list[str]:
    """Those that this process has open."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
    return [path for path in found if path.startswith(str(below))]


def enqueue(root: Path, size: int = 100) -> list[str]:
    return python(ENQUEUE, str(root), "KEY", str(size))


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


# what is there afterwards


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


# durability


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


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("fsync:error=EIO:when=1", "Input/output error"),
        ("fsync:error=EIO:when=2", "Input/output error"),
        ("fsync:error=ENOSPC:when=1", "No space left on device"),
        ("fchmod:error=EPERM", "Operation not permitted"),
        (f"{LINK}:error=EDQUOT", "Disk quota exceeded"),
        (f"{LINK}:error=EROFS", "Read-only file system"),
        (f"{LINK}:error=EMLINK", "Too many links"),
    ],
)
def test_a_fault_leaves_nothing_that_could_be_sent(
    root: Path, tmp_path: Path, fault: str, said: str
) -> None:
    """One line that names path, cause and remedy; and fsync is not tried a second time."""
    log = tmp_path / "log"
    sent = traced(enqueue(root), log, fault)
    text = sent.stdout.decode()
    assert sent.returncode == 75, sent
    assert said in text
    assert str(root) in text
    assert "The event was not queued." in text
    assert text.count("\n") == 1
    assert text.endswith(".\n")
    assert names(root, "pdq") == names(root, "tmp") == []
    if fault.startswith("fsync"):
        assert len(re.findall(r"^fsync", log.read_text(), re.MULTILINE)) == int(fault[-1])


@pytest.mark.parametrize("call", ["fchmod", "write", LINK, "fsync"])
def test_a_fault_leaves_no_open_file(root: Path, tmp_path: Path, call: str) -> None:
    """The daemon's own endpoint goes on after it."""
    count = "import posix\nprint(len(posix.listdir('/proc/self/fd')))\n"
    failing = count + ENQUEUE.replace("sys.exit(75)", count.replace("\n", "\n    "))
    # the first write to a file is the event's: what is printed goes to a pipe at the end
    sent = traced(
        python(failing, str(root), "KEY", "100"), tmp_path / "log", f"{call}:error=EIO:when=1"
    )
    before, said, after = sent.stdout.decode().splitlines()
    assert "Input/output error" in said
    assert before == after


def inject(
    patch: pytest.MonkeyPatch, call: str, result: Callable[[int], object] = lambda _: None
) -> list[str]:
    """Has a system call of this process do something else: `result` is handed the number of the
    call. None lets it go on as always. Returns what it is called with: names of files."""
    real, named = getattr(posix, call), list[str]()

    def called(*arguments: Any) -> object:
        first = arguments[0]
        named.append(os.readlink(f"/proc/self/fd/{first}") if isinstance(first, int) else first)
        found = result(len(named))
        return real(*arguments) if found is None else found

    patch.setattr(posix, call, called)
    return named


FULL = "The event was not queued. Free some space."
ODD = "The event was not queued."
READ_ONLY = (
    "The event was not queued. Mount the file system writable. In a systemd unit with "
    "ProtectSystem=strict or DynamicUser=yes, add the line ReadWritePaths={root}."
)


@pytest.mark.parametrize(
    ("call", "when", "error", "said"),
    [
        ("fchmod", 1, OSError(errno.EIO, ""), f"tmp: Input/output error. {ODD}"),
        ("write", 1, OSError(errno.ENOSPC, ""), f"tmp: No space left on device. {FULL}"),
        ("fsync", 1, OSError(errno.EIO, ""), f"tmp: Input/output error. {ODD}"),
        ("link", 1, OSError(errno.EROFS, ""), f"pdq: Read-only file system. {READ_ONLY}"),
        ("link", 1, OSError("odd"), f"pdq: Input/output error. {ODD}"),
        ("fsync", 2, OSError(errno.EIO, ""), f"pdq: Input/output error. {ODD}"),
        ("fsync", 2, KeyboardInterrupt(), ""),
    ],
)
def test_whatever_fails_nothing_is_left(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    when: int,
    error: BaseException,
    said: str,
) -> None:
    """Neither a file nor an open one, and the text says where it was, why, and what to do."""

    def failing(number: int) -> None:
        if number == when:
            raise error

    calls = inject(monkeypatch, call, failing)
    with pytest.raises((SpoolError, KeyboardInterrupt)) as caught:
        Spool(str(root)).enqueue("K", b"{}")
    assert len(calls) == when
    assert names(root, "pdq") == names(root, "tmp") == []
    assert open_files(root) == []
    assert str(caught.value) == (said and f"cannot write to {root}/{said.format(root=root)}")


def test_an_error_has_its_parts() -> None:
    """For those who say it in other words."""
    error = SpoolError("K", b"{}", "cannot", "Do.")
    assert (error.key, error.body, error.cause, error.remedy) == ("K", b"{}", "cannot", "Do.")


@pytest.mark.parametrize("size", [1, 7])
def test_a_disk_may_take_a_part_at_a_time(
    root: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """The body is whole all the same."""
    real = posix.write
    monkeypatch.setattr(posix, "write", lambda fd, data: real(fd, data[:size]))
    name = Spool(str(root)).enqueue("K", b'{"a":"0123456789"}')
    assert (root / "pdq" / name).read_bytes() == b'{"a":"0123456789"}'


def test_a_disk_that_takes_nothing_is_full(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody tries for ever."""
    inject(monkeypatch, "write", lambda _: 0)
    with pytest.raises(SpoolError) as caught:
        Spool(str(root)).enqueue("K", b"{}")
    assert str(caught.value) == f"cannot write to {root}/tmp: No space left on device. {FULL}"


def test_a_file_is_never_anybodys(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even before it has its mode, whatever the umask lets others do."""
    modes = []

    def looks(_: int) -> None:
        [path] = (root / "tmp").iterdir()
        modes.append(stat.S_IMODE(path.stat().st_mode))

    inject(monkeypatch, "fchmod", looks)
    before = os.umask(0)
    try:
        Spool(str(root)).enqueue("K", b"{}")
    finally:
        os.umask(before)
    assert modes == [FILE_MODE]


@pytest.mark.parametrize("may_open", [True, False])
def test_what_makes_the_link_last(
    root: Path, monkeypatch: pytest.MonkeyPatch, may_open: bool
) -> None:
    """The directory. Whoever may not open that syncs the file, once more."""

    def forbidden(number: int) -> None:
        if number == 2 and not may_open:
            raise PermissionError(errno.EACCES, "")

    inject(monkeypatch, "open", forbidden)
    synced = inject(monkeypatch, "fsync")
    name = Spool(str(root), lambda: 5_000).enqueue("K", b"{}")
    assert synced == [f"{root}/tmp/{name}", f"{root}/pdq" if may_open else f"{root}/tmp/{name}"]
    assert open_files(root) == []


def limited() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_a_write_that_stops_half_way_queues_nothing(root: Path) -> None:
    """4 KiB of 12 are no event (the old agent queued them)."""
    sent = subprocess.run(enqueue(root, 12_000), capture_output=True, preexec_fn=limited)
    assert sent.returncode == 75
    assert b"File too large" in sent.stdout
    assert names(root, "pdq") == []
    assert names(root, "tmp") == []


@pytest.mark.skipif(not ROOT, reason="needs mount(2)")
def test_a_full_disk_queues_nothing(root: Path) -> None:
    """Whether there is no room at all or some; and the remedy is named."""
    with mounted(root, "size=64k"):
        for name in ("tmp", "pdq"):
            (root / name).mkdir()
        with pytest.raises(SpoolError, match=r"No space left on device.*Free some space"):
            Spool(str(root)).enqueue("K", b"x" * 100_000)
        with pytest.raises(OSError, match="No space left"):
            (root / "filler").write_bytes(b"x" * 100_000)
        with pytest.raises(SpoolError, match="No space left on device"):
            Spool(str(root)).enqueue("K", b"x")
        assert names(root, "pdq") == []
        assert names(root, "tmp") == []
        (root / "filler").unlink()
        Spool(str(root)).enqueue("K", b"x")


@pytest.mark.skipif(not ROOT, reason="needs mount(2)")
def test_a_disk_without_inodes_queues_nothing(root: Path) -> None:
    """Room for bytes is not room for files."""
    with mounted(root, "nr_inodes=3"):
        for name in ("tmp", "pdq"):
            (root / name).mkdir()
        with pytest.raises(SpoolError, match="tmp: No space left on device"):
            Spool(str(root)).enqueue("K", b"x")


@pytest.mark.skipif(not ROOT, reason="needs mount(2)")
def test_a_read_only_disk_queues_nothing(root: Path) -> None:
    """The remedy is another one."""
    with mounted(root, "size=64k"):
        for name in ("tmp", "pdq"):
            (root / name).mkdir()
        subprocess.run(["mount", "-o", "remount,ro", root], check=True)
        with pytest.raises(SpoolError, match=r"tmp: Read-only file system.*Mount the file system"):
            Spool(str(root)).enqueue("K", b"x")


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


# death


@pytest.mark.parametrize(
    ("at", "temporary", "pending"),
    [
        ("fchmod", 1, 0),
        ("fsync:when=1", 1, 0),
        (LINK, 1, 0),
        ("fsync:when=2", 1, 1),
        (UNLINK, 1, 1),
    ],
)
def test_death_between_two_steps(
    root: Path, tmp_path: Path, at: str, temporary: int, pending: int
) -> None:
    """Killed at any point, there is a whole pending event or none, and tmp/ shows that it died."""
    call, _, when = at.partition(":")
    sent = traced(enqueue(root), tmp_path / "log", f"{call}:signal=KILL" + (when and ":" + when))
    assert sent.returncode == -signal.SIGKILL
    assert len(names(root, "tmp")) == temporary
    assert len(names(root, "pdq")) == pending
    for name in names(root, "pdq"):
        assert (root / "pdq" / name).read_bytes() == b"x" * 100
        assert (root / "pdq" / name).stat().st_nlink == 2


def test_an_interrupt_before_the_promise_withdraws_the_event(root: Path, tmp_path: Path) -> None:
    """^C while the link is made durable: nobody was told that it was accepted."""
    sent = traced(enqueue(root), tmp_path / "log", "fsync:signal=INT:when=2")
    assert sent.returncode != 0
    assert names(root, "pdq") == []
    assert names(root, "tmp") == []


# the wake-up


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
