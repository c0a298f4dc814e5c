"""The Events API of a bad day: what a seed has it answer to whom, for each integration key another
weather."""

import json

from tests.simulation.model import Event, Model
from tests.simulation.network import Answer, http
from tests.simulation.world import World

GOOD = "GOOD"  # the key whose events always get the answer that they deserve
RESET = ConnectionResetError(104, "Connection reset by peer")
HTML = "Content-Type: text/html"
KINDS = (
    *("yes", "yes", "interim", "closing", "twice", "stale", "late", "torn", "reset", "silence"),
    *(
        "taken and lost",
        "refused",
        "refused",
        "throttled",
        "throttled for",
        "trouble",
        "portal",
        "forbidden",
    ),
)
# What a proxy says to CONNECT. After some of these what follows must be nobody's answer.
GATES = (
    *("yes", "yes", "interim", "yes and more", "yes and later more", "another 2xx", "switching"),
    *("password", "gateway", "page", "torn", "endless", "reset", "silence", "closing"),
)


class Server:
    def __init__(self, world: World, model: Model) -> None:
        self._choice = world.choice
        self._model = model
        self._weather: dict[str, list[str]] = {}
        self._gates = [*self._choice.choices(GATES, k=3), "yes"]
        self.healed = False

    def answer(self, method: str, address: str, body: bytes) -> Answer:
        seconds = self._choice.choice([0.001, 0.1, 0.4])
        if method == "CONNECT":
            return self._gate(seconds)
        if address.endswith("/beat"):
            return [(seconds, http(200, {"heartbeat_interval_secs": 60}))]
        if body == b"{}":  # the neutral question
            return [(seconds, http(400, {"status": "invalid event", "message": "empty"}))]
        parsed = json.loads(body)
        expected = self._model.expected.get(parsed.get("dedup_key", ""))
        if expected is not None:
            self._model.nobody_is_paged_without_need(expected, parsed["event_action"])
            return [(seconds, _yes(parsed))]
        event = self._model.the_body_is_as_it_was(body)
        if event is not None:
            self._model.they_go_in_order(event)
        key = parsed.get("routing_key") or parsed["service_key"]
        return self._drawn(key, parsed, event, seconds)

    def _drawn(self, key: str, body: dict[str, str], event: Event | None, seconds: float) -> Answer:
        kind = "yes" if self.healed or key == GOOD else self._kind_for(key)
        if event is not None:
            event.taken |= kind in ("yes", "interim", "closing", "twice", "stale", "late")
            event.refused |= kind == "refused"
        yes = _yes(body)
        if kind == "stale" and "only" not in str(event):
            # The next event of the incident would take it for its own: both have this dedup key.
            kind = "twice"
        match kind:
            case "interim":
                return [(seconds, b"HTTP/1.1 100 Continue\r\n\r\n"), (seconds, yes)]
            case "closing":
                return [(seconds, yes), (0.0, b"")]
            case "twice":
                return [(seconds, yes + yes)]
            case "stale":
                return [(seconds, yes), (self._choice.choice([0.01, 0.3]), yes)]
            case "late":
                return [(self._choice.choice([5.0, 29.0, 31.0]), yes)]
            case "torn":
                return [(seconds, yes[: self._choice.randrange(1, len(yes))]), (seconds, b"")]
            case "reset" | "taken and lost":
                return [(seconds, RESET)]
            case "silence":
                return []
            case "refused":
                words = {"status": "invalid event", "message": "no", "errors": ["bad"]}
                return [(seconds, http(400, words))]
            case "throttled":
                return [(seconds, http(429, {"status": "throttle exceeded"}))]
            case "throttled for":
                return [(seconds, http(429, b"", "Retry-After: 7"))]
            case "trouble":
                return [(seconds, http(503, b""))]
            case "portal":
                return [(seconds, http(200, b"<html>", HTML))]
            case "forbidden":
                return [(seconds, http(403, b"<html>", HTML))]
        return [(seconds, yes)]

    def _gate(self, seconds: float) -> Answer:
        yes = b"HTTP/1.1 200 Connection established\r\n\r\n"
        stray = http(202, {"status": "success"})
        match "yes" if self.healed else self._choice.choice(self._gates):
            case "interim":
                return [(seconds, b"HTTP/1.1 103 Early Hints\r\n\r\n"), (seconds, yes)]
            case "yes and more":
                return [(seconds, yes + stray)]
            case "yes and later more":
                return [(seconds, yes), (0.001, stray)]
            case "another 2xx":
                return [(seconds, http(204, b""))]
            case "switching":
                return [(seconds, b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + stray)]
            case "password":
                return [(seconds, http(407, b"", "Proxy-Authenticate: Basic"))]
            case "gateway":
                return [(seconds, http(502, b"<html>", HTML))]
            case "page":
                return [(seconds, http(403, b"<html>", HTML))]
            case "torn":
                return [(seconds, yes[: self._choice.randrange(1, len(yes))]), (seconds, b"")]
            case "endless":
                return [(seconds, b"HTTP/1.1 200 Yes\r\n" + b"X: y\r\n" * 200)]
            case "reset":
                return [(seconds, RESET)]
            case "silence":
                return []
            case "closing":
                return [(seconds, yes), (0.0, b"")]
        return [(seconds, yes)]

    def _kind_for(self, key: str) -> str:
        if key not in self._weather:
            kinds = self._choice.choices(KINDS, k=self._choice.randint(1, 4))
            self._weather[key] = [*kinds, "yes"]
        return self._choice.choice(self._weather[key])


def _yes(body: dict[str, str]) -> bytes:
    if "service_key" in body:
        return http(200, {"status": "success", "incident_key": body.get("incident_key", "made")})
    return http(202, {"status": "success", "dedup_key": body.get("dedup_key", "made")})
