"""The expectations that there are: files in `expect/`, where any user's `pd-send` puts them, and in
`expected/`, where the daemon keeps them.

The name of a file in `expected/` is the expectation's `identity`. A mark stands behind it if the
expectation has lapsed, now or before. What holds, whoever dies when:

- A renewal takes the place of the one before it by a rename, so there is always one of them.
- A lapse is marked before its event is enqueued, and the mark is made durable. Without the mark, a
  daemon could die in between, and the next daemon, which finds a renewal, would not know that there
  is something to resolve. A crash after the mark: the trigger is enqueued once more, with the same
  dedup key, so to PagerDuty it is the same incident.
- The mark has the place in the queue of the last trigger or resolve, and it has the trigger's place
  before the trigger gets it. After a crash the clock may be set back. What follows then still goes
  behind it.
- Files are taken in the order of their names. If the clock was set back between two of them, and no
  daemon ran, the later one has the earlier name. It is taken first, and the other one then counts
  for nothing: see `_is_overtaken`.
- A renewal after a lapse first enqueues the resolve and then renames. A crash in between: the
  resolve is enqueued once more, which changes nothing for PagerDuty.
- The files still belong to their senders, who can change what is in them. That harms nobody else,
  since the files count as hostile each time they are read.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from pdagent.queue.backlog import Backlog, move_file
from pdagent.queue.beginning import Beginning
from pdagent.queue.elapsed import Moment, due, is_known_before
from pdagent.queue.expectation import (
    EXPECTATION_BYTES,
    Expectation,
    identity_of,
    owner_of,
    resolve,
    trigger,
    understood,
)
from pdagent.queue.layout import EXPECT, EXPECTED
from pdagent.queue.marks import LAPSED, LAPSING, RENEWED, behind, has_lapsed, marked, place_of, rank
from pdagent.queue.names import place
from pdagent.queue.opening import Large, opened
from pdagent.queue.pending import Hostile
from pdagent.queue.quota import Quota
from pdagent.spool import SpoolError

# This many names of one user are kept in one look. The others wait for the next look.
NAMES_MOST = 10_000

UNKNOWN = -1  # the user of files of which the disk does not tell whose they are

# Puts a body into the queue for the expectation of this identity, at this place in microseconds
# since the epoch.
Enqueue = Callable[[str, Expectation, bytes, int], object]


class Taken(Enum):
    """What became of a file in `expect/`."""

    KEPT = auto()
    CANCELLED = auto()
    TOO_MANY = auto()


@dataclass(frozen=True, slots=True)
class Drops:
    """What a look finds in `expect/`. `names`: by user, or UNKNOWN, the oldest first. `more`: the
    users that have more of them. `newer`: whether any came during the look, and were left."""

    names: dict[int, list[str]]
    more: set[int]
    newer: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """An expectation in `expected/`, for one look of a person. `lapsed`: whether it has lapsed."""

    owner: int
    expectation: Expectation
    lapsed: bool


def kept(root: str) -> Iterator[Kept]:
    """The expectations that are kept. A file that can't be read is left out. Raises OSError."""
    for name in _names(root):
        with contextlib.suppress(Hostile, OSError):
            found, owner = _opened(f"{root}/{EXPECTED}/{name}")
            yield Kept(owner, found, has_lapsed(name))


def counted(root: str) -> tuple[int, int]:
    """How many expectations have not lapsed, and how many have. Raises OSError."""
    lapsed = [has_lapsed(name) for name in _names(root)]
    return lapsed.count(False), lapsed.count(True)


def _names(root: str) -> list[str]:
    try:
        names = os.listdir(f"{root}/{EXPECTED}")
    except FileNotFoundError:  # no daemon of this version has run yet
        return []
    return [name for name in names if owner_of(name.partition(".")[0]) is not None]


