"""Overtaking: which incidents have moved on since an event of theirs went into error.

A trigger that is sent after its incident's resolve opens the incident again, and a resolve that is
sent after a later trigger closes what was opened anew. So an event that was in error is sent again
only where no younger event of its incident was delivered. `suc/` is the memory for that: it
outlives the daemon, and `pd-queue` and the daemon read the same one.

The interleaving that only the daemon can see, while a person retries the trigger T, and the
resolve R of its incident is on its way:

    pd-queue: looks through suc/, and finds no R
    daemon:   R is delivered, and moved to suc/
    pd-queue: moves T to pdq/
    daemon:   reads T, and must not send it

So the daemon looks again when it is about to send T. Nothing can slip through then: one event of an
incident at a time is on its way, and an event's successor goes only after that event was moved to
suc/. What was delivered before T's turn is there, also if another daemon moved it.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from pdagent.queue.backlog import Backlog
from pdagent.queue.names import key_of, order
from pdagent.queue.pending import Hostile, understand
from pdagent.spool import DELIVERED

# How long what was read is remembered. Names of events that are delivered meanwhile are added.
MEMORY_SECONDS = 60.0


class Overtaking:
    """Looks through the spool of `backlog`. `lane` gives the integration key that a key's name
    stands for: events by `@db` and events by its key can be of one incident. `reading` is held
    while a file is read or suc/ is listed, since there may be many files, of any size."""

    def __init__(
        self,
        backlog: Backlog,
        lane: Callable[[str], str],
        reading: AbstractContextManager[None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backlog = backlog
        self._lane = lane
        self._reading = nullcontext() if reading is None else reading
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._keys: dict[str, _Delivered] = {}

    def by(self, name: str, key: str, chain: str) -> str | None:
        """The name of the youngest delivered event that has overtaken the event `name` of this
        integration key and dedup chain; None: none has. Raises OSError."""
        delivered = self._delivered(self._lane(key), order(name))
        with delivered.lock:
            if not delivered.is_listed:
                with self._reading:
                    delivered.unread.extend(self._list(self._lane(key), delivered.since))
                delivered.is_listed = True
            while delivered.unread:
                with self._reading:
                    self._read(delivered.unread[0], delivered.youngest)
                # Only now: where reading failed, the next event of this key has to know of it too.
                delivered.unread.popleft()
            found = delivered.youngest.get(chain)
        return found if found is not None and order(found) > order(name) else None

    def delivered(self, name: str) -> None:
        """The daemon has moved an event to suc/."""
        with self._lock:
            if not self._keys:
                return
            key = self._lane(key_of(name) or "")
            delivered = self._keys.get(key)
            if delivered is not None and self._monotonic() > delivered.until:
                del self._keys[key]
            elif delivered is not None:
                delivered.unread.append(name)

    def _delivered(self, key: str, since: tuple[int, str]) -> "_Delivered":
        # An event that is moved to suc/ before this moment is in the listing. An event that is
        # moved later on is told of. An event that is both is read twice, which does no harm.
        with self._lock:
            found = self._keys.get(key)
            if found is None or since < found.since or self._monotonic() > found.until:
                until = self._monotonic() + MEMORY_SECONDS
                found = self._keys[key] = _Delivered(since, until)
            return found

    def _list(self, key: str, since: tuple[int, str]) -> list[str]:
        names = os.listdir(f"{self._backlog.root}/{DELIVERED}")
        keys = {found for found in map(key_of, names) if found and self._lane(found) == key}
        return [name for name in names if key_of(name) in keys and order(name) > since]

    def _read(self, name: str, youngest: dict[str, str]) -> None:
        try:
            chain = understand(name, self._backlog.contents(DELIVERED, name)).chain
        except (Hostile, FileNotFoundError):  # cleaned up meanwhile, say
            return
        if chain not in youngest or order(name) > order(youngest[chain]):
            youngest[chain] = name


class _Delivered:
    """What was delivered of one integration key after the event `since`."""

    __slots__ = ("is_listed", "lock", "since", "unread", "until", "youngest")

    def __init__(self, since: tuple[int, str], until: float) -> None:
        self.lock = threading.Lock()
        self.since = since
        self.until = until
        self.is_listed = False
        self.unread: deque[str] = deque()
        self.youngest: dict[str, str] = {}  # by dedup chain
