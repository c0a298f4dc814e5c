"""What senders do: they put events into the queue, wait for answers, and renew what is expected of
them."""

import contextlib
import json
from typing import TYPE_CHECKING

from pdagent.queue.elapsed import present
from pdagent.queue.expectation import written
from pdagent.queue.pending import chain_of
from pdagent.queue.renewal import ExpectationSpool
from pdagent.queue.waiting import Removed, WaitingSpool
from pdagent.spool import Spool, SpoolError
from tests.simulation.model import Event, Expected
from tests.simulation.places import ROOT
from tests.simulation.server import GOOD
from tests.simulation.world import Process

if TYPE_CHECKING:
    from tests.simulation.day import Day

EXPECTED = "expected"
NAMED = "@db"  # an integration key's name in the configuration


class Senders:
    def __init__(self, day: "Day") -> None:
        self._day = day
        self._world = day.world
        self._choice = day.choice
        self._model = day.model
        self._number = 0

    def send(self) -> None:
        key = self._choice.choice([GOOD, GOOD, NAMED, "BAD1", "BAD2"])
        process = Process("sender", 0 if self._choice.random() < 0.2 else 1001)
        process.faulty = True
        events = [self._new_event(key) for _ in range(self._choice.choice([1, 1, 2, 4]))]
        waits = self._choice.random() < 0.2

        def send() -> None:
            for body in events:
                self._send_one(key, body, waits)

        self._day.begin(process, send)

    def _new_event(self, key: str) -> bytes:
        self._number += 1
        body: dict[str, object] = {"routing_key": key, "event_action": "trigger", "n": self._number}
        if self._choice.random() < 0.8:
            body["dedup_key"] = self._choice.choice(["one", "two", f"only {self._number}"])
        if self._choice.random() < 0.2:
            body = {"service_key": key, "event_type": "trigger", "n": self._number}
            body["incident_key"] = self._choice.choice(["one", "two"])
        return json.dumps(body).encode()

    def _send_one(self, key: str, body: bytes, waits: bool) -> None:
        patient = (
            key.startswith("BAD") or not self._day.steady or (key == NAMED and self._day.forgetful)
        )
        event = self._model.begin(body, self._chain(key, body), patient)
        spool = WaitingSpool(ROOT) if waits else Spool(ROOT)
        try:
            name = spool.enqueue(key, body)
        except SpoolError:
            return
        except OSError:  # of the FIFO of one who waits
            if not self._day.errors:
                raise
            return
        self._model.accepted_is_kept(event, name)
        if isinstance(spool, WaitingSpool):
            with contextlib.suppress(OSError):
                self._wait_for(event, spool)

    def _chain(self, key: str, body: bytes) -> object:
        """What an event keeps its order with."""
        parsed = json.loads(body)
        dedup_key = parsed.get("dedup_key") or parsed.get("incident_key")
        if key == NAMED and not self._day.forgetful:
            key = GOOD
        return key, chain_of(dedup_key, repr(body))

    def _wait_for(self, event: Event, spool: WaitingSpool) -> None:
        try:
            with spool:
                answer = spool.wait(self._choice.choice([1.0, 60.0]))
        except Removed:
            self._model.its_sender_hears_the_truth(event, None)
        else:
            if answer is not None:
                self._model.its_sender_hears_the_truth(event, answer)

    def expect(self) -> None:
        self._number += 1
        expected = Expected(f"{EXPECTED} {self._number}")
        self._model.expected[expected.name] = expected

        def renew() -> None:
            for _ in range(self._choice.randint(1, 4)):
                self._renew(expected, self._choice.choice([3.0, 10.0, 30.0]))
                self._world.sleep(self._choice.choice([0.0, 1.0, 8.0, 40.0]))
            last = self._choice.random()
            if last < 0.25:
                self._world.wait("a daemon that is dead", lambda: self._day.daemon.dead, 40.0)
            if last < 0.5:
                self._renew(expected, 0.0)

        self._day.begin(Process("watched", 1001), renew)

    def _renew(self, expected: Expected, term: float) -> None:
        body = {"routing_key": GOOD, "event_action": "trigger", "dedup_key": expected.name}
        since = present()
        data = written(json.dumps(body).encode(), term, since)
        was_certain, expected.certain = expected.certain, False
        try:
            ExpectationSpool(ROOT).enqueue(GOOD, data)
        except SpoolError:  # no daemon has made the directory yet
            expected.certain = was_certain
        else:
            self._model.renewed(expected, since.running, term)
