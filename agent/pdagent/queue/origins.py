"""Origins: which sender brought a pending event to the endpoint, if one did, and how many events of
each sender are pending. The agent itself enqueues what users of this host expected; for such an
event the user stands in the sender's place.

What is posted is the bytes of the file, so the sender stands beside them: in an extended attribute
of the file, written before the file is synced. It survives what the event survives. Where a file
system has no such attributes, senders are forgotten at a restart, and their events from before the
restart count for nobody. This module knows files and names of senders. It does not know HTTP.
"""

import contextlib
import errno
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable

from pdagent.spool import PENDING, Spool

ATTRIBUTE = "user.pdagent.sender"
SENDER_BYTES = 512
_USER = "\nuser "  # no sender's name begins like this
RECOUNT_SECONDS = 10.0
SENDERS_APART = 4096  # if there are more senders, some of them share their turns


class Origins:
    """The senders of pending events in the spool at `root`. All threads may use it. `monotonic`
    gives seconds."""

    def __init__(self, root: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._pending = f"{root}/{PENDING}"
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._senders: dict[str, str] = {}  # by the name of the event's file
        self._numbers: Counter[str] = Counter()
        self._recounted: dict[str, float] = {}  # by sender, when to count its events again

    def add(self, name: str, sender: str) -> bool:
        """An event of this sender becomes pending under this name. False: another has the name."""
        with self._lock:
            if name in self._senders:
                return False
            self._senders[name] = sender
            self._numbers[sender] += 1
            return True

    def remove(self, name: str) -> None:
        """An event is pending no more."""
        with self._lock:
            sender = self._senders.pop(name, None)
            if sender is None:
                return
            self._numbers[sender] -= 1
            if not self._numbers[sender]:  # names may come without end
                del self._numbers[sender]
                self._recounted.pop(sender, None)

    def owned(self, arrived: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
        """Names of events, each with its owner. In the place of the agent's user stands the sender
        of the event, if it has one: a number below 0, one of SENDERS_APART."""
        us = os.geteuid()
        return [(name, uid if uid != us else self._owner(name) or us) for name, uid in arrived]

    def _owner(self, name: str) -> int | None:
        sender = self._senders.get(name)
        if sender is None:
            # An earlier daemon may have taken it, or it was in error. Only the agent can have
            # written this beside a file of its own.
            try:
                found = os.getxattr(f"{self._pending}/{name}", ATTRIBUTE, follow_symlinks=False)
            except OSError:
                return None  # nobody's; or gone
            sender = found[:SENDER_BYTES].decode("utf-8", "replace")
            self.add(name, sender)
        if sender.startswith(_USER):
            return int(sender.removeprefix(_USER))
        return -1 - hash(sender) % SENDERS_APART

    def spool(self, sender: str, user: int, clock_ns: Callable[[], int]) -> Spool:
        """Where the agent enqueues an event for this sender, or for a user where that is "". The
        event goes in their turn."""
        if not sender and user == os.geteuid():
            return Spool(self._root, clock_ns)
        return SenderSpool(self._root, self, sender or f"{_USER}{user}", clock_ns)

    def number(self, sender: str) -> int:
        """How many events of a sender are pending."""
        return self._numbers[sender]

    def numbers(self) -> dict[str, int]:
        """The same, of all senders that have any. Users of this host are none."""
        with self._lock:
            return {who: n for who, n in self._numbers.items() if not who.startswith(_USER)}

    def is_full(self, sender: str, most: int) -> bool:
        """Whether a sender has `most` events pending.

        An event may leave unseen: the daemon keeps 100,000 in mind, and a person may purge another.
        So before the answer is yes, the sender's files are looked for, unless they were a moment
        ago.
        """
        if self._numbers[sender] < most:
            return False
        with self._lock:
            if (now := self._monotonic()) < self._recounted.get(sender, now):
                return True
            self._recounted[sender] = now + RECOUNT_SECONDS
            names = [name for name, of in self._senders.items() if of == sender]
        for name in names:
            if not os.path.lexists(f"{self._pending}/{name}"):
                self.remove(name)
        return self._numbers[sender] >= most


class SenderSpool(Spool):
    """Where to enqueue an event of one `sender`."""

    __slots__ = ("_linked", "_origins", "_sender")

    def __init__(
        self,
        root: str,
        origins: Origins,
        sender: str,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__(root, clock_ns)
        self._origins = origins
        self._sender = sender
        self._linked = ""

    def enqueue(self, key: str, body: bytes) -> str:
        """As every spool does."""
        try:
            return super().enqueue(key, body)
        except BaseException:
            self._origins.remove(self._linked)
            raise

    def _create(self, key: str) -> tuple[int, str]:
        fd, path = super()._create(key)
        with contextlib.suppress(OSError):  # then the event is counted only until the next start
            os.setxattr(fd, ATTRIBUTE, self._sender.encode("utf-8", "replace")[:SENDER_BYTES])
        return fd, path

    def _name(self, temporary: str, pending: str) -> None:
        # This comes first: once the file has its name, the event may be delivered at once, and
        # removed here before it would be added.
        name = os.path.basename(pending)
        if not self._origins.add(name, self._sender):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self._linked = name
        try:
            super()._name(temporary, pending)
        except BaseException:
            self._origins.remove(name)
            self._linked = ""
            raise
