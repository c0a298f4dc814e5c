"""The model: what was accepted, what the server said, and whether that fits what is on the disk.

It knows promises 1 to 5 of the design and nothing of how they are kept.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

from pdagent.queue.pending import chain_of
from pdagent.spool import DELIVERED, IN_ERROR, PENDING
from tests.simulation.kernel import Kernel
from tests.simulation.world import Died, Violation
from tests.support.power.disk import Rename

ROOT = "/var/lib/pdagent/outqueue"
STRANGER = "STRANGER"  # the key of whoever writes files that nobody has promised anything about
PLACES = (PENDING, DELIVERED, IN_ERROR)
PATIENCE_SECONDS = 60.0  # which nobody waits longer for what others do


@dataclass(eq=False)
class Event:
    """Times are steps of the world, but for `accepted_at`, which is its seconds. `patient`: others
    may be why it waits."""

    key: str
    chain: str
    body: bytes
    patient: bool
    begun: int
    accepted: float = math.inf
    accepted_at: float = math.inf
    taken: bool = False
    refused: bool = False
    retried: bool = False
    doomed: bool = False  # a person is about to remove it
    removed: bool = False  # and was told that it is
    excused: bool = False  # its file gave errors


class Model:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._world = kernel.world
        self.events: dict[bytes, Event] = {}
        self.harmed = False  # errors were put in: reasons may be lost
        self.served_since = math.inf  # in seconds
        self._looked_at = 0.0
        kernel.observe = self.names_changed
        kernel.excuse = self.excuse

    # --- what happens ---------------------------------------------------------------------------

    def begin(self, key: str, body: bytes, patient: bool) -> Event:
        """A sender hands it to the spool."""
        dedup_key = json.loads(body).get("dedup_key") or json.loads(body).get("incident_key")
        chain = f"{key}{chain_of(dedup_key, repr(body))}"
        event = Event(key, chain, body, patient, self._world.steps)
        self.events[body] = event
        return event

    def accept(self, event: Event) -> None:
        """The sender exits 0. So the event is safe, if the power fails in this moment too."""
        event.accepted, event.accepted_at = self._world.steps, self._world.now
        self._check(self.place(event) or event.doomed, "it was accepted, and is nowhere", event)
        tree = self._kernel.after_a_cut()
        found = [data for place in PLACES for data in tree.files(f"{ROOT}/{place}").values()]
        ok = event.body in found or event.doomed
        self._check(ok, "it was accepted, and would not survive a power cut", event)

    def received(self, body: bytes) -> Event | None:
        """The server has a request."""
        event = self.events.get(body)
        if event is None:
            self._check(STRANGER.encode() in body, f"nobody's event was sent: {body!r}")
            return None
        for other in self._chain(event):
            if other.accepted < event.begun and not (other.retried or other.excused):
                waits = self.place(other) == PENDING
                self._check(
                    not waits, f"it was sent before {other.body!r}, accepted earlier", event
                )
            if event.accepted < other.begun and not (event.excused or other.excused):
                late = self.place(other) == DELIVERED
                self._check(not late, f"it was sent after {other.body!r}, accepted later", event)
        return event

    def names_changed(self, rename: Rename) -> None:
        for change in rename.changes:
            inode = change.new or change.old
            assert inode is not None
            body = bytes(self._kernel.disk.tree.inodes[inode].data)
            event = self.events.get(body)
            if event is None:
                continue
            place = self.place(event)
            if place is None and event.accepted < math.inf:
                by = self._kernel.process.name
                self._check(by == "purge" and event.doomed, f"{by} has lost it", event)
            elif place == DELIVERED:
                self._check(event.taken, "it is in suc/, and PagerDuty has not said yes", event)
            elif place == IN_ERROR:
                ok = event.refused or event.retried
                self._check(ok, "it is in err/, and PagerDuty has not refused it", event)

    def excuse(self, path: str) -> None:
        self.harmed = True
        for event in self.events.values():
            if any(name in path for name in self._names(event)):
                event.excused = True

    def told(self, event: Event, answer: str | None) -> None:
        """A sender who waits has heard of its event; None: that a person has removed it."""
        if answer is None:
            ok = self.place(event) is None or self.place(event) == IN_ERROR
            self._check(ok, "its sender was told that it is removed", event)
        else:
            ok = event.refused if answer else event.taken
            self._check(ok, f"its sender was told {answer or 'delivered'!r}", event)

    # --- what must hold -------------------------------------------------------------------------

    def look(self) -> None:
        """After each step."""
        now = self._world.now
        if now - self._looked_at < 1.0:
            return
        self._looked_at = now
        for event in self.events.values():
            since = max(event.accepted_at, self.served_since)
            if not event.patient and now - since > PATIENCE_SECONDS and not event.taken:
                self._check(self.place(event) != PENDING, "it waits for others", event)

    def look_after_a_cut(self) -> None:
        for event in self.events.values():
            place = self.place(event)
            if event.removed:
                self._check(place is None, "it was removed, and is back", event)
            elif event.accepted < math.inf and not event.doomed:
                self._check(place, "a power cut has lost it", event)
        for name, data in self._files(PENDING):
            ok = bytes(data) in self.events or STRANGER in name
            self._check(ok, f"{name} is torn: {bytes(data)!r}")

    def look_at_the_end(self) -> None:
        """All was well for long enough."""
        for event in self.events.values():
            place = self.place(event)
            if event.accepted < math.inf and not event.doomed:
                self._check(place in (DELIVERED, IN_ERROR), f"it is still in {place}", event)
            if place == IN_ERROR and not self.harmed:
                for name in self._names(event):
                    path = f"/var/lib/pdagent/db/reasons/{name}"
                    self._check(self._kernel.exists(path), "nobody knows why it is in err/", event)

    # --- where things are -----------------------------------------------------------------------

    def place(self, event: Event) -> str | None:
        for place in PLACES:
            if any(data == event.body for _, data in self._files(place)):
                return place
        return None

    def named(self, place: str, name: str) -> list[Event]:
        """The event of that file, if it is one's."""
        found = [self.events.get(bytes(data)) for n, data in self._files(place) if n == name]
        return [event for event in found if event is not None]

    def is_busy(self) -> bool:
        return any(self.place(event) == PENDING for event in self.events.values())

    def _names(self, event: Event) -> list[str]:
        return [n for place in PLACES for n, data in self._files(place) if data == event.body]

    def _files(self, place: str) -> Iterable[tuple[str, bytearray]]:
        tree = self._kernel.disk.tree
        directory = tree.find(f"{ROOT}/{place}")
        if directory is None:
            return []
        return [(name, tree.inodes[i].data) for name, i in tree.inodes[directory].names.items()]

    def _chain(self, event: Event) -> list[Event]:
        same = [other for other in self.events.values() if other.chain == event.chain]
        return [other for other in same if other is not event]

    def _check(self, ok: object, what: str, event: Event | None = None) -> None:
        if not ok:
            # Not raised: the agent goes on after most errors.
            self._world.fail(Violation(what if event is None else f"{event.body!r}: {what}"))
            raise Died
