"""Interventions: what a person does to the queue. Safe beside a daemon that runs, beside one that
starts or dies meanwhile, and beside one that has the very event on its way."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence

from pdagent.event import encode
from pdagent.queue.backlog import Backlog
from pdagent.queue.expectation import EXPECTATION_BYTES, understood
from pdagent.queue.layout import EXPECT
from pdagent.queue.listing import UNKNOWN, Gist, gist
from pdagent.queue.names import key_of
from pdagent.queue.overtaking import Overtaking
from pdagent.queue.pending import Hostile, key_field, understand
from pdagent.queue.regular import read_regular
from pdagent.queue.renewal import ExpectationSpool
from pdagent.queue.state import Reason, State, iso, write_whole
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, Spool

BATCH = 1000


class Gone(Exception):
    """The event is no longer in error: cleaned up, removed, or retried by somebody else."""


class Intervention:
    """What a person does to the spool at `root`. `lane` gives the key that a key's name stands
    for."""

    def __init__(self, root: str, state: State, lane: Callable[[str], str]) -> None:
        self._root = root
        self._backlog = Backlog(root)
        self._state = state
        self._overtaking = Overtaking(self._backlog, lane)

    def purge(self, entries: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Removes entries (directory, name) for good; yields those that were still there to be
        removed. Raises OSError."""
        for start in range(0, len(entries), BATCH):
            for directory, name in self._backlog.purge(entries[start : start + BATCH]):
                if directory != DELIVERED:
                    self._state.drop_reason(name)
                yield directory, name

    # --- retry ----------------------------------------------------------------------------------

    def overtaken_by(self, name: str, key: str, chain: str) -> str | None:
        """The delivered event that has overtaken an event in error of this integration key, None if
        none has. The daemon looks again: see `overtaking`. Raises OSError."""
        return self._overtaking.by(name, key, chain)

    def delivered(self, name: str) -> Gist | None:
        """What a delivered event says, None if it is gone. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            return gist(understand(name, self._backlog.contents(DELIVERED, name)))
        return None

    def retry(self, name: str, as_new: bool = False) -> str:
        """Makes an event in error pending again, and returns its name there. `finish` makes that
        durable. Raises OSError, Gone.

        The reason stays until the event is settled anew. It tells the daemon that the event was in
        error before: it has its place among those of its incident, and must not be sent if one of
        these has overtaken it. So the reason is written first, under the name that the event gets.
        An event that is to be sent `as_new` has no reason.

        crash before the rename: the event is in error as before; a reason under a name that nobody
        has goes with a later clean-up.
        crash after the rename: the event is pending, in its place. It may be in error again after
        a power cut: then it is retried again, or was delivered, and PagerDuty sees it twice.
        """
        new = self._backlog.name_in_place(name, PENDING)
        if as_new:
            self._state.drop_reason(name)
        else:
            self._keep_reason(name, new)
        try:
            self._backlog.retry(name, new)
        except FileNotFoundError as error:
            raise Gone from error
        if new != name:
            self._state.drop_reason(name)
        Spool(self._root).wake(new)
        return new

    def expect_again(self, name: str) -> bool:
        """Gives the daemon back what it set aside in `expect/`, if it is an expectation that can
        be read by now: after an accident with chmod, say. Returns whether it is one. Its time has
        gone on meanwhile. Raises OSError, Gone."""
        try:
            understood(read_regular(f"{self._root}/{IN_ERROR}/{name}", EXPECTATION_BYTES))
        except FileNotFoundError as error:
            raise Gone from error
        except (OSError, ValueError, Hostile):
            return False
        there = self._backlog.name_in_place(name, EXPECT)
        try:
            self._backlog.retry(name, there, EXPECT)
        except FileNotFoundError as error:
            raise Gone from error
        self._backlog.sync((EXPECT,))
        self._state.drop_reason(name)
        ExpectationSpool(self._root).wake(there)
        return True

    def finish(self) -> None:
        """Makes the retries durable. Raises OSError."""
        self._backlog.sync((PENDING,))

    def readdress(self, name: str, key: str) -> str:
        """Gives an event in error another integration key, in its body and in its name, and returns
        the name, which keeps its place. Raises OSError, Gone, Hostile, BadEvent.

        crash before the new file is in err/: the event is in error as before, and clean-up removes
        what was written of the new one.
        crash before the old file is removed: the event is in error twice, with the old key and with
        the new one, and neither is sent by itself. The same command again finds the new file, and
        goes on from there.
        crash after that: the event is in error, with the new key, and the reason that it had.

        Two persons with the same command would write the same new file. The one who finds the old
        file gone would remove the new one, which is the other's. So it is done one at a time.
        """
        with self._alone():
            return self._readdress(name, key)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        fd = os.open(f"{self._root}/{IN_ERROR}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _readdress(self, name: str, key: str) -> str:
        try:
            body = understand(name, self._backlog.contents(IN_ERROR, name)).body
        except FileNotFoundError as error:
            raise Gone from error
        body[key_field(body)] = key
        data = encode(body)
        new = self._readdressed(name, key, data)
        self._keep_reason(name, new)
        write_whole(f"{self._root}/{IN_ERROR}/{new}", data.decode("ascii"))
        self._backlog.sync((IN_ERROR,))
        if new != name:
            try:
                os.unlink(f"{self._root}/{IN_ERROR}/{name}")
            except FileNotFoundError as error:
                # Somebody else removed or retried the event meanwhile, and that stands.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{self._root}/{IN_ERROR}/{new}")
                self._state.drop_reason(new)
                raise Gone from error
            self._state.drop_reason(name)
        return new

    def _readdressed(self, name: str, key: str, data: bytes) -> str:
        new = name if key_of(name) == key else f"{name.partition('_')[0]}_{key}.txt"
        if new == name:
            return name
        with contextlib.suppress(OSError, ValueError):
            if read_regular(f"{self._root}/{IN_ERROR}/{new}", len(data) + 1) == data:
                return new  # of a command like this one, which did not get to its end
        return self._backlog.name_in_place(new, IN_ERROR)

    def _keep_reason(self, name: str, new: str) -> None:
        """Sees that there is a reason for the event under its new name. Raises OSError."""
        reason = self._state.reason(name)
        if reason is None or new != name:
            self._state.write_reason(new, reason or Reason(iso(time.time()), None, UNKNOWN, 0))
