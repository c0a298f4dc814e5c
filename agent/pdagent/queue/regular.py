"""Regular files: reading a file in whose place somebody may have put something else.

The user pdagent can do that, and in some places anybody can. Root reads such files too. So the
reader follows no link, waits for no FIFO's writer, and does not read without end.
"""

import os
import stat

# To open what somebody may have put there: no link is followed, and no FIFO's writer waited for.
CAREFULLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read_regular(path: str, most: int, last: bool = False) -> bytes:
    """The first `most` bytes of a regular file; with `last`, as many from its end. Raises OSError,
    and ValueError for anything else than a regular file."""
    fd = os.open(path, CAREFULLY)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{path} is not a regular file")
        if last:
            os.lseek(fd, max(0, found.st_size - most), os.SEEK_SET)
        return read_from(fd, most)
    finally:
        os.close(fd)


def read_from(fd: int, most: int) -> bytes:
    """The next `most` bytes of what is open, or as many as there are. Raises OSError."""
    parts = []
    while most > 0 and (part := os.read(fd, min(most, 1_048_576))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def never_waiting(path: str, flags: int) -> int:
    """An opener for `open`, which does not wait where a FIFO is in the file's place. Raises
    OSError."""
    return os.open(path, flags | os.O_NONBLOCK)
