"""Everything that arrived, in order, readable from any thread while the server writes it."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tests.support.events_api.schema import Event


@dataclass(frozen=True)
class Request:
    """One request, from its last byte in to its answer's last byte out.

    number      its place among all requests, from 0, by arrival of its last byte
    accepted    its place among the events that took effect, None if it took none
    arrived     time.monotonic() of its arrival; Linux has one such clock for all processes
    wall        time.time() of its arrival
    answered    time.monotonic() when its answer was written, None while (or if never) it is
    status      what is or will be answered, None if the connection gets no status line
    connection  a number for each connection, from 0
    event       the body as JSON if it is an object, else None
    """

    number: int
    accepted: int | None
    arrived: float
    wall: float
    answered: float | None
    status: int | None
    connection: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    event: Event | None
    key: str | None
    dedup_key: str | None

    def as_json(self) -> dict[str, object]:
        return vars(self) | {
            "headers": dict(self.headers),
            "body": self.body.decode(errors="replace"),
        }


def parse(body: bytes) -> Event | None:
    """The event in a body, None if there is no JSON object in it."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


class Record:
    """Requests by number, and those who wait for more of them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._requests: list[Request] = []
        self._accepted: list[int] = []
        self._looks: list[Callable[[], None]] = []

    def add(self, request: Request, status: int | None, takes_effect: bool) -> Request:
        """Keep a request under the next number; it comes back with its places filled in."""
        with self.lock:
            accepted = len(self._accepted) if takes_effect else None
            number = len(self._requests)
            request = replace(request, number=number, accepted=accepted, status=status)
            self._requests.append(request)
            if takes_effect:
                self._accepted.append(request.number)
            self._changed()
            return request

    def answered(self, request: Request) -> None:
        """Note when the answer was out. After a `clear` there may be nothing left to note it on."""
        with self.lock:
            if request.number < len(self._requests) and self._requests[request.number] is request:
                self._requests[request.number] = replace(request, answered=time.monotonic())
                self._changed()

    def clear(self) -> None:
        with self.lock:
            self._requests.clear()
            self._accepted.clear()
            self._changed()

    @property
    def count(self) -> int:
        return len(self._requests)

    @property
    def accepted_count(self) -> int:
        return len(self._accepted)

    def all(self) -> tuple[Request, ...]:
        with self.lock:
            return tuple(self._requests)

    def accepted(self) -> tuple[Request, ...]:
        with self.lock:
            return tuple(self._requests[number] for number in self._accepted)

    def wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Until the condition holds. It is looked at after each change, by whoever made it."""
        met = threading.Event()

        def look() -> None:
            try:
                holds = condition()
            except Exception:
                holds = True  # let it fail again below, where its author sees it
            if holds:
                met.set()

        with self.lock:
            self._looks.append(look)
            look()
        try:
            if not met.wait(timeout):
                raise TimeoutError(f"no {what} in {timeout:g} s; {self._summary()}")
        finally:
            with self.lock:
                self._looks.remove(look)
        with self.lock:
            condition()

    def _changed(self) -> None:
        for look in self._looks:
            look()

    def _summary(self) -> str:
        requests = self.all()
        lines = [f"  {r.number} {r.path} {r.key} {r.dedup_key} -> {r.status}" for r in requests]
        head = f"{len(requests)} requests arrived, {self.accepted_count} were accepted, the last:"
        return "\n".join([head, *lines[-20:]])
