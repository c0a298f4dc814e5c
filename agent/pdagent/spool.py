"""The spool: a directory in which accepted events wait, and how anyone adds one.

The spool knows files and names. It does not know HTTP, or what is in a body. This half is imported
by every `pd-send`, so built-in modules only; the daemon's half is `backlog`.

What holds, whoever writes and whenever anything dies:

- A file in `pdq/` is whole and on stable storage: it gets its name there by link(2) after fsync(2).
- A name is used once: link(2) and O_EXCL never replace anything.
- A file that has a name in `tmp/` only was never acknowledged, and is nobody's event.
- Names sort in the order of their making: 16 digits of microseconds lead each of them.
"""

import errno
import posix
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PENDING = "pdq"
DELIVERED = "suc"
IN_ERROR = "err"
TEMPORARY = "tmp"
JOBS = "jobs"  # what jobs remember: see `jobs.openings`

FILE_MODE = 0o640
NAME_TRIES = 100  # places, if the first is taken
_CREATE = posix.O_CREAT | posix.O_EXCL | posix.O_WRONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC
_POKE = posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOFOLLOW | posix.O_CLOEXEC
_S_IFMT = 0o170000
_S_IFIFO = 0o010000

_REMEDIES = {
    errno.ENOENT: "Is the agent installed, and has pdagentd been started once?",
    errno.ENOTDIR: "Is the agent installed, and has pdagentd been started once?",
    errno.EACCES: "The directory must let every user add files (mode 3733).",
    errno.EPERM: "The directory must let every user add files (mode 3733), and its file system "
    "must have hard links.",
    errno.EROFS: "Mount the file system writable. In a systemd unit with ProtectSystem=strict or "
    "DynamicUser=yes, add the line ReadWritePaths={root}.",
    errno.EXDEV: "All directories of {root} must be on one file system.",
    errno.ENOSPC: "Free some space.",
    errno.EDQUOT: "Free some space, or raise the quota.",
}


class SpoolError(Exception):
    """The event could not be made safe in the spool, and is not in it. The text names the cause and
    the remedy. `key` and `body` are the event's."""

    def __init__(self, key: str, body: bytes, cause: str, remedy: str) -> None:
        self.key = key
        self.body = body
        self.cause = cause
        self.remedy = remedy
        super().__init__(f"{self.cause}. The event was not queued. {self.remedy}".rstrip())


def wake_fifo(root: str) -> str:
    """The FIFO by which senders wake the daemon. It lies beside the spool: root owns the directory
    `root` of a package's agent, so that the agent's user can put nothing in the place of `pdq` and
    the others."""
    return root.rpartition("/")[0] + "/db/wake"


def file_name(microseconds: int, key: str) -> str:
    """The name of an event's file."""
    return f"{microseconds:016}_{key}.txt"


