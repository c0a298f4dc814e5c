"""The model: what was promised of each event, and what the server has said of it.

Each promise is one function, which is called where it could be broken. The model knows nothing of
how any of them is kept.
"""

import json
import math
from dataclasses import dataclass

from pdagent.queue.names import stamp
from pdagent.spool import DELIVERED, IN_ERROR, PENDING
from tests.simulation.places import Places
from tests.simulation.world import Died, Violation, World

STRANGER = "STRANGER"  # is in all that others write, and nobody has promised anything of
PATIENCE_SECONDS = 60.0  # which nobody waits longer for what others do


@dataclass(eq=False)
class Event:
    """Times are steps of the world, but for those in seconds. `chain`: what it keeps its order
    with. `patient`: others may be why it waits."""

    body: bytes
    chain: object
    patient: bool
    begun: int
    begun_at: float
    accepted: float = math.inf
    accepted_at: float = math.inf
    name: str = ""
    taken: bool = False
    refused: bool = False
    retried: bool = False
    doomed: bool = False  # a person is about to remove it
    gone: bool = False  # and did; perhaps not with the name that a dead sender left in tmp/
    removed: bool = False  # and was told that it is
    excused: bool = False  # its file gave errors


@dataclass(eq=False)
class Expected:
    """What somebody expects. `since`, in seconds: when it was renewed last; `term`: 0.0 if it is
    cancelled, or was never accepted."""

    name: str
    since: float = 0.0
    term: float = 0.0
    certain: bool = True  # False while its sender has begun what may not come to an end
    has_lapsed: bool = False  # at some time it was not renewed in time
    heard: str = ""  # what PagerDuty heard last: "trigger" or "resolve"


