"""Openings: which failures of a job have opened an incident that its success has to resolve.

Each job has a file in `outqueue/jobs/` while it is not well. Anyone may add files there, as to
`tmp/` and `pdq/`, and nobody may list them, or touch those of others. A job finds its own by name,
so that this works for any user, without a daemon, and after a reboot. The name is a digest of the
integration key, as it was given, and the dedup key.

What must never happen is that an incident stays open because nobody knew of it any more. To resolve
one too many is harmless. So whatever stands at that name means "there may be an open incident":
another user's file, a file that can't be read, a link, an empty file. Strangers can put such things
there. What they gain is a needless resolve after each success, until clean-up removes the file, or
a page before `--failures` says so. Nothing of theirs is ever read, written or waited for.

Who dies where:

- A failure: the file says that an incident is open, and is synced, before the event is enqueued.
  A crash between them leaves a file without an incident: the next success resolves in vain.
- A success: the resolve is enqueued before the file is removed. A crash between them, or the loss
  of the removal in a power cut, has the next success resolve once more.
- A crash or a full disk leaves a file that was made and not written. It is empty: see above.
- Two runs of one job at a time: each holds the file's lock for its file and its event, so that a
  resolve is never enqueued before the trigger whose file it removes.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import time
from types import TracebackType

from pdagent import threads

DIRECTORY = "jobs"
_MODE = 0o640
_MOST_BYTES = 4096  # of such a file
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOCK_SECONDS = 5.0  # a page waits no longer for another run's
_LOCK_PAUSE = 0.02


def exists(path: str) -> bool:
    """Whether anything stands there. A job that is well costs no more than this look."""
    return os.path.lexists(path)


def path_of(spool: str, key: str, dedup_key: str) -> str:
    """The file of a job. It names neither key."""
    text = f"{key}\n{dedup_key}".encode("utf-8", "surrogatepass")
    return f"{spool}/{DIRECTORY}/{hashlib.sha256(text).hexdigest()[:32]}"


class Opening:
    """What the file at `path` says, locked while this is entered. `makes`: makes one if there is
    none.

    `failures`: how many there were in a row, None if nobody can know. `is_open`: whether they may
    have opened an incident.
    """

    def __init__(self, path: str, makes: bool) -> None:
        self._path = path
        self._makes = makes
        self._fd = -1
        self._is_new = False
        self.failures: int | None = 0
        self.is_open = False

    def __enter__(self) -> "Opening":
        deadline = time.monotonic() + _LOCK_SECONDS
        while self._opened():
            if self._locked(deadline):
                self._read()
                break
            os.close(self._fd)  # another run removed it meanwhile
            self._fd = -1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def note(self, failures: int, is_open: bool) -> bool:
        """Makes it durable. False if there is no room for it: then the file is empty. Raises
        OSError if not even that can be."""
        if self._fd < 0:
            return False
        data = json.dumps({"failures": failures, "open": is_open}).encode()
        try:
            os.pwrite(self._fd, data, 0)
            os.ftruncate(self._fd, len(data))
            os.fsync(self._fd)  # its name too: see Spool._sync_link
        except OSError:
            os.ftruncate(self._fd, 0)
            return False
        return True

    def remove(self) -> None:
        """The job is well."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _opened(self) -> bool:
        """Opens the file; False if there is none of ours. Raises OSError if none can be made."""
        self._is_new = False
        try:
            self._fd = os.open(self._path, _FLAGS)
        except FileNotFoundError:
            if not self._makes:
                return False
            try:
                self._fd = os.open(self._path, _FLAGS | os.O_CREAT | os.O_EXCL, _MODE)
            except FileExistsError:
                return self._opened() if os.path.isfile(self._path) else self._is_foreign()
            self._is_new = True
        except OSError:
            if not exists(self._path):  # it is about the directory
                raise
            return self._is_foreign()
        found = os.fstat(self._fd)
        # A second name: somebody has put a file of ours there to have it written over.
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or found.st_uid != os.geteuid():
            os.close(self._fd)
            self._fd = -1
            return self._is_foreign()
        return True

    def _is_foreign(self) -> bool:
        self.failures = None
        self.is_open = True
        return False

    def _locked(self, deadline: float) -> bool:
        """False if the file is not the one of that name any more."""
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno != errno.EWOULDBLOCK or time.monotonic() > deadline:
                    break  # no lock is to be had: better a resolve too many than no page
            threads.pause(_LOCK_PAUSE)
        return os.fstat(self._fd).st_nlink > 0

    def _read(self) -> None:
        data = os.read(self._fd, _MOST_BYTES)
        if self._is_new and not data:
            return
        try:
            kept = json.loads(data)
            self.failures, self.is_open = int(kept["failures"]), bool(kept["open"])
        except (ValueError, TypeError, KeyError, RecursionError):
            self._is_foreign()
