"""The listing: events of the spool as a person asks for them, whatever state they are in.

This module changes nothing. It reads names first and bodies as late as possible: 100,000 events
cost a directory listing, and only those that are wanted are opened. An event that moves on between
two looks is left out.

Anyone may put anything into the queue, so what is read has bounds: the bytes of one body, and the
bytes of all large bodies together. Of a body no more is kept than what is shown of it. An event
beyond the bounds is listed by its name alone, with a remark that says so.
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pdagent.queue.backlog import Backlog
from pdagent.queue.holds import Held, Hold, Scope, Tries
from pdagent.queue.keys import matches_key
from pdagent.queue.names import key_of, place, stamp
from pdagent.queue.pending import Hostile, Pending, chain_of, understand
from pdagent.queue.state import Reason, State
from pdagent.queue.states import STATES, UNSETTLED, Ambiguous, NoSuchEvent
from pdagent.shown import masked_name
from pdagent.spool import IN_ERROR, PENDING

# PagerDuty takes 512,000 bytes. A body of this size can take 25 MB and 30 ms when it is parsed.
BODY_BYTES_MOST = 1024 * 1024
# Bodies up to this size are always read.
SMALL_BYTES = 16 * 1024
# Larger bodies are read until they add up to this many bytes, which is 2 s of work at worst.
LARGE_BYTES_MOST = 32 * 1024 * 1024

# What is said of an event in error where nobody kept a reason.
UNKNOWN = "the reason is not known: the event was set in error by another agent"


@dataclass(frozen=True, slots=True)
class Query:
    """What a person asks for. A field that is None or empty excludes nothing. Ages are in seconds,
    counted from acceptance. `to_key`: the key that the events are to get. One that has it already
    may be the copy that a command like this one has made before it died."""

    events: tuple[str, ...] = ()
    key: str | None = None
    states: tuple[str, ...] = UNSETTLED
    dedup_key: str | None = None
    older: float | None = None
    newer: float | None = None
    reason: str | None = None
    refused_by_old_agent: bool = False
    to_key: str | None = None


@dataclass(frozen=True, slots=True)
class Gist:
    """What is shown of an event, and its chain. The fields are as in Pending."""

    version: str
    action: str
    dedup_key: str | None
    summary: str
    chain: str


@dataclass(frozen=True, slots=True)
class Record:
    """One event, or what lies in its place. `event` is None where the file is no event, or is too
    large to be looked into; then `problem` says why. Only an event in error has a `reason`, and
    only a pending one has `tries` and a `hold`."""

    directory: str
    name: str
    event: Gist | None
    problem: str
    reason: Reason | None = None
    tries: Tries | None = None
    hold: Hold | None = None

    @property
    def state(self) -> str:
        """One of the STATES, in words."""
        return STATES[self.directory]

    @property
    def key(self) -> str:
        """The integration key in its name, or the name of one; "" if its name is no event's."""
        return key_of(self.name) or ""

    @property
    def accepted(self) -> float | None:
        """In seconds since the epoch, as its name has it."""
        return accepted(self.name)

    @property
    def why(self) -> str:
        """Why it is in error, or still pending."""
        if self.reason is not None:
            return self.reason.reason
        if self.hold is not None and (self.tries is None or self.hold.scope is not Scope.CHAIN):
            return self.hold.why
        return self.problem or (self.tries.why if self.tries else "")

    @property
    def attempts(self) -> int | None:
        """How often it was sent in vain, as far as that is known."""
        if self.reason is not None:
            return self.reason.attempts
        if self.directory == PENDING:
            return self.tries.number if self.tries else 0
        return None


class TooLarge(Hostile):
    """The body is larger than what is looked into."""


