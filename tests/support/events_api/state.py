"""All that the API knows and may be told, and the decisions it makes of it. No HTTP."""

from itertools import count

from tests.support.events_api import answers
from tests.support.events_api.answers import Reply
from tests.support.events_api.incidents import Incidents, RateLimit
from tests.support.events_api.record import Record, Request
from tests.support.events_api.schema import (
    CHANGE,
    DIALECTS,
    HEARTBEAT,
    MAX_BODY,
    V1,
    faults,
    summary,
    text,
)


class State:
    """Shared between the server's thread and the tests'; `record.lock` is its lock."""

    def __init__(self, latency: float, rate_limit: int | None, strict_keys: bool) -> None:
        self.record = Record()
        self.connections = count()
        self.script = answers.Script()
        self.incidents = Incidents()
        self.rate = RateLimit(rate_limit)
        self.latency = latency
        self.strict_keys = strict_keys
        self.unknown_keys: set[str] = set()
        self.v1_only_keys: set[str] = set()

    def reset(self) -> None:
        """Forget what arrived and what was scripted; settings and declared keys stay."""
        with self.record.lock:
            self.incidents = Incidents()
            self.rate = RateLimit(self.rate.limit, self.rate.window)
            self.script.clear()
            self.record.clear()

    def judge(self, request: Request) -> Reply:
        """What PagerDuty would answer, and one off the key's allowance if it takes the event."""
        path = request.path
        if path == HEARTBEAT:
            return answers.reply(200, {"heartbeat_interval_secs": 3600})
        if path not in DIALECTS:
            return answers.reply(404, "<h1>Not Found</h1>", {"Content-Type": "text/html"})
        if request.method != "POST":
            return answers.reply(405, "Method Not Allowed", {"Allow": "POST"})
        if len(request.body) > MAX_BODY:
            return answers.too_large()
        if request.event is None:
            return answers.unrecognised(path)
        if errors := faults(path, request.event, self.strict_keys):
            return answers.invalid(*errors)
        assert request.key is not None
        if request.key in self.unknown_keys or (path != V1 and request.key in self.v1_only_keys):
            return answers.invalid("Invalid service key" if path == V1 else "Invalid routing key")
        if not self.rate.takes(request.key, request.arrived):
            return answers.throttled(path)
        return answers.processed(path, None if path == CHANGE else request.dedup_key)

    def take_effect(self, request: Request) -> None:
        """Change the incident that an accepted event is about, if it is about any."""
        if not (request.event and request.key and request.dedup_key):
            return
        action = text(request.event, DIALECTS[request.path].action) or ""
        self.incidents.apply(request.key, request.dedup_key, action, summary(request.event))
