"""Openings: which failures of a job have opened an incident that its success has to resolve.

Each job has a file in `outqueue/jobs/` while it is not well. Anyone may add files there, as to
`tmp/` and `pdq/`, and nobody may list them, or touch those of others. A job finds its own by name,
so that this works for any user, without a daemon, and after a reboot. The name is a digest of the
integration key, as it was given, and the dedup key.

An incident must never stay open because nobody knows of it any more. A resolve too many does no
harm. So anything under that name means that there may be an open incident: another user's file, a
file that can't be read, a link, an empty file. Strangers can put such things there. They only cause
a needless resolve after each success, until clean-up removes the file, or a page earlier than
`--failures` says. Nothing of theirs is ever read, written or waited for.

What a crash leaves:

- A failure: the file says that an incident is open, and is synced, before the event is enqueued.
  crash between them: there is a file without an incident, and the next success resolves in vain.
- A success: the resolve is enqueued before the file is removed. crash between them, or a power cut
  that undoes the removal: the next success resolves once more.
- crash or a full disk after the file was made: it is empty, and counts as above.
- Two runs of one job at a time: each holds the file's lock for its file and its event, so that a
  resolve is never enqueued before the trigger whose file it removes. A run does not wait for ever
  for the other one, which may be delivering directly. Then its resolve may come before the
  trigger, so it leaves the file, and the next success resolves once more.
"""

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from types import TracebackType

from pdagent import threads
from pdagent.spool import JOBS

_MODE = 0o640
_MOST_BYTES = 4096  # of such a file
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOCK_SECONDS = 5.0  # a page waits no longer than this for the lock of another run
_LOCK_PAUSE = 0.02


def exists(path: str) -> bool:
    """Whether there is a file. If a job is well, this look is all that it costs."""
    return os.path.lexists(path)


def path_of(spool: str, key: str, dedup_key: str) -> str:
    """The path of a job's file. It shows neither of the keys."""
    text = f"{key}\n{dedup_key}".encode("utf-8", "surrogatepass")
    from hashlib import sha256  # an idle daemon, which knows this module, does without

    return f"{spool}/{JOBS}/{sha256(text).hexdigest()[:32]}"


class Opening:
    """What the file at `path` says. The file is locked inside `with`. If there is none, `makes`
    says whether to make one.

    `failures` is how many there were in a row; None if that can't be known. `is_open` says whether
    they may have opened an incident.
    """

    def __init__(self, path: str, makes: bool) -> None:
        self._path = path
        self._makes = makes
        self._fd = -1
        self._is_new = False
        self._is_held = False  # another run holds the lock, and we went on without it
        self.failures: int | None = 0
        self.is_open = False

    def __enter__(self) -> "Opening":
        deadline = time.monotonic() + _LOCK_SECONDS
        while self._opened():
            if self._locked(deadline):
                self._read()
                break
            os.close(self._fd)  # another run has removed the file meanwhile
            self._fd = -1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def note(self, failures: int, is_open: bool) -> bool:
        """Writes both durably. Returns False if there is no room for that; then the file is empty.
        Raises OSError if it can't even be emptied."""
        if self._fd < 0:
            return False
        data = json.dumps({"failures": failures, "open": is_open}).encode()
        try:
            os.pwrite(self._fd, data, 0)
            os.ftruncate(self._fd, len(data))
            os.fsync(self._fd)  # this makes the file's name durable too: see Spool._sync_link
        except OSError:
            os.ftruncate(self._fd, 0)
            return False
        return True

    def remove(self) -> None:
        """Removes the file, since the job is well, unless another run is not done with it."""
        if self._fd >= 0 and not self._is_held:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _opened(self) -> bool:
        """Opens the file. Returns False if there is none, or if it is not ours. Raises OSError if
        none can be made."""
        self._is_new = False
        try:
            self._fd = os.open(self._path, _FLAGS)
        except FileNotFoundError:
            if not self._makes:
                return False
            try:
                self._fd = os.open(self._path, _FLAGS | os.O_CREAT | os.O_EXCL, _MODE)
            except FileExistsError:
                return self._opened() if os.path.isfile(self._path) else self._take_for_open()
            # The next run must be able to read it, whatever the umask took away.
            os.fchmod(self._fd, _MODE)
            self._is_new = True
        except OSError:
            if not exists(self._path):  # the error is about the directory
                raise
            return self._take_for_open()
        found = os.fstat(self._fd)
        # If it has a second name, somebody has put a file of ours there so that we write over it.
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or found.st_uid != os.geteuid():
            os.close(self._fd)
            self._fd = -1
            return self._take_for_open()
        return True

    def _take_for_open(self) -> bool:
        """What is not ours, or can't be read, means that there may be an open incident. Returns
        False, as `_opened` does then."""
        self.failures = None
        self.is_open = True
        return False

    def _locked(self, deadline: float) -> bool:
        """Locks the file. Returns False if it no longer has its name."""
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._is_held = False
                break
            except OSError as error:
                self._is_held = error.errno == errno.EWOULDBLOCK
                if not self._is_held or time.monotonic() > deadline:
                    break  # go on without the lock: a resolve too many is better than no page
            threads.pause(_LOCK_PAUSE)
        return os.fstat(self._fd).st_nlink > 0

    def _read(self) -> None:
        data = os.read(self._fd, _MOST_BYTES)
        if self._is_new and not data:
            return
        try:
            kept = json.loads(data.decode("utf-8"))
            self.failures, self.is_open = int(kept["failures"]), bool(kept["open"])
        except (ValueError, TypeError, KeyError, RecursionError):
            self._take_for_open()
