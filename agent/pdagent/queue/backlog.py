"""The backlog: the daemon's half of the spool.

Anyone may have put anything into `pdq/` under any name. So every entry counts as hostile until it
was opened without following links or blocking, was found to be a regular file of bearable size, and
was read as JSON. An entry that fails is set aside, with the reason. This module knows files and
names. It does not know HTTP or holds.
"""

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf

from pdagent.queue import waiting
from pdagent.queue.beginning import Beginning
from pdagent.queue.names import NUMBERS, key_of, order, stamp
from pdagent.queue.opening import opened
from pdagent.queue.pending import (
    EVENT_BYTES_MOST,
    HEAVY_BYTES,
    Hostile,
    Incomplete,
    Pending,
    Unfinished,
    understand,
)
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, TEMPORARY, file_name
from pdagent.threads import importing

# A script may write straight into pdq/. If this much time passes after a write, it was the last.
INCOMPLETE_SECONDS = 1.0
ADOPTED_MOST = 100_000
# This many names in a row are tried one after the other. Then the steps between them grow.
_STEPS = 100


@dataclass(slots=True)
class Seen:
    """An entry of pdq/. `owner` is its user's number. `changed` is when its inode last changed, in
    nanoseconds since the epoch."""

    name: str
    owner: int
    is_directory: bool
    changed: int


def _seen(name: str, status: os.stat_result) -> Seen:
    return Seen(name, status.st_uid, stat.S_ISDIR(status.st_mode), status.st_ctime_ns)


