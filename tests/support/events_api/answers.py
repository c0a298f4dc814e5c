"""What the API answers: PagerDuty's own answers, and scripted ones in their place."""

import json
import threading
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.support.events_api.schema import DIALECTS, MAX_BODY, V2

Reset = Literal["before", "after", "mid-body"]


@dataclass(frozen=True)
class Answer:
    """One answer to one request. A field left alone is what PagerDuty would do.

    status   this one instead of PagerDuty's; a 2xx takes the event, however odd the body
    body     bytes, text, or something to send as JSON
    html     a page, as proxies and gateways answer
    delay    seconds until the answer goes out; the event has taken effect before
    gate     the answer goes out once this is set; the event has taken effect before
    hang     no answer at all, the connection stays open; the event takes no effect
    reset    the connection is reset: "before" the event takes effect, "after" it did but before
             the first byte of an answer, or half-way through the answer's body ("mid-body")
    """

    status: int | None = None
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    gate: threading.Event | None = None
    hang: bool = False
    reset: Reset | None = None
    html: str | None = None
    retry_after: int | str | None = None


@dataclass(frozen=True)
class Reply:
    """An answer with nothing left open: what goes on the wire."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def reply(status: int, body: object, headers: Mapping[str, str] | None = None) -> Reply:
    """Text and bytes as they are, everything else as JSON."""
    kind = "application/json"
    if isinstance(body, bytes):
        data = body
    elif isinstance(body, str):
        data, kind = body.encode(), "text/plain; charset=utf-8"
    else:
        data = json.dumps(body).encode()
    return Reply(status, data, {"Content-Type": kind} | dict(headers or {}))


def processed(path: str, dedup_key: str | None) -> Reply:
    """The event is taken. A change event has no dedup key."""
    dialect = DIALECTS[path]
    if dedup_key is None:
        return reply(202, {"status": "success", "message": "Change event processed"})
    body = {"status": "success", "message": "Event processed", dialect.dedup_key: dedup_key}
    return reply(dialect.success, body)


def invalid(*errors: str) -> Reply:
    body = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
    return reply(400, body)


def unrecognised(path: str) -> Reply:
    body = {
        "status": DIALECTS[path].unrecognised,
        "message": "Event object format is unrecognized",
        "errors": ["JSON parse error"],
    }
    return reply(400, body)


def too_large() -> Reply:
    body = {
        "status": "invalid event",
        "message": "Event object is invalid",
        "errors": [f"Event is too large (should be at most {MAX_BODY} bytes)"],
    }
    return reply(413, body)


def throttled(path: str) -> Reply:
    """429 from v2, 403 from v1."""
    body = {
        "status": "throttle exceeded",
        "message": "Requests for this service are arriving too quickly. Please retry later.",
        "errors": ["Enhance Your Calm."],
    }
    return reply(DIALECTS[path].throttled, body)


def scripted(answer: Answer, natural: Reply, path: str) -> Reply:
    """The scripted answer, filled up from what PagerDuty would have said."""
    status = natural.status if answer.status is None else answer.status
    headers = dict(answer.headers)
    if answer.retry_after is not None:
        headers["Retry-After"] = str(answer.retry_after)
    if answer.html is not None:
        return reply(status, answer.html, {"Content-Type": "text/html; charset=utf-8"} | headers)
    if answer.body is not None:
        return reply(status, answer.body, headers)
    if status == natural.status or 200 <= status < 300:
        body = natural
    elif status in (403, 429):
        body = throttled(path if path in DIALECTS else V2)
    elif status == 400:
        body = invalid("Scripted to be refused")
    elif status >= 500:
        body = reply(status, {"status": "internal error", "message": "Internal Server Error"})
    else:
        body = reply(status, b"", {})
    return Reply(status, body.body, {**body.headers, **headers})


class Script:
    """Answers to come: a queue and a standing one by key, by path, and (None) for everything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: defaultdict[str | None, deque[Answer]] = defaultdict(deque)
        self._standing: dict[str | None, Answer] = {}

    def queue(self, scope: str | None, *answers: Answer) -> None:
        with self._lock:
            self._queues[scope].extend(answers)

    def always(self, scope: str | None, answer: Answer | None) -> None:
        with self._lock:
            if answer is None:
                self._standing.pop(scope, None)
            else:
                self._standing[scope] = answer

    def clear(self) -> None:
        with self._lock:
            self._queues.clear()
            self._standing.clear()

    def next(self, key: str | None, path: str) -> Answer | None:
        """The nearest scope wins; in a scope the queue goes before the standing answer."""
        with self._lock:
            for scope in _scopes(key, path):
                if queue := self._queues.get(scope):
                    return queue.popleft()
                if scope in self._standing:
                    return self._standing[scope]
        return None

    def standing(self, key: str | None, path: str) -> Answer | None:
        """The nearest scope's standing answer."""
        with self._lock:
            found = (self._standing.get(scope) for scope in _scopes(key, path))
            return next(filter(None, found), None)


def _scopes(key: str | None, path: str) -> list[str | None]:
    return [*([key] if key else []), path, None]
