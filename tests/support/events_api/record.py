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
    """Requests by number. Each change wakes those who wait."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._requests: list[Request] = []
        self._accepted: list[int] = []

    def add(self, request: Request, status: int | None, takes_effect: bool) -> Request:
        """Keep a request under the next number; it comes back with its places filled in."""
        with self.changed:
            accepted = len(self._accepted) if takes_effect else None
            number = len(self._requests)
            request = replace(request, number=number, accepted=accepted, status=status)
            self._requests.append(request)
            if takes_effect:
                self._accepted.append(request.number)
            self.changed.notify_all()
            return request

    def answered(self, request: Request) -> None:
        """Note when the answer was out. After a `clear` there may be nothing left to note it on."""
        with self.changed:
            if request.number < len(self._requests) and self._requests[request.number] is request:
                self._requests[request.number] = replace(request, answered=time.monotonic())
                self.changed.notify_all()

    def clear(self) -> None:
        with self.changed:
            self._requests.clear()
            self._accepted.clear()
            self.changed.notify_all()

    @property
    def count(self) -> int:
        return len(self._requests)

    @property
    def accepted_count(self) -> int:
        return len(self._accepted)

    def all(self) -> tuple[Request, ...]:
        with self.changed:
            return tuple(self._requests)

    def accepted(self) -> tuple[Request, ...]:
        with self.changed:
            return tuple(self._requests[number] for number in self._accepted)

    def wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Until the condition holds; it is looked at after each change, and never in between."""
        with self.changed:
            if not self.changed.wait_for(condition, timeout):
                tail = "\n".join(
                    f"  {r.number} {r.path} {r.key} {r.dedup_key} -> {r.status}"
                    for r in self._requests[-20:]
                )
                raise TimeoutError(
                    f"no {what} in {timeout:g} s; {len(self._requests)} requests arrived, "
                    f"{len(self._accepted)} were accepted, the last of them:\n{tail}"
                )
