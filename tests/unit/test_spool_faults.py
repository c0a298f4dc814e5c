"""Whatever fails, and wherever an enqueue dies: nothing is queued that was not promised."""

import errno
import os
import posix
import re
import resource
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pdagent.spool import (
    FILE_MODE,
    Spool,
    SpoolError,
)
from tests.support.faults import LINK, UNLINK, mounted, python, traced
from tests.support.users import ROOT
from tests.unit.spooling import APART, ENQUEUE, FULL, ODD, READ_ONLY, enqueue, names, open_files


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


@pytest.mark.parametrize(
    ("call", "when", "error", "said"),
    [
        ("fchmod", 1, OSError(errno.EIO, ""), f"tmp: Input/output error. {ODD}"),
        ("write", 1, OSError(errno.ENOSPC, ""), f"tmp: No space left on device. {FULL}"),
        ("fsync", 1, OSError(errno.EIO, ""), f"tmp: Input/output error. {ODD}"),
        ("link", 1, OSError(errno.EROFS, ""), f"pdq: Read-only file system. {READ_ONLY}"),
        ("link", 1, OSError(errno.EXDEV, ""), f"pdq: Invalid cross-device link. {APART}"),
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
