"""The layout of the agent's directories, and who may serve a spool: what a daemon needs before it
starts."""

import contextlib
import fcntl
import os
import stat

from pdagent import exits
from pdagent.config import Config
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, TEMPORARY, poke, wake_fifo

DROP_MODE = 0o3733  # anyone may add, nobody may list, or touch what is not theirs
PRIVATE_MODE = 0o2750


class CannotRun(Exception):
    """The daemon can't start; the text says why and what to do, `code` is the exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def directories(settings: Config) -> tuple[tuple[str, int | None], ...]:
    """What the daemon writes into, and the modes that these must have exactly.

    The package's data directory and spool are root's, so that root can safely write below them.
    """
    root = settings.spool_dir
    return (
        (f"{settings.data_dir}/db", None),
        (f"{root}/{TEMPORARY}", DROP_MODE),
        (f"{root}/{PENDING}", DROP_MODE),
        (f"{root}/{DELIVERED}", PRIVATE_MODE),
        (f"{root}/{IN_ERROR}", PRIVATE_MODE),
    )


_REMEDY = (
    "Use: sudo service pdagent start. After an accident with chown or chmod: "
    "sudo pdagent check --repair"
)


def make_directories(settings: Config) -> None:
    """Makes what is missing of the agent's directories, and sees that they can be written. Raises
    CannotRun."""
    for path, mode in directories(settings):
        try:
            if not os.path.isdir(path):
                os.makedirs(path)
                os.chmod(path, mode or 0o755)
            elif mode and stat.S_IMODE(os.stat(path).st_mode) != mode:
                # The old agent's directories had no sticky bit. The package's scripts set it where
                # they can. Under the unit we may not, so this is for agents that run without it.
                with contextlib.suppress(PermissionError):
                    os.chmod(path, mode)
        except OSError as error:
            raise CannotRun(
                f"cannot make the directory {path}: {error.strerror}. {_REMEDY}",
                exits.NOT_PERMITTED,
            ) from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise CannotRun(
                f"Directory {path}: is not writable. Agent may be running as the wrong user. "
                f"{_REMEDY}",
                exits.NOT_PERMITTED,
            )


def lock_file(root: str) -> str:
    """The file whose lock the daemon of the spool `root` holds. It holds the daemon's pid."""
    return os.path.dirname(root) + "/db/daemon.lock"


def take_lock(root: str) -> int:
    """The lock that makes this the spool's only daemon, as an open descriptor. Raises CannotRun.

    A lock, not the pid file, decides: the kernel drops it when its holder dies, however it dies,
    and it can't be mistaken for another process that got the same pid.
    """
    path = lock_file(root)
    try:
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(fd, 32).decode("ascii", "replace").strip()
        raise CannotRun(
            f"pdagentd is running already (pid {holder or 'unknown'}) and serves {root}",
            exits.TRY_AGAIN,
        ) from error
    except OSError as error:
        raise CannotRun(f"cannot lock {path}: {error.strerror}", exits.NOT_PERMITTED) from error
    with contextlib.suppress(OSError):  # a full disk; it is only for the second one's message
        os.ftruncate(fd, 0)
        os.write(fd, b"%d\n" % os.getpid())
    return fd


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
        os.chmod(path, 0o622)  # noqa: S103  (all may wake us, whatever the umask; none may read)
        # For writing too: so there is always a writer, and poll(2) does not report a hang-up for
        # ever once the first pd-send is done.
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise CannotRun(
            f"cannot make the FIFO {path}: {error.strerror}", exits.NOT_PERMITTED
        ) from error
