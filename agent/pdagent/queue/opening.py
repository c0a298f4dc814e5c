"""Opening: the bytes of an entry of the spool, which anyone may have put there.

An entry is opened without following a link, and without waiting for the writer of a FIFO. Before
any of it is read it has to be a regular file, and small enough. Where an entry can't be read, an
exception says whether that is so for good (Hostile) or may be over later (OSError).
"""

import errno
import os
import stat

from pdagent.queue.pending import EVENT_BYTES_MOST, Hostile
from pdagent.queue.regular import CAREFULLY, read_from

# With these errors the host is short of something, and the file is not to blame.
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Directory(Hostile):
    """It is a directory."""


class Unreadable(Hostile):
    """The agent may not read it. Its maker wanted that, or there was an accident with chown or
    chmod. `problem` is what the log says."""

    def __init__(self, why: str, problem: str) -> None:
        super().__init__(why)
        self.problem = problem


class Large(Exception):
    """The file is larger than what was asked for, and may be an event."""


def opened(path: str, most: int) -> tuple[bytes, os.stat_result]:
    """The file's contents and its status. Raises Hostile, Large where it is longer than `most`,
    FileNotFoundError, or OSError when it may work later."""
    try:
        fd = os.open(path, CAREFULLY)
    except OSError as error:
        raise _judged(error) from error
    try:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise Directory("it is a directory")
        if not stat.S_ISREG(status.st_mode):
            raise Hostile("it is not a regular file")
        if status.st_size > EVENT_BYTES_MOST:
            raise Hostile(f"it is larger than {EVENT_BYTES_MOST} bytes")
        if status.st_size > most:
            raise Large
        data = read_from(fd, most + 1)  # it may grow while we read
        if most < len(data) <= EVENT_BYTES_MOST:
            raise Large
        return data, status
    except OSError as error:
        raise _judged(error) from error
    finally:
        os.close(fd)


def _judged(error: OSError) -> Exception:
    """Hostile where the file is why it can't be read; else the error itself."""
    if error.errno == errno.ELOOP:
        return Hostile("it is a symbolic link")
    if error.errno == errno.ENXIO:
        return Hostile("it is not a regular file")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Unreadable("the agent may not read it", os.strerror(errno.EACCES))
    if error.errno == errno.EWOULDBLOCK:
        # F_SETLEASE of fcntl(2): anyone can keep others from opening their own files, for 45
        # seconds at a time. No disk is behind this, so nobody has to wait for the file.
        return Unreadable("its owner has a lease of it", "its owner has a lease of it")
    return error  # such as EIO: it may be an accepted event, and the disk may come back
