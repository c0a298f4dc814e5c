"""Interventions: what a person does to the queue. Safe beside a daemon that runs, beside one that
starts or dies meanwhile, and beside one that has the very event on its way."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pdagent.queue.backlog import Backlog
from pdagent.queue.listing import Record
from pdagent.queue.names import key_of, order
from pdagent.queue.pending import Hostile, Pending, understand
from pdagent.queue.state import State
from pdagent.spool import DELIVERED, PENDING, Spool

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Overtaken:
    """An event in error whose incident has moved on: `by` was delivered, and is younger."""

    record: Record
    by: Pending


class Intervention:
    """On the spool at `root`."""

    def __init__(self, root: str, state: State) -> None:
        self._root = root
        self._backlog = Backlog(root)
        self._state = state

    def purge(self, entries: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Removes entries (directory, name) for good; yields those that were still there to be
        removed. Raises OSError."""
        for start in range(0, len(entries), BATCH):
            for directory, name in self._backlog.purge(entries[start : start + BATCH]):
                if directory != DELIVERED:
                    self._state.drop_reason(name)
                yield directory, name

    def retry(self, records: Sequence[Record], as_new: Collection[str] = ()) -> Iterator[Record]:
        """Makes events in error pending again, in this order; yields those that were still there.
        Raises OSError.

        The reason stays until the event is settled anew. By it the daemon knows that the event is
        no new one, but has its place among those of its incident, and must not be sent if one of
        these overtakes it (see Scheduler.add). Not so for those to be sent `as_new`.
        """
        spool = Spool(self._root)
        for record in records:
            try:
                new = self._backlog.retry(record.name)
            except FileNotFoundError:
                continue  # cleaned up, or retried by somebody else
            if record.name in as_new:
                self._state.drop_reason(record.name)
            elif new != record.name:
                self._state.move_reason(record.name, new)
            spool.wake(new)
            yield record
        self._backlog.sync((PENDING,))

    def overtaken(self, records: Sequence[Record]) -> dict[str, Overtaken]:
        """By name, those of the events in error that a younger one of their incident has overtaken:
        a trigger would open again what a resolve has closed, a resolve close what was opened anew.
        """
        chains: dict[tuple[str, str], list[Record]] = {}
        oldest: dict[str, tuple[int, str]] = {}
        for record in records:
            if record.event is not None and record.event.dedup_key is not None:
                chains.setdefault((record.key, record.event.chain), []).append(record)
                place = order(record.name)
                oldest[record.key] = min(place, oldest.get(record.key, place))
        found: dict[str, Overtaken] = {}
        for later in self._delivered_since(oldest):
            for record in chains.get((key_of(later.name) or "", later.chain), ()):
                if order(record.name) < order(later.name):
                    found[record.name] = Overtaken(record, later)
        return found

    def _delivered_since(self, oldest: dict[str, tuple[int, str]]) -> Iterator[Pending]:
        """Delivered events of these keys, in order, from each key's oldest of interest on."""
        names = self._backlog.names(DELIVERED) if oldest else []
        for name in names:
            least = oldest.get(key_of(name) or "")
            if least is not None and order(name) > least:
                try:
                    yield understand(name, self._backlog.contents(DELIVERED, name))
                except (Hostile, FileNotFoundError):
                    continue
