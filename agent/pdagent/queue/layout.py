"""The layout of the agent's directories, and who may serve a spool: what a daemon needs before it
starts."""

import contextlib
import errno
import fcntl
import os
import stat

from pdagent import exits
from pdagent.config import Config
from pdagent.queue.regular import read_regular
from pdagent.spool import DELIVERED, IN_ERROR, JOBS, PENDING, TEMPORARY, poke, wake_fifo

EXPECT = "expect"  # expectations come here, as events come to pdq/
EXPECTED = "expected"  # and are kept here
WAKE_LINE = "expect/"  # it is no event's name, so daemons that know no expectations pass it over
# Anyone may add a file. Nobody may list the directory, or rename and remove the files of others.
DROP_MODE = 0o3733
PRIVATE_MODE = 0o2750


class CannotRun(Exception):
    """The daemon can't start; the text says why and what to do, `code` is the exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def is_lesser(path: str) -> bool:
    """Whether events are delivered without this directory: where an administrator has laid out the
    queue, it may not be there after an upgrade."""
    return path.rpartition("/")[2] in (EXPECT, EXPECTED, JOBS)


def directories(settings: Config) -> tuple[tuple[str, int | None], ...]:
    """The directories that the daemon writes into, and their modes; None where any mode will do.

    The package's data directory and spool are root's, so that root can safely write below them.
    """
    root = settings.spool_dir
    return (
        (f"{settings.data_dir}/db", None),
        (f"{root}/{TEMPORARY}", DROP_MODE),
        (f"{root}/{PENDING}", DROP_MODE),
        (f"{root}/{JOBS}", DROP_MODE),
        (f"{root}/{DELIVERED}", PRIVATE_MODE),
        (f"{root}/{IN_ERROR}", PRIVATE_MODE),
        (f"{root}/{EXPECT}", DROP_MODE),
        (f"{root}/{EXPECTED}", PRIVATE_MODE),
    )


_REMEDY = (
    "Use: sudo service pdagent start. After an accident with chown or chmod: "
    "sudo pdagent check --repair"
)


def make_directories(settings: Config) -> None:
    """Makes what is missing of the agent's directories, and sees that they can be written. Raises
    CannotRun, but not for one without which events are delivered."""
    for path, mode in directories(settings):
        try:
            _make(path, mode)
        except CannotRun:
            if not is_lesser(path):
                raise


def _make(path: str, mode: int | None) -> None:
    try:
        if not os.path.isdir(path):
            _make_above(path)
            _make_one(path, mode or 0o755)
        elif mode and stat.S_IMODE(os.stat(path).st_mode) != mode:
            # The old agent's directories had no sticky bit. The package's scripts set it where
            # they can. The unit forbids the daemon to do so, so this is for agents that run
            # without the unit.
            with contextlib.suppress(PermissionError):
                os.chmod(path, mode)
    except OSError as error:
        raise CannotRun(
            f"cannot make the directory {path}: {_why(error)}", exits.NOT_PERMITTED
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise CannotRun(
            f"Directory {path}: is not writable. Agent may be running as the wrong user. {_REMEDY}",
            exits.NOT_PERMITTED,
        )


def _why(error: OSError) -> str:
    """Why a directory can't be made, and what to do. A link that leads nowhere "exists"."""
    if isinstance(error, FileExistsError) and os.path.islink(error.filename):
        link, target = error.filename, os.path.realpath(error.filename)
        return (
            f"the link {link} leads to {target}, which is not there, or is hidden by the sandbox "
            "of the service's unit. To /home it may lead with ProtectHome=read-only in the unit"
        )
    return f"{error.strerror}. {_REMEDY}"


def _refused(error: OSError) -> str:
    """The same for a file, which may be of a user pdagent who had another number."""
    remedy = f". {_REMEDY}" if isinstance(error, PermissionError) else ""
    return f"{error.strerror}{remedy}"


def _make_above(path: str) -> None:
    """Makes what is missing above a directory, as the package does: every pd-send passes through,
    whatever the daemon's umask is."""
    above = os.path.dirname(path)
    if not os.path.isdir(above):
        _make_above(above)
        _make_one(above, 0o755)