class Model:
    """`served_since`: from when on, in seconds, the same daemon has been there, with the same
    keys."""

    def __init__(self, world: World, places: Places) -> None:
        self._world = world
        self._places = places
        self.events: dict[bytes, Event] = {}
        self.expected: dict[str, Expected] = {}
        self.served_since = math.inf
        self.harmed = False  # errors were put in: reasons may be lost

    def begin(self, body: bytes, chain: object, patient: bool) -> Event:
        """A sender hands it to the spool."""
        event = Event(body, chain, patient, self._world.steps, self._world.now)
        self.events[body] = event
        return event

    def renewed(self, expected: Expected, since: float, term: float) -> None:
        """The sender exits 0."""
        expected.has_lapsed |= self._is_over(expected)
        expected.since, expected.term, expected.certain = since, term, True

    # --- the promises ---------------------------------------------------------------------------

    def accepted_is_kept(self, event: Event, name: str) -> None:
        """The sender exits 0. So the event is safe, if the power fails in this moment too."""
        event.accepted, event.accepted_at = self._world.steps, self._world.now
        event.name = name
        self._check(self.place(event) or event.doomed, "it was accepted, and is nowhere", event)
        safe = event.doomed or self._places.survives(event.body)
        self._check(safe, "it was accepted, and would not survive a power cut", event)

    def it_leaves_in_three_ways(self, event: Event, by: str) -> None:
        """Its name has changed."""
        place = self.place(event)
        if place is None and event.accepted < math.inf:
            event.gone |= by == "purge" and event.doomed
            self._check(event.gone, f"{by} has lost it", event)
        elif place == DELIVERED:
            self._check(event.taken, "it is in suc/, and PagerDuty has not said yes", event)
        elif place == IN_ERROR:
            ok = event.refused or event.retried
            self._check(ok, "it is in err/, and PagerDuty has not refused it", event)

    def the_body_is_as_it_was(self, body: bytes) -> Event | None:
        """The server has a request. None: a stranger's."""
        event = self.events.get(body) or self._filled_in(body)
        self._check(event or STRANGER.encode() in body, f"nobody's event was sent: {body!r}")
        return event

    def they_go_in_order(self, event: Event) -> None:
        """The server has it now."""
        for other in self.events.values():
            if other.chain != event.chain or other.excused or event.excused:
                continue
            if other.accepted < event.begun and not other.retried:
                ok = self.place(other) != PENDING or self._only_names_tell(other, event)
                self._check(ok, f"it was sent before {other.body!r}, accepted earlier", event)
            if event.accepted < other.begun:
                ok = self.place(other) != DELIVERED or self._only_names_tell(event, other)
                self._check(ok, f"it was sent after {other.body!r}, accepted later", event)

    def nobody_waits_for_others(self) -> None:
        """Time has passed."""
        for event in self.events.values():
            since = max(event.accepted_at, self.served_since)
            if not (event.patient or event.taken) and self._world.now - since > PATIENCE_SECONDS:
                self._check(self.place(event) != PENDING, "it waits for others", event)

    def its_sender_hears_the_truth(self, event: Event, answer: str | None) -> None:
        """A sender who waits has heard of its event; None: that a person has removed it."""
        if answer is None:
            ok = self.place(event) in (None, IN_ERROR)
            self._check(ok, "its sender was told that it is removed", event)
        else:
            ok = event.refused if answer else event.taken
            self._check(ok, f"its sender was told {answer or 'delivered'!r}", event)

    def power_cuts_change_nothing(self) -> None:
        """The power was cut, and is back."""
        for event in self.events.values():
            place = self.place(event)
            if event.removed:
                self._check(place is None, "it was removed, and is back", event)
            elif event.accepted < math.inf and not event.doomed:
                self._check(place, "a power cut has lost it", event)
        for name, data in self._places.files(PENDING):
            ok = data in self.events or STRANGER in name or self._is_expected(data)
            self._check(ok, f"{name} is torn: {data!r}")

    def nobody_is_paged_without_need(self, expected: Expected, action: str) -> None:
        """The server has an event of an expectation's."""
        if action == "trigger":
            due = expected.has_lapsed or not expected.certain or self._is_over(expected)
            self._check(due, f"{expected.name} was renewed in time, and paged")
        expected.heard = action

    def is_right(self, expected: Expected) -> bool:
        """Whether PagerDuty knows how it stands, once its term is over."""
        if not expected.certain:
            return True
        if expected.term:  # a trigger that was heard before may be of the renewal before
            return expected.heard == "trigger" and self._is_over(expected)
        return expected.heard in ("", "resolve")

    def is_page_pending(self) -> bool:
        """Whether an event of an expectation's is pending, so that PagerDuty will hear of it."""
        return any(self._is_expected(data) for _, data in self._places.files(PENDING))

    def all_ends_well(self) -> None:
        """All was well for long enough."""
        for event in self.events.values():
            place = self.place(event)
            if event.accepted < math.inf and not event.doomed:
                self._check(place in (DELIVERED, IN_ERROR), f"it is still in {place}", event)
            if place == IN_ERROR and not self.harmed:
                known = all(map(self._places.has_reason, self._places.names(event.body)))
                self._check(known, "nobody knows why it is in err/", event)
        for expected in self.expected.values():
            ok = self.is_right(expected)
            self._check(ok, f"{expected.name}: {expected.heard!r} is not how it stands")

    # --- what they are about --------------------------------------------------------------------

    def place(self, event: Event) -> str | None:
        return self._places.of(event.body)

    def _is_expected(self, data: bytes) -> bool:
        try:
            return json.loads(data).get("dedup_key") in self.expected
        except (ValueError, AttributeError):
            return False

    def _is_over(self, expected: Expected) -> bool:
        return bool(expected.term) and self._world.now - expected.since >= expected.term

    def _filled_in(self, body: bytes) -> Event | None:
        """The event that has a name in the place of its integration key."""
        sent = json.loads(body)
        for event in self.events.values():
            parsed = json.loads(event.body)
            if parsed["n"] == sent.get("n") and b'_key": "@' in event.body:
                field = "routing_key" if "routing_key" in parsed else "service_key"
                if sent == {**parsed, field: sent.get(field)}:
                    return event
        return None

    def _only_names_tell(self, earlier: Event, later: Event) -> bool:
        """Whether nothing but the names of two events could tell which one is older, and the names
        are wrong, since somebody has set the clock back."""
        unknown = earlier.retried or self.served_since > later.begun_at
        names = self._places.names(later.body)
        return unknown and bool(names) and stamp(names[0]) < stamp(earlier.name)

    def _check(self, ok: object, what: str, event: Event | None = None) -> None:
        if not ok:
            # Not raised: the agent goes on after most errors.
            self._world.fail(Violation(what if event is None else f"{event.body!r}: {what}"))
            raise Died