class Listing:
    """The events of the spool at `root`, for one look of a person. `held` is what its daemon tells,
    None if nobody knows; `lane` gives the key that a key's name stands for."""

    def __init__(
        self, root: str, state: State, held: Held | None, lane: Callable[[str], str] = str
    ) -> None:
        self._root = root
        self._backlog = Backlog(root)
        self._state = state
        self._held = held or Held()
        self._lane = lane
        self._large_bytes = 0
        self.too_large = 0  # events that were not looked into

    # --- by name --------------------------------------------------------------------------------

    def names(self, query: Query, now: float) -> list[tuple[str, str]]:
        """Directory and name of all events whose names fit the query, in the order of their
        acceptance. `now`: seconds since the epoch. Raises OSError, NoSuchEvent, Ambiguous."""
        if query.events:
            found = [self.find(event, query.states, query.to_key) for event in query.events]
            entries = list(dict.fromkeys(found))
        else:
            entries = [(d, name) for d in query.states for name in self._list(d)]
        entries = [entry for entry in entries if self._fits(entry[1], query, now)]
        return sorted(entries, key=lambda entry: _place(entry[1], query.to_key))

    def _list(self, directory: str) -> list[str]:
        names = os.listdir(f"{self._root}/{directory}")
        return [name for name in names if key_of(name) is not None]

    def find(
        self, event: str, states: tuple[str, ...] = tuple(STATES), to_key: str | None = None
    ) -> tuple[str, str]:
        """Directory and name of one event. `event` is its file name, its name as logs show it, or a
        beginning that no other event's name has, but for a copy: see `Query`. Raises NoSuchEvent,
        Ambiguous."""
        shown = masked_name(event)
        if event not in ("", ".", "..") and "/" not in event and "\0" not in event:
            for directory in states:
                if os.path.lexists(f"{self._root}/{directory}/{event}"):
                    return directory, event
        found = [(d, name) for d in states for name in self._list(d) if _called(name, event)]
        if not found or not event:
            kind = f" {STATES[states[0]]}" if len(states) == 1 else ""
            raise NoSuchEvent(f"no event{kind} is called {shown}")
        if len({stamp(name) for _, name in found}) == 1:
            found = [each for each in found if key_of(each[1]) != to_key] or found
        if len(found) > 1:
            names = ", ".join(masked_name(name) for _, name in found[:3])
            more = ", ..." if len(found) > 3 else ""
            raise Ambiguous(f"{len(found)} events are called {shown}: {names}{more}")
        return found[0]

    # --- and what is in them --------------------------------------------------------------------

    def records(self, query: Query, names: Iterable[tuple[str, str]]) -> Iterator[Record]:
        """The events of these names that fit the rest of the query, each read as it is asked
        for."""
        needle = _needle(query.dedup_key)
        for directory, name in names:
            record = self.record(directory, name, needle)
            if record is not None and _agrees(record, query):
                yield record

    def record(self, directory: str, name: str, needle: bytes = b"") -> Record | None:
        """One event; None if it is gone, or if the `needle` is surely not in it."""
        event, problem = None, ""
        try:
            data = self._contents(directory, name)
            # With a backslash in it, the JSON may spell the needle in another way.
            if needle and needle not in data and b"\\" not in data:
                return None
            event = gist(understand(name, data))
        except FileNotFoundError:
            return None
        except Hostile as hostile:
            problem = str(hostile)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EUCLEAN):
                raise
            # the disk fails here, and tells of the others
            problem = f"it can't be read: {error.strerror}"
        reason = self._state.reason(name) if directory == IN_ERROR else None
        if directory != PENDING:
            return Record(directory, name, event, problem, reason)
        lane = self._lane(key_of(name) or "")
        hold = self._held.over(lane, event.chain) if event else None
        return Record(directory, name, event, problem, None, self._held.tries.get(name), hold)

    def _contents(self, directory: str, name: str) -> bytes:
        size = os.lstat(f"{self._root}/{directory}/{name}").st_size
        large = size > SMALL_BYTES
        if size > BODY_BYTES_MOST or (large and self._large_bytes + size > LARGE_BYTES_MOST):
            self.too_large += 1
            raise TooLarge(f"it has {size} bytes, and was not looked into")
        self._large_bytes += size if large else 0
        return self._backlog.contents(directory, name)

    def changed(self, record: Record) -> float:
        """When the event came to its directory, in seconds since the epoch. Raises OSError."""
        return os.lstat(f"{self._root}/{record.directory}/{record.name}").st_ctime

    def contents(self, record: Record) -> bytes:
        """The file's bytes; b"" where it is gone or no regular file."""
        try:
            return self._backlog.contents(record.directory, record.name)
        except (Hostile, FileNotFoundError):
            return b""

    def body(self, record: Record) -> dict[str, object] | None:
        """The event's body, None where it was not looked into."""
        if record.event is None:
            return None
        try:
            return understand(record.name, self.contents(record)).body
        except Hostile:  # gone since
            return None

    def _fits(self, name: str, query: Query, now: float) -> bool:
        if query.key is not None and not matches_key(key_of(name) or "", query.key, self._lane):
            return False
        if query.older is None and query.newer is None:
            return True
        since = accepted(name)
        if since is None:
            return False
        age = now - since
        return (query.older is None or age >= query.older) and (
            query.newer is None or age <= query.newer
        )


def gist(pending: Pending) -> Gist:
    """What is shown of an event."""
    return Gist(pending.version, pending.action, pending.dedup_key, pending.summary, pending.chain)


def accepted(name: str) -> float | None:
    """When an event was accepted, by its name; None if the name is no event's, or if its number is
    too large for a time."""
    seconds = stamp(name) / 1e6 if key_of(name) is not None else None
    return seconds if seconds is not None and seconds < 253_402_300_800 else None  # the year 10000


def _called(name: str, event: str) -> bool:
    if name.startswith(event):
        return True
    digits, star, _ = event.partition("_*")
    return bool(star) and name.startswith(digits + "_") and masked_name(name) == event


def _place(name: str, to_key: str | None) -> tuple[int, bool, str]:
    """As `place`, with a copy behind its original, which takes it over."""
    number, text = place(name)
    return number, key_of(name) == to_key, text


def _needle(dedup_key: str | None) -> bytes:
    """Bytes that the body of an event with this dedup key holds, unless JSON's escapes spell them
    in another way. Empty where escapes are likely."""
    plain = dedup_key is not None and dedup_key.isascii() and dedup_key.isprintable()
    if dedup_key is None or not plain or '"' in dedup_key or "\\" in dedup_key:
        return b""
    return dedup_key.encode()


def _agrees(record: Record, query: Query) -> bool:
    if query.dedup_key is not None and (
        record.event is None or record.event.chain != chain_of(query.dedup_key, record.name)
    ):
        return False
    if query.refused_by_old_agent and not _refused_by_old_agent(record):
        return False
    if query.reason is None:
        return True
    status = record.reason.status if record.reason else None
    return query.reason == str(status) or query.reason.casefold() in record.why.casefold()


def _refused_by_old_agent(record: Record) -> bool:
    """Whether an old agent's daemon set the event aside because that daemon knows Events API v1
    alone. It keeps no reasons, and ours writes one first, so a v2 event without a reason was the
    old daemon's. A retry that did not get to its end has written `UNKNOWN` for it."""
    if record.event is None or record.event.version == "v1":
        return False
    return record.reason is None or record.reason.reason == UNKNOWN