def _make_one(path: str, mode: int) -> None:
    """Two daemons that start at once both find that a directory is missing, and both make it. The
    second one finds that it is there. The lock, which comes later, tells which one serves."""
    try:
        os.mkdir(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    os.chmod(path, mode)


def lock_file(root: str) -> str:
    """The file that the daemon of the spool `root` has locked. It holds the daemon's pid."""
    return os.path.dirname(root) + "/db/daemon.lock"


class Lock:
    """What makes this the only daemon of the spool `root`. Construction takes it, and raises
    CannotRun.

    The lock decides, not the pid file. The kernel drops a lock when its holder dies, however it
    dies. A pid may belong to another process by then.

    It is two locks. A file can be locked anywhere, but somebody may remove it, with all of `db/`.
    The directory pdq/ is where the events are, but some file systems lock no directories. It is
    locked first, so that a second daemon has not got the file's lock when the first one wants to
    take that anew.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._queue = self._file = -1
        self.keep()

    def keep(self) -> bool:
        """Locks anew what somebody has removed. Returns whether that was so of the file. Raises
        CannotRun, with the code TRY_AGAIN if another daemon has the lock."""
        path = f"{self._root}/{PENDING}"
        if self._queue < 0 or not is_in_place(self._queue, path):
            with contextlib.suppress(OSError):
                self._queue = _instead_of(self._queue, self._locked(path, os.O_DIRECTORY))
        path = lock_file(self._root)
        if self._file >= 0 and is_in_place(self._file, path):
            return False
        try:
            fd = self._locked(path, os.O_CREAT | os.O_RDWR)
        except OSError as error:
            text = f"cannot lock {path}: {_refused(error)}"
            raise CannotRun(text, exits.NOT_PERMITTED) from error
        self._file = _instead_of(self._file, fd)
        # on a full disk only a second daemon's message lacks the pid
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.write(fd, b"%d\n" % os.getpid())
        return True

    def _locked(self, path: str, flags: int) -> int:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if not isinstance(error, BlockingIOError):
                raise
            raise CannotRun(
                f"pdagentd is running already (pid {self._holder()}) and serves {self._root}",
                exits.TRY_AGAIN,
            ) from error
        return fd

    def _holder(self) -> str:
        try:
            return str(int(read_regular(lock_file(self._root), 32)))
        except (OSError, ValueError):
            return "unknown"


def _instead_of(old: int, new: int) -> int:
    if old >= 0:
        os.close(old)
    return new


def is_in_place(fd: int, path: str) -> bool:
    """Whether the open file is still the one at `path`, as far as the disk tells."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False
    except OSError:
        return True


def frozen(root: str) -> str:
    """Why the file system of the spool `root` takes no change, whatever owners and modes say; "" if
    it does.

    access(2) does not see an ext4 that is read-only since its disk had an error. open(2) does, and
    changes nothing.
    """
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        os.close(os.open(lock_file(root), flags))
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EIO):
            return os.strerror(error.errno)
    return ""


def is_served(root: str) -> bool:
    """Whether a daemon serves the spool: then its FIFO has a reader. (To try its lock would be to
    take it, and a daemon that starts in that moment would find the spool served.)"""
    return poke(wake_fifo(root), b"")


def open_wake(root: str) -> int:
    """The FIFO by which senders wake the daemon, as an open descriptor. Raises CannotRun."""
    path = wake_fifo(root)
    try:
        try:
            is_fifo = stat.S_ISFIFO(os.lstat(path).st_mode)
        except FileNotFoundError:
            is_fifo = False
        else:
            if not is_fifo:
                os.unlink(path)
        if not is_fifo:
            os.mkfifo(path, 0o622)
        # Everybody may wake the daemon, whatever the umask was. Nobody else may read.
        os.chmod(path, 0o622)  # noqa: S103
        # It is opened for writing too, so that there is always a writer. Otherwise poll(2) would
        # report a hang-up for ever once the first pd-send is done.
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise CannotRun(
            f"cannot make the FIFO {path}: {_refused(error)}", exits.NOT_PERMITTED
        ) from error
