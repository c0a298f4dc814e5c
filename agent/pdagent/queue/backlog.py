"""The backlog: the daemon's half of the spool.

Anyone may have put anything into `pdq/` under any name, so every entry is taken for hostile until
it was opened without following links or blocking, found to be a regular file of bearable size, and
read as JSON. What fails that is set aside with its reason. Knows files and names; does not know
HTTP or holds.
"""

import contextlib
import errno
import os
import stat
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pdagent.queue import waiting
from pdagent.queue.names import key_of, order, stamp
from pdagent.queue.pending import (
    EVENT_BYTES_MOST,
    Hostile,
    Incomplete,
    Pending,
    Unfinished,
    understand,
)
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, TEMPORARY, file_name
from pdagent.threads import importing

# How long a script that writes straight into pdq/ has from one write to the next.
INCOMPLETE_SECONDS = 1.0
# what an OSError is about when it is not about the file
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Count:
    """Events of one key by state, as files in the spool's directories."""

    pending: int
    delivered: int
    in_error: int


class Backlog:
    """The spool at `root`, for its owner."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._seen_mtime = -1
        self._quiet = False

    # --- what is there --------------------------------------------------------------------------

    def changed(self) -> bool:
        """Whether pdq/ may hold names that the last scan did not see.

        Time stamps tick more slowly than files come: one that was linked right after a scan may
        leave the stamp that the scan saw. So a stamp counts as old only once two scans have seen
        it.
        """
        mtime = os.stat(f"{self.root}/{PENDING}").st_mtime_ns
        if mtime == self._seen_mtime and self._quiet:
            return False
        self._quiet = mtime == self._seen_mtime
        self._seen_mtime = mtime
        return True

    def names(self, directory: str) -> list[str]:
        """The names of events in a directory, in queue order. Raises OSError."""
        names = os.listdir(f"{self.root}/{directory}")
        return sorted((name for name in names if key_of(name) is not None), key=order)

    def scan(self) -> tuple[list[str], list[str]]:
        """Names in pdq/: those of events, in queue order, and all others. Opens nothing."""
        try:
            names = os.listdir(f"{self.root}/{PENDING}")
        except OSError:
            self._seen_mtime = -1  # what came by now was not seen
            raise
        events = [name for name in names if key_of(name) is not None]
        others = (
            [name for name in names if key_of(name) is None] if len(events) < len(names) else []
        )
        return sorted(events, key=order), others

    def has(self, name: str) -> bool:
        """Whether pdq/ has an entry of that name."""
        return os.path.lexists(f"{self.root}/{PENDING}/{name}")

    def load(self, name: str) -> Pending:
        """Reads a pending event.

        Raises Hostile, Incomplete, Unfinished, FileNotFoundError when it is no longer there, or
        OSError when it may work later.
        """
        data, status = self._contents(PENDING, name)
        try:
            pending = understand(name, data)
        except Incomplete as incomplete:
            if 0 <= time.time() - status.st_mtime < INCOMPLETE_SECONDS:
                raise
            raise Hostile(str(incomplete)) from incomplete
        if status.st_nlink > 1:
            raise Unfinished(pending)
        return pending

    def contents(self, directory: str, name: str) -> bytes:
        """The bytes of an entry, for a person to look at. Raises what `load` does."""
        return self._contents(directory, name)[0]

    def _contents(self, directory: str, name: str) -> tuple[bytes, os.stat_result]:
        try:
            fd = os.open(f"{self.root}/{directory}/{name}", _OPEN)
        except OSError as error:
            raise _judged(error) from error
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise Hostile("it is not a regular file")
            if status.st_size > EVENT_BYTES_MOST:
                raise Hostile(f"it is larger than {EVENT_BYTES_MOST} bytes")
            return _read(fd, EVENT_BYTES_MOST + 1), status  # it may grow while we read
        except OSError as error:
            raise _judged(error) from error
        finally:
            os.close(fd)

    # --- moving on ------------------------------------------------------------------------------

    def tell(self, name: str, problem: str = "") -> None:
        """Tells the sender of an event that is about to be settled, if it waits: delivered, or in
        error."""
        waiting.tell(self.root, name, problem)

    def settle_delivered(self, name: str) -> None:
        """PagerDuty has it. Raises OSError.

        crash before this rename: it is sent once more, the same bytes, and PagerDuty takes it as
        the same event. That is why the rename needs no fsync either.
        """
        self._move(name, PENDING, DELIVERED)

    def settle_in_error(self, name: str) -> str:
        """Sets an entry of pdq/ aside, and returns its name there. Raises OSError (a directory of
        somebody else's can't be moved)."""
        return self._move(name, PENDING, IN_ERROR)

    def name_in_error(self, name: str) -> str:
        """What an entry of pdq/ would be called if it were set aside now."""
        return self._free(name, IN_ERROR)

    def adopt(self, name: str) -> None:
        """Completes an enqueue that died between link and unlink: drops the name in tmp/."""
        inode = os.lstat(f"{self.root}/{PENDING}/{name}").st_ino
        with os.scandir(f"{self.root}/{TEMPORARY}") as entries:
            for entry in entries:
                if entry.inode() == inode:
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)

    def name_in_place(self, name: str, directory: str) -> str:
        """What an event would be called if it were moved to a directory now, without losing its
        place: names are sorted by number, which zeros before it do not change. So it stays between
        the events of its incident that were accepted before and after it."""
        while os.path.lexists(f"{self.root}/{directory}/{name}"):
            name = "0" + name
            if key_of(name) is None:  # more zeros than there can be
                return self._free(name.lstrip("0"), directory)
        return name

    def retry(self, name: str, new: str) -> None:
        """Makes an event in error pending again, under the name `new`. Raises OSError."""
        # A user could give this very name to a file of theirs after `name_in_place` has looked. It
        # would be a file with this key and microsecond made to be replaced, and its maker's loss.
        os.rename(f"{self.root}/{IN_ERROR}/{name}", f"{self.root}/{PENDING}/{new}")

    def purge(self, entries: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Removes entries (directory, name) for good, and returns those that were still there.
        Raises OSError, with those done that were done.

        The rename decides: whoever's comes first, this one or the daemon's that settles the event,
        has it, and the other finds nothing. It goes to tmp/, under a name that nobody can guess:
        crash here, and it is nobody's event, which clean-up removes. Before anything is deleted
        the renames are made durable: what is reported as gone does not come back after a power cut.
        """
        token = os.urandom(16).hex()
        claimed = []
        try:
            for number, (directory, name) in enumerate(entries):
                aside = f"{self.root}/{TEMPORARY}/purged-{token}-{number}"
                with contextlib.suppress(FileNotFoundError):
                    os.rename(f"{self.root}/{directory}/{name}", aside)
                    claimed.append(((directory, name), aside))
        finally:
            self.sync({directory for (directory, _), _ in claimed})
            for _, aside in claimed:
                remove(aside)
        return [entry for entry, _ in claimed]

    def sync(self, directories: Iterable[str]) -> None:
        """Makes renames out of these and into them durable."""
        for directory in directories:
            fd = os.open(f"{self.root}/{directory}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def _move(self, name: str, source: str, target: str) -> str:
        # Not link and unlink, which would not overwrite: users' files can't be linked by the agent
        # (fs.protected_hardlinks). Looking first is enough where only the agent and root may add
        # names, suc/ and err/.
        new = self._free(name, target)
        os.rename(f"{self.root}/{source}/{name}", f"{self.root}/{target}/{new}")
        return new

    def _free(self, name: str, target: str) -> str:
        new = name
        key = key_of(name)
        while os.path.lexists(f"{self.root}/{target}/{new}"):
            if key is None:  # cut, since it may be as long as a name can be
                new = f"{os.fsdecode(os.fsencode(name)[:200])}~{time.time_ns()}"
            else:
                new = file_name(stamp(new) + 1, key)
        return new

    # --- counting -------------------------------------------------------------------------------

    def counts(self) -> dict[str, Count]:
        """Events by key and state. Raises OSError."""
        pending, delivered, in_error = (self._keys(d) for d in (PENDING, DELIVERED, IN_ERROR))
        return {
            key: Count(pending[key], delivered[key], in_error[key])
            for key in sorted(pending.keys() | delivered.keys() | in_error.keys())
        }

    def _keys(self, directory: str) -> Counter[str]:
        names = os.listdir(f"{self.root}/{directory}")
        return Counter(key for name in names if (key := key_of(name)) is not None)


def remove(path: str) -> None:
    """Removes an entry of the spool, which may be a directory that somebody made. Raises
    OSError."""
    if os.path.isdir(path) and not os.path.islink(path):
        with importing:
            import shutil  # dear, and this is rare

        shutil.rmtree(path)
    else:
        os.unlink(path)


def _judged(error: OSError) -> Exception:
    """Whose fault it is that a file can't be read: the file's, or the moment's."""
    if error.errno == errno.ELOOP:
        return Hostile("it is a symbolic link")
    if error.errno == errno.ENXIO:
        return Hostile("it is not a regular file")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Hostile("the agent may not read it")
    return error  # EIO, say: it may be an accepted event, on a disk that comes back


def _read(fd: int, most: int) -> bytes:
    parts = []
    while most > 0 and (part := os.read(fd, min(most, 1 << 20))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)
