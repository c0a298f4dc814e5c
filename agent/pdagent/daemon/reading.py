"""Reading: what the file of a claimed event turns out to be.

The findings are returned and not raised, so that whoever handles an event has to deal with each of
them. Work on files is bounded, since anyone may have made them:

- Of each owner one file is read at a time. Otherwise a user's 50,000 files would keep 30 threads
  parsing, and other users' threads would rarely get their turn at the interpreter.
- Of the large files one is read at a time altogether, and parsing takes a quarter of the time at
  most, since no other thread runs meanwhile.
- A file that the agent may not read delays nobody, and waits by itself until somebody repairs it:
  it may be an accepted event after an accident with chmod. Of each owner a bounded number is kept
  waiting, and the rest is set aside. A stranger could make a million such files, of other people's
  keys.
- A file that is not whole is looked at ten times in a second. After that it is no event. Others
  wait for such files for a while, which is bounded for each key and owner: see
  schedule.patience.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from pdagent.config import Config
from pdagent.daemon.disk import Disk
from pdagent.daemon.large import Turn
from pdagent.queue.backlog import INCOMPLETE_SECONDS, Backlog
from pdagent.queue.keys import lane
from pdagent.queue.names import key_of
from pdagent.queue.opening import SHORTAGES, Directory, Large, Unreadable
from pdagent.queue.pending import Hostile, Incomplete, Pending, Unfinished
from pdagent.schedule.entry import Entry

# If a file has its second name in tmp/ for longer than this, its writer is taken for dead. Only an
# fsync on a slow disk takes that long.
UNFINISHED_SECONDS = 5.0
INCOMPLETE_AGAIN_SECONDS = 0.1
AGAIN_SECONDS = 5.0
# How long a file that gives an error is tried again before it is set aside.
UNREADABLE_SECONDS = 300.0
UNREADABLE = "unreadable"
# Files that the agent may not read. DENIED_MOST of each owner are kept waiting, and DENIED_OF_ALL
# of all owners together, but DENIED_LEAST of each. That is half of what the window lets in: if it
# were full of such files, other people's events of the same keys would be left out.
DENIED_MOST, DENIED_OF_ALL, DENIED_LEAST = 1000, 50_000, 50
DENIED_AGAIN_MOST = 60.0  # the longest time from one look at them to the next
BEING_WRITTEN = "an event is being written"

Patience = Callable[[str, float], bool]


@dataclass(frozen=True, slots=True)
class Ready:
    """It is an event, whole."""

    pending: Pending


@dataclass(frozen=True, slots=True)
class Heavy:
    """It is large, and has to find one of the places for such."""


@dataclass(frozen=True, slots=True)
class Waits:
    """It is an event, but its sender may not be done with it: its chain waits."""

    chain: str
    until: float


@dataclass(frozen=True, slots=True)
class Later:
    """It can't be read yet, and its key waits for it. `problem`: what the system said."""

    until: float
    why: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Aside:
    """It can't be read yet, and nobody waits for it. `why`: what a person is told."""

    until: float
    why: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Unfit:
    """It is no event, and will not be one."""

    why: str


@dataclass(frozen=True, slots=True)
class Gone:
    """A person removed it."""


@dataclass(frozen=True, slots=True)
class Left:
    """It is a directory. It is left where it is: moved to err/, it would still be its owner's."""


Found = Ready | Heavy | Waits | Later | Aside | Unfit | Gone | Left