class Spool:
    """Where to enqueue: `root` is the outqueue directory, `clock_ns` gives nanoseconds since the
    epoch. `place`: the directory of it that files get into."""

    __slots__ = ("clock_ns", "root")
    place = PENDING

    def __init__(self, root: str, clock_ns: "Callable[[], int]" = time.time_ns) -> None:
        self.root = root
        self.clock_ns = clock_ns

    def enqueue(self, key: str, body: bytes) -> str:
        """Puts `body` on stable storage as a pending event of `key` and returns its file's name.

        Raises SpoolError; then nothing is left that could be sent.
        """
        path = f"{self.root}/{TEMPORARY}"
        temporary = pending = None
        try:
            fd, temporary = self._create(key)
            try:
                # The agent's group must be able to read it, whatever the umask took away.
                posix.fchmod(fd, FILE_MODE)
                _write(fd, body)
                # crash from here on: whole in tmp/, never acknowledged, cleaned up one day
                path = f"{self.root}/{self.place}"
                pending = self._link(temporary, key)
                self._sync_link(fd)
            finally:
                posix.close(fd)
        except BaseException as error:
            # The event has not been acknowledged: it must not be sent either. Had the daemon got
            # hold of it already (it leaves a file with a second name alone for a while), unlink
            # finds nothing.
            if pending:
                _unlink(pending)
            if temporary:
                _unlink(temporary)
            if isinstance(error, OSError):
                number = error.errno or errno.EIO
                cause = f"cannot write to {path}: {posix.strerror(number)}"
                remedy = _REMEDIES.get(number, "").replace("{root}", self.root)
                raise SpoolError(key, body, cause, remedy) from error
            raise
        # crash before this unlink: pending *and* in tmp/, perhaps acknowledged. Both are fine, it
        # must be sent once: the daemon drops the second name (Backlog.adopt).
        _unlink(temporary)
        name = pending.rsplit("/", 1)[1]
        self.wake(name)
        return name

    def wake(self, name: str) -> bool:
        """Tells the daemon of a pending file. Returns False if nobody listens. That does no harm,
        since the daemon looks at the directory too."""
        # The name gets a line of its own, even if a stranger has left an unfinished one.
        line = b"\n" + name.encode("utf-8", "surrogateescape") + b"\n"
        return poke(wake_fifo(self.root), line)

    def _create(self, key: str) -> tuple[int, str]:
        now = self.clock_ns() // 1000
        for tries in range(NAME_TRIES):
            path = f"{self.root}/{TEMPORARY}/{file_name(now + tries, key)}"
            try:
                fd = posix.open(path, _CREATE, FILE_MODE)
            except FileExistsError:
                continue  # another sender of this key was here in the same microsecond
            return fd, path
        raise FileExistsError(errno.EEXIST, posix.strerror(errno.EEXIST))

    def _link(self, temporary: str, key: str) -> str:
        # A fresh stamp: the order of names is the order in which events became pending, and a slow
        # disk may have held up the write.
        now = self.clock_ns() // 1000
        for tries in range(NAME_TRIES):
            path = f"{self.root}/{self.place}/{file_name(now + tries, key)}"
            try:
                self._name(temporary, path)
            except FileExistsError:
                continue
            return path
        raise FileExistsError(errno.EEXIST, posix.strerror(errno.EEXIST))

    def _name(self, temporary: str, pending: str) -> None:
        posix.link(temporary, pending)

    def _sync_link(self, fd: int) -> None:
        # fsync(2): a file's fsync need not make its directory entry durable; the directory's does.
        # Users outside the agent's group can't open pdq/ for that. Journalling file systems log the
        # new name with the inode whose link count it changed, so for them a second fsync of the
        # file makes the link durable: "File System Crash-Recovery Guarantees" (J. Mohan,
        # linux-fsdevel, 2019; ext4, XFS, btrfs, F2FS), and for ext4 ext4_update_inode_fsync_trans
        # in fs/ext4.
        try:
            directory = posix.open(f"{self.root}/{self.place}", _DIRECTORY)
        except PermissionError:
            posix.fsync(fd)
            return
        try:
            posix.fsync(directory)
        finally:
            posix.close(directory)


def open_fifo(path: str) -> int:
    """A FIFO, open for writing, which never waits. Raises OSError: ENXIO if nobody has it open to
    read, EINVAL if it is something else."""
    fd = posix.open(path, _POKE)
    try:
        if posix.fstat(fd).st_mode & _S_IFMT != _S_IFIFO:
            raise OSError(errno.EINVAL, "not a FIFO")
    except OSError:
        posix.close(fd)
        raise
    return fd


def poke(path: str, line: bytes) -> bool:
    """Writes to a FIFO without ever waiting. Returns whether somebody has it open to read."""
    try:
        fd = open_fifo(path)
    except OSError:
        return False
    try:
        posix.write(fd, line)
    except OSError:
        pass  # full: it will be read
    finally:
        posix.close(fd)
    return True


def _write(fd: int, body: bytes) -> None:
    rest = memoryview(body)
    while rest:
        written = posix.write(fd, rest)
        if not written:
            raise OSError(errno.ENOSPC, posix.strerror(errno.ENOSPC))
        rest = rest[written:]
    posix.fsync(fd)  # never tried again: after a failure the kernel may call lost pages clean


def _unlink(path: str) -> None:
    try:
        posix.unlink(path)
    except OSError:
        pass
