"""One daemon serves a spool, in directories that have the modes that keep strangers out."""

import errno
import fcntl
import os
import shutil
import stat
from pathlib import Path

import pytest

from pdagent import exits
from pdagent.config import Config
from pdagent.queue.layout import (
    DROP_MODE,
    PRIVATE_MODE,
    CannotRun,
    Lock,
    is_served,
    lock_file,
    make_directories,
    open_wake,
)
from pdagent.spool import wake_fifo


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    make_directories(Config({"data_dir": str(tmp_path)}))
    return tmp_path / "outqueue"


def test_directories_have_their_modes(made: Path, tmp_path: Path) -> None:
    """Also where somebody, or an old agent, gave them others."""
    drops, private = [made / "tmp", made / "pdq", made / "jobs"], [made / "suc", made / "err"]
    (made / "pdq").chmod(0o777)
    make_directories(Config({"data_dir": str(tmp_path)}))
    assert {mode(path) for path in drops} == {DROP_MODE}
    assert {mode(path) for path in private} == {PRIVATE_MODE}


def test_two_daemons_that_start_at_once_make_the_same_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one makes each a moment before. What else lies in a directory's place is told."""
    mkdir = os.mkdir

    def second(path: str) -> None:
        mkdir(path)
        mkdir(path)

    monkeypatch.setattr(os, "mkdir", second)
    make_directories(Config({"data_dir": f"{tmp_path}/srv/pdagent"}))
    assert mode(tmp_path / "srv/pdagent/outqueue/pdq") == DROP_MODE
    (tmp_path / "pdagent").write_text("")
    with pytest.raises(CannotRun, match="cannot make the directory"):
        make_directories(Config({"data_dir": f"{tmp_path}/pdagent"}))


def test_a_link_that_leads_nowhere_is_named(made: Path, tmp_path: Path) -> None:
    """Where the service's sandbox hides the larger disk, the queue behind the link is not there."""
    hidden = made.rename(tmp_path / "home")
    made.symlink_to(hidden)
    make_directories(Config({"data_dir": str(tmp_path)}))
    hidden.rename(tmp_path / "gone")
    with pytest.raises(CannotRun, match=f"the link {made} leads to {hidden}, which is not there"):
        make_directories(Config({"data_dir": str(tmp_path)}))


def refused(root: Path) -> None:
    """A second daemon of this spool learns the pid of the first."""
    with pytest.raises(CannotRun, match=f"pid {os.getpid()}") as error:
        Lock(str(root))
    assert error.value.code == exits.TRY_AGAIN


def test_a_spool_has_one_daemon(made: Path) -> None:
    """The lock ends with its holder."""
    lock = Lock(str(made))
    refused(made)
    assert not lock.keep()


def test_a_lock_whose_file_is_gone(made: Path) -> None:
    """No other daemon gets it, with all of db/ neither, and the first one takes it anew."""
    lock = Lock(str(made))
    shutil.rmtree(made.parent / "db")
    (made.parent / "db").mkdir()
    with pytest.raises(CannotRun, match="pid unknown"):
        Lock(str(made))
    assert not os.path.lexists(lock_file(str(made)))
    assert lock.keep()
    assert not lock.keep()
    refused(made)


def test_a_lock_of_a_queue_that_is_gone(made: Path) -> None:
    """The one of the file goes on, and the one of pdq/ is taken anew."""
    lock = Lock(str(made))
    (made / "pdq").rename(made / "gone")
    assert not lock.keep()
    (made / "pdq").mkdir()
    assert not lock.keep()
    os.unlink(lock_file(str(made)))
    with pytest.raises(CannotRun):
        Lock(str(made))


def test_a_file_system_that_locks_no_directory(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As NFS, which takes locks only of what is open for writing: the file's lock is enough."""
    flock = fcntl.flock

    def as_on_nfs(fd: int, how: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", as_on_nfs)
    lock = Lock(str(made))
    refused(made)
    assert not lock.keep()


def test_a_spool_is_served_while_its_fifo_has_a_reader(made: Path) -> None:
    """Whatever lies in the FIFO's place is replaced; others may write to it only."""
    path = Path(wake_fifo(str(made)))
    path.write_text("")
    assert not is_served(str(made))
    fifo = open_wake(str(made))
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert mode(path) == 0o622
    assert is_served(str(made))
    os.close(fifo)
    assert not is_served(str(made))


def test_every_sender_passes_through_what_is_made(tmp_path: Path) -> None:
    """A data_dir of an administrator's own, or an empty volume: the daemon's umask is no reason to
    shut the queue to all other users."""
    before = os.umask(0o027)
    try:
        make_directories(Config({"data_dir": f"{tmp_path}/srv/pdagent"}))
    finally:
        os.umask(before)
    for path in ("srv", "srv/pdagent", "srv/pdagent/outqueue", "srv/pdagent/db"):
        assert (tmp_path / path).stat().st_mode & 0o777 == 0o755, path