class Expected:
    """The expectations of the spool at `root`, for its owner. `page` puts a trigger into the queue,
    and `resolve` a resolve, at the place of a moment, in microseconds since the epoch. They raise
    SpoolError."""

    def __init__(self, root: str, page: Enqueue, resolve: Enqueue) -> None:
        self._new = f"{root}/{EXPECT}"
        self._kept = f"{root}/{EXPECTED}"
        self._backlog = Backlog(root)
        self._page = page
        self._resolve = resolve
        self._marks: dict[str, str] = {}  # by identity, "" where it never lapsed
        self._unmarked: dict[str, str] = {}  # marks of files that could not be renamed
        self._quota = Quota()
        # Identities of which a file waits for the queue, until the next look.
        self._stuck: set[str] = set()
        self._newest: dict[str, Moment] = {}  # of the files that were taken since the last look
        self.lapsed = 0  # how many have lapsed

    def __len__(self) -> int:
        return len(self._marks)

    # --- what is kept ---------------------------------------------------------------------------

    def load(self) -> list[str]:
        """Finds the expectations that are kept, by their names alone. Returns identities. Raises
        OSError."""
        self._marks, self._unmarked, self._quota, self.lapsed = {}, {}, Quota(), 0
        for name in sorted(os.listdir(self._kept), key=rank):
            identity, dot, rest = name.partition(".")
            if owner_of(identity) is None:
                continue
            if identity in self._marks:
                # Crash between a renewal's rename and the removal of the mark: the resolve was
                # enqueued before that.
                with contextlib.suppress(OSError):
                    os.unlink(f"{self._kept}/{name}")
                continue
            self._mark(identity, dot + rest)
        return list(self._marks)

    def is_lapsed(self, identity: str) -> bool:
        """Whether an expectation has lapsed, and its event is in the queue."""
        return self._marks.get(identity, "").startswith(LAPSED)

    def read(self, identity: str) -> Expectation | None:
        """An expectation that is kept; None if it is there no more. Raises Hostile, OSError."""
        try:
            found, owner = _opened(self._path(identity))
        except FileNotFoundError:
            return None
        # Its sender may have put something else into it.
        if found.is_cancelled or identity_of(owner, found) != identity:
            raise Hostile("it was changed after it was taken")
        return found

    def _path(self, identity: str) -> str:
        mark = self._unmarked.get(identity, self._marks.get(identity, ""))
        return f"{self._kept}/{identity}{mark}"

    def _mark(self, identity: str, mark: str) -> None:
        if identity not in self._marks:
            self._quota.count(identity, 1)
        self.lapsed += has_lapsed(mark) - has_lapsed(self._marks.get(identity, ""))
        self._marks[identity] = mark

    def forget(self, identity: str) -> None:
        """Removes an expectation. Raises OSError."""
        mark = self._marks.get(identity)
        if mark is None:
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(identity))
        self._unmarked.pop(identity, None)
        self.lapsed -= has_lapsed(mark)
        self._quota.count(identity, -1)
        del self._marks[identity]

    # --- what is new ----------------------------------------------------------------------------

    def look(self, anew: bool = True) -> Drops:
        """What lies in `expect/`. What comes while it looks is left for the next look: see
        `beginning`. `anew` says whether all that the last look found was taken. Raises OSError."""
        self._stuck.clear()
        if anew or len(self._newest) > NAMES_MOST:  # users may keep it from ever being anew
            self._newest.clear()
        found: dict[int, list[str]] = {}
        more = set()
        newer = False
        beginning = Beginning()
        with os.scandir(self._new) as entries:
            for entry in entries:
                owner = UNKNOWN
                # Whoever reads a file of which the disk does not tell this finds out what is wrong.
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        continue  # left, as in pdq/: its owner could write into it
                    if beginning.precedes(status.st_ctime_ns):
                        newer = True
                        continue
                    owner = status.st_uid
                names = found.setdefault(owner, [])
                names.append(entry.name)
                if len(names) >= 2 * NAMES_MOST:
                    more.add(owner)
                    names.sort(key=place)
                    del names[NAMES_MOST:]
        for names in found.values():
            names.sort(key=place)
        return Drops(found, more, newer)

    def take(self, name: str, now: Moment) -> tuple[str, Expectation, Taken] | None:
        """Takes over a file of `expect/`. Returns its identity, what it says and what became of it.
        Returns None if it is gone, was overtaken, or has to wait for an earlier one of its
        identity. Raises Hostile, Incomplete, SpoolError, or OSError: then it is left."""
        try:
            found, owner = _opened(f"{self._new}/{name}")
        except FileNotFoundError:
            return None
        # Each sender has room of its own, so a user could take all of it by making senders up.
        if found.by and owner != os.geteuid():
            raise Hostile("only the endpoint can say whose it is")
        identity = identity_of(owner, found)
        if identity in self._stuck:
            # The earlier file, taken later, would undo this one: a renewal undoes a cancellation.
            return None
        if self._is_overtaken(identity, found.since, now):
            os.unlink(f"{self._new}/{name}")
            return None
        try:
            taken = self._follow(name, identity, found, now)
        except SpoolError:
            self._stuck.add(identity)
            raise
        self._newest[identity] = found.since
        return identity, found, taken

    def _is_overtaken(self, identity: str, since: Moment, now: Moment) -> bool:
        """Whether a file of this identity that is later than `since` was taken already, by the
        clock that nobody sets."""
        newest = self._newest.get(identity)
        if newest is None and identity in self._marks:
            with contextlib.suppress(Hostile, OSError):
                kept = self.read(identity)
                newest = None if kept is None else kept.since
        return newest is not None and is_known_before(since, newest, now)

    def _follow(self, name: str, identity: str, found: Expectation, now: Moment) -> Taken:
        """What follows from a file of `expect/`, once it is read."""
        path = f"{self._new}/{name}"
        mark = self._marks.get(identity)
        old, new_mark = self._path(identity), mark or ""
        if has_lapsed(new_mark):
            at = place_of(name, new_mark, _microseconds(now))
            self._resolve(identity, found, resolve(found), at)
            new_mark = f"{RENEWED}{at}"
        if found.is_cancelled:
            # Crash between these two: it is cancelled once more.
            self.forget(identity)
            os.unlink(path)
            return Taken.CANCELLED
        if mark is None and self._quota.is_full(identity):
            # It pages, since nobody would hear of it otherwise: its sender was told that it is
            # accepted.
            note = "not watched: there are too many expectations"
            self._page(identity, found, trigger(found, now, note), _microseconds(now))
            os.unlink(path)
            return Taken.TOO_MANY
        move_file(path, f"{self._kept}/{identity}{new_mark}")
        self._unmarked.pop(identity, None)
        self._mark(identity, new_mark)
        if old != self._path(identity):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(old)
        return Taken.KEPT

    # --- lapses ---------------------------------------------------------------------------------

    def lapse(self, identity: str, now: Moment) -> Expectation | None:
        """Enqueues the event of an expectation that was not renewed in time, unless it is not due
        after all. Returns the expectation; None if it is gone. Raises Hostile, SpoolError,
        OSError."""
        found = self.read(identity)
        if found is None:  # a person has removed it
            self.forget(identity)
            return None
        mark = self._marks[identity]
        if has_lapsed(mark):
            at = marked(mark)
        elif due(found.since, found.term, now) > 0:
            return found
        else:
            at = behind(mark, _microseconds(now))
            self._remark(identity, f"{LAPSING}{at}")
            self._backlog.sync((EXPECTED,))
        # Crash from here on: its event is enqueued once more, or a renewal resolves it.
        self._page(identity, found, trigger(found, now), at)
        self._remark(identity, f"{LAPSED}{at}")
        return found

    def _remark(self, identity: str, mark: str) -> None:
        old = self._path(identity)
        try:
            os.rename(old, f"{self._kept}/{identity}{mark}")
            self._unmarked.pop(identity, None)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            # A read-only disk stops no page. Crash from here on: it lapses once more. If somebody
            # made the disk writable, and renewed it before the next daemon, nothing resolves it.
            self._unmarked.setdefault(identity, self._marks[identity])
        self._mark(identity, mark)


def _microseconds(now: Moment) -> int:
    return int(now.wall * 1e6)


def _opened(path: str) -> tuple[Expectation, int]:
    try:
        data, status = opened(path, EXPECTATION_BYTES)
    except Large as error:
        raise Hostile(f"it is larger than {EXPECTATION_BYTES} bytes") from error
    return understood(data), status.st_uid