class Reading:
    """Reads the files of claimed events. Whoever reads one that takes long is `away` meanwhile."""

    def __init__(self, backlog: Backlog, large: Turn, away: AbstractContextManager[None]) -> None:
        self._backlog = backlog
        self._away = away
        self._disk = Disk(away)
        self._large = large
        self._turns: dict[int, threading.Lock] = {}  # by owner
        self._denied: dict[int, set[str]] = {}  # names by owner: those that the agent may not read

    def read(self, entry: Entry, now: float, settings: Config, patience: Patience) -> Found:
        """What the entry's file is. `patience` is handed what a file is, "unfinished" or
        "incomplete", and seconds. It says whether other events may wait that long for the file."""
        if key_of(entry.name) is None:
            return Unfit("its name is not an event's")
        try:
            with self._turn(entry):
                pending = self._load_permitted(entry)
        except Large:
            return Heavy()
        except Unfinished as unfinished:
            pending = unfinished.pending
            since = entry.since("unfinished", now)
            # pd-send is between link and unlink, or died there. It gets some time to finish, and
            # wakes us when it has. After that time the event counts as accepted, since pd-send may
            # have said so.
            if now - since < UNFINISHED_SECONDS and patience("unfinished", UNFINISHED_SECONDS):
                return Waits(pending.chain, now + UNFINISHED_SECONDS)
            try:
                with self._away:
                    self._backlog.adopt(entry.name, since)
            except OSError as error:
                return self.unreadable(entry, error, now)
        except Directory:
            return Left()
        except FileNotFoundError:
            return Gone()
        except Incomplete as incomplete:
            return self._incomplete(entry, incomplete, now, patience)
        except Unreadable as denied:
            return self._denial(entry, denied, now)
        except Hostile as hostile:
            return Unfit(str(hostile))
        except OSError as error:
            return self.unreadable(entry, error, now)
        if lane(pending.key, settings) != lane(key_of(entry.name) or "", settings):
            # The key in the name decides when the event goes, and which events wait when it is
            # throttled. With another key in the body, one key could hold up another.
            return Unfit("its name and its body have different integration keys")
        return Ready(pending)

    @contextmanager
    def _turn(self, entry: Entry) -> Iterator[None]:
        turn = self._turns.setdefault(entry.owner, threading.Lock())
        if not turn.acquire(blocking=False):
            with self._away:
                turn.acquire()
        try:
            yield
        finally:
            turn.release()

    def _load_permitted(self, entry: Entry) -> Pending:
        denied = self._denied.setdefault(entry.owner, set())
        try:
            pending = self._load(entry)
        except Unreadable:
            most = min(DENIED_MOST, DENIED_OF_ALL // len(self._turns))
            if len(denied) < max(most, DENIED_LEAST):
                denied.add(entry.name)
            raise
        except BaseException:
            denied.discard(entry.name)
            raise
        denied.discard(entry.name)
        return pending

    def _denial(self, entry: Entry, denied: Unreadable, now: float) -> Found:
        since = entry.since("denied", now)
        why, problem = str(denied), denied.problem if since == now else ""  # said once
        if not self._backlog.is_ours():
            # This is an accident with the whole queue. Nothing else can leave either, so the order
            # is kept.
            return Later(now + AGAIN_SECONDS, why, problem)
        if entry.name not in self._denied[entry.owner]:
            return Unfit(why)
        wait = min(max(AGAIN_SECONDS, (now - since) / 10), DENIED_AGAIN_MOST)
        return Aside(now + wait, why, problem)

    def _load(self, entry: Entry) -> Pending:
        if not entry.heavy:
            with self._disk.used():
                return self._backlog.load(entry.name, large=False, fitting=True)
        with self._away, self._large:
            return self._backlog.load(entry.name, fitting=True)

    def _incomplete(
        self, entry: Entry, incomplete: Incomplete, now: float, patience: Patience
    ) -> Found:
        # A script that writes straight into pdq/ may not be done yet, or it wrote what is no event.
        # The event's chain is unknown, so its key waits.
        if now - entry.since("incomplete", now) >= INCOMPLETE_SECONDS:
            return Unfit(str(incomplete))
        if patience("incomplete", INCOMPLETE_SECONDS):
            return Later(now + INCOMPLETE_AGAIN_SECONDS, BEING_WRITTEN)
        return Aside(now + INCOMPLETE_AGAIN_SECONDS)

    def unreadable(self, entry: Entry, error: OSError, now: float) -> Found:
        """What follows from an error of the system about an event."""
        # The event's chain is unknown, so its key waits. If the disk does not come back, the other
        # events must not wait for ever. If it comes back, the event must not be lost.
        problem = error.strerror or str(error)
        since = entry.since(UNREADABLE, now)
        if error.errno in SHORTAGES or now - since < UNREADABLE_SECONDS:
            return Later(now + AGAIN_SECONDS, f"an event can't be read: {problem}", problem)
        return Unfit(f"it can't be read: {problem}")