class Backlog:
    """The spool at `root`, for its owner."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._seen_mtime = -1
        self._quiet = False
        self._adopting = threading.Lock()
        self._half_done: dict[int, str] = {}  # names in tmp/ by inode
        self._half_done_at = float("-inf")

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

    def is_quiet(self) -> bool:
        """Whether `changed` would return False. Other threads ask this, since it remembers
        nothing."""
        try:
            return self._quiet and os.stat(f"{self.root}/{PENDING}").st_mtime_ns == self._seen_mtime
        except OSError:
            return False

    def names(self, directory: str) -> list[str]:
        """The names of events in a directory, in queue order. Raises OSError."""
        names = os.listdir(f"{self.root}/{directory}")
        return sorted((name for name in names if key_of(name) is not None), key=order)

    def look(self, known: Callable[[str], bool]) -> Iterator[Seen]:
        """The entries of pdq/ whose names are not `known`, in no order. This opens no file and
        keeps no list. What comes while it looks is left for the next look: see `beginning`. Raises
        OSError.
        """
        beginning = Beginning()
        try:
            with os.scandir(f"{self.root}/{PENDING}") as entries:
                for entry in entries:
                    if known(entry.name):
                        continue
                    try:
                        seen = _seen(entry.name, entry.stat(follow_symlinks=False))
                    except FileNotFoundError:  # settled meanwhile
                        continue
                    except OSError:
                        # It is there, and the disk does not tell whose it is. If it were left out,
                        # the next event of its chain would go before it. Whoever reads it finds out
                        # what is wrong.
                        seen = Seen(entry.name, os.geteuid(), is_directory=False, changed=0)
                    if beginning.precedes(seen.changed):
                        self._seen_mtime = -1
                        continue
                    yield seen
        except OSError:
            self._seen_mtime = -1  # this look did not see everything
            raise

    def seen(self, name: str) -> Seen | None:
        """The entry of pdq/ of that name. None if there is none, or if the disk does not tell:
        anyone may have made the name up."""
        try:
            return _seen(name, os.lstat(f"{self.root}/{PENDING}/{name}"))
        except (OSError, ValueError):  # a ValueError: no name of any file
            return None

    def load(self, name: str, large: bool = True, fitting: bool = False) -> Pending:
        """Reads a pending event. With `fitting`, it is cut to what PagerDuty takes.

        Raises Hostile, Incomplete, Unfinished; Large if the file is large and may not be `large`;
        FileNotFoundError when it is no longer there; OSError when it may work later.
        """
        most = EVENT_BYTES_MOST if large else HEAVY_BYTES
        data, status = opened(f"{self.root}/{PENDING}/{name}", most)
        try:
            pending = understand(name, data, fitting)
        except Incomplete as incomplete:
            if 0 <= time.time() - status.st_mtime < INCOMPLETE_SECONDS:
                raise
            raise Hostile(str(incomplete)) from incomplete
        if status.st_nlink > 1:
            raise Unfinished(pending)
        return pending

    def is_ours(self) -> bool:
        """Whether pdq/ is as the package makes it: the agent may use it, and new files in it get
        the agent's group. After an accident with chown or chmod it is not."""
        path = f"{self.root}/{PENDING}"
        try:
            is_usable = os.access(path, os.R_OK | os.W_OK | os.X_OK)
            return is_usable and os.stat(path).st_gid == os.getegid()
        except OSError:
            return False

    def contents(self, directory: str, name: str) -> bytes:
        """The bytes of an entry, for a person to look at. Raises what `load` does."""
        return opened(f"{self.root}/{directory}/{name}", EVENT_BYTES_MOST)[0]

    # --- moving on ------------------------------------------------------------------------------

    def tell(self, name: str, problem: str = "") -> None:
        """Tells the sender of an event, if it waits, how the event is about to be settled:
        delivered, or in error because of `problem`."""
        waiting.tell(self.root, name, problem)

    def settle_delivered(self, name: str) -> None:
        """Moves an event that PagerDuty has. Raises OSError.

        crash before this rename: the same bytes are sent once more, and PagerDuty takes them as the
        same event. For this reason the rename needs no fsync either.
        """
        self._move(name, PENDING, DELIVERED)

    def settle_in_error(self, name: str, place: str = PENDING, there: str = "") -> str:
        """Sets an entry of pdq/, or of another `place`, aside, and returns its name there: `there`
        if that is free, such as a name that `name_in_error` gave. Raises OSError."""
        return self._move(name, place, IN_ERROR, there)

    def name_in_error(self, name: str) -> str:
        """What an entry of pdq/ would be called if it were set aside now."""
        return self._free(name, IN_ERROR)

    def adopt(self, name: str, since: float = inf) -> None:
        """Completes an enqueue that died between link and unlink: drops the name in tmp/. `since`:
        when the event was first seen, in monotonic seconds. Raises OSError.

        The name in tmp/ is older than the name in pdq/. So a look at tmp/ that is younger than
        `since` has seen it, and one look does for all events that were seen by then. If there are
        60,000 of them, each waits for UNFINISHED_SECONDS, and one look in that time is enough.
        """
        inode = os.lstat(f"{self.root}/{PENDING}/{name}").st_ino
        with self._adopting:
            if self._half_done_at < since:
                self._half_done_at = time.monotonic()
                with os.scandir(f"{self.root}/{TEMPORARY}") as entries:
                    # What is beyond the bound keeps its second name, which clean-up removes.
                    found = islice(entries, ADOPTED_MOST)
                    self._half_done = {entry.inode(): entry.name for entry in found}
            temporary = self._half_done.pop(inode, None)
        if temporary is not None:
            path = f"{self.root}/{TEMPORARY}/{temporary}"
            with contextlib.suppress(OSError):
                if os.lstat(path).st_ino == inode:  # the name may be another file's by now
                    os.unlink(path)

    def rest(self, seconds: float) -> None:
        """Forgets the last look at tmp/ if it was more than `seconds` ago."""
        with self._adopting:
            if time.monotonic() - self._half_done_at > seconds:
                self._half_done = {}

    def name_in_place(self, name: str, directory: str) -> str:
        """What an event would be called if it were moved to a directory now, without losing its
        place: names are sorted by number, which zeros before it do not change. So it stays between
        the events of its incident that were accepted before and after it."""
        while os.path.lexists(f"{self.root}/{directory}/{name}"):
            name = "0" + name
            if key_of(name) is None:  # more zeros than there can be
                return self._free(name.lstrip("0"), directory)
        return name

    def retry(self, name: str, new: str, directory: str = PENDING) -> None:
        """Makes an event in error pending again, under the name `new`, or puts it back into another
        directory that it came from. Raises OSError."""
        # After `name_in_place` has looked, a user may give this very name to a file of theirs. The
        # rename replaces that file. Only who guesses key and microsecond can lose a file this way.
        os.rename(f"{self.root}/{IN_ERROR}/{name}", f"{self.root}/{directory}/{new}")

    def purge(self, entries: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Removes entries (directory, name) for good, and returns those that were still there.
        Raises OSError, with those done that were done.

        The rename decides. The daemon may be about to settle the event, also by a rename: whoever
        comes first has the event, and the other finds nothing. Here it goes to tmp/, under a name
        that nobody can guess. crash after that: it is nobody's event, and clean-up removes it.
        Before anything is deleted the renames are made durable, so that nothing that was reported
        as gone comes back after a power cut.
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

    def _move(self, name: str, source: str, target: str, wanted: str = "") -> str:
        # link and unlink would never overwrite a file. But the agent can't link users' files
        # (fs.protected_hardlinks), so this looks first and then renames. In suc/ and err/ that is
        # enough, since only the agent and root may add names there.
        new = self._free(wanted or name, target)
        move_file(f"{self.root}/{source}/{name}", f"{self.root}/{target}/{new}")
        return new

    def _free(self, name: str, target: str) -> str:
        new = name
        key = key_of(name)
        tries, step = 0, 1
        while os.path.lexists(f"{self.root}/{target}/{new}"):
            if key is None:  # a name as long as can be has to be cut first
                new = f"{os.fsdecode(os.fsencode(name)[:200])}~{time.time_ns()}"
            else:
                # Anyone can take 20,000 names in a row. So after _STEPS tries the steps grow.
                tries += 1
                step = step * 2 if tries > _STEPS else 1
                new = file_name((stamp(new) + step) % NUMBERS, key)
        return new


def move_file(path: str, target: str) -> None:
    """Renames what was a file when it was read. Raises OSError; IsADirectoryError if it has become
    a directory, which then stays."""
    os.rename(path, target)
    # After we read a file, its owner may have put a directory in its place. The directory must go
    # back, since its owner could go on writing into it where only the agent may write.
    if stat.S_ISDIR(os.lstat(target).st_mode):
        os.rename(target, path)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)


def remove(path: str) -> None:
    """Removes an entry of the spool, which may be a directory that somebody made. Raises
    OSError."""
    if os.path.isdir(path) and not os.path.islink(path):
        with importing:
            import shutil  # it takes time and memory, and is rarely needed

        shutil.rmtree(path)
    else:
        os.unlink(path)
