"""Entries: pending events as the scheduler knows them, and the lines in which they wait. Pure."""

from collections.abc import Iterable, Iterator

from pdagent.queue.holds import Hold
from pdagent.queue.names import order


class Entry:
    """A pending event as the scheduler knows it. `owner` is the user whose file it is. `delay` is
    the hold on its whole key while the event can't be read, so that its chain is unknown."""

    __slots__ = (
        "_since",
        "chain",
        "delay",
        "heavy",
        "key",
        "missed_at",
        "name",
        "next",
        "owner",
        "relay",
        "retried",
        "troubled_at",
        "troubled_since",
        "troubles",
    )

    def __init__(self, name: str, key: str, retried: bool = False, owner: int = 0) -> None:
        self.name = name
        self.key = key
        self.owner = owner
        self.retried = retried  # a person has retried it after it was in error
        self.chain: str | None = None  # known once the file was read
        self.relay = ""  # to which it was sent last
        self.troubles = 0
        self.troubled_since = 0.0
        self.troubled_at = 0.0
        self.missed_at: float | None = None  # when it last found nothing reachable
        self.delay: Hold | None = None
        self.heavy = False  # True while it takes one of the few places for large events
        self.next: Entry | None = None  # the one behind it in its Line
        self._since: dict[str, float] | None = None

    def since(self, what: str, now: float) -> float:
        """When the event was first found to be `what`, such as "incomplete"."""
        if self._since is None:
            self._since = {}
        return self._since.setdefault(what, now)

    def is_no_longer(self, what: str) -> None:
        """Forgets since when it was that."""
        if self._since is not None:
            self._since.pop(what, None)


class Line:
    """Entries that wait in line. Each knows the next, so a line of one is small, and the first of
    100,000 leaves as fast as the first of two."""

    __slots__ = ("_last", "_length", "first")

    def __init__(self) -> None:
        self.first: Entry | None = None
        self._last: Entry | None = None
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Entry]:
        entry = self.first
        while entry is not None:
            yield entry
            entry = entry.next

    def append(self, entry: Entry) -> None:
        """Puts an entry at the end."""
        self._insert(self._last, entry)

    def prepend(self, entries: Iterable[Entry]) -> None:
        """Puts these before all others, in the order in which they come."""
        before = None
        for entry in entries:
            self._insert(before, entry)
            before = entry

    def join(self, entry: Entry, behind: Entry | None = None) -> None:
        """Puts an entry at the end. One that is retried goes to the place that its name gives it,
        but `behind` this one."""
        if not entry.retried:
            self.append(entry)
            return
        before, place = None, order(entry.name)
        for other in self:
            if other is not behind and order(other.name) > place:
                break
            before = other
        self._insert(before, entry)

    def take(self) -> Entry | None:
        """Takes the first entry out of the line."""
        entry = self.first
        if entry is not None:
            self.first, entry.next = entry.next, None
            self._length -= 1
            if self.first is None:
                self._last = None
        return entry

    def _insert(self, before: Entry | None, entry: Entry) -> None:
        if before is None:
            entry.next, self.first = self.first, entry
        else:
            entry.next, before.next = before.next, entry
        if entry.next is None:
            self._last = entry
        self._length += 1
