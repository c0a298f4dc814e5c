"""What PagerDuty keeps: incidents by (integration key, dedup key), and the rate limit. Pure."""

from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import Literal

State = Literal["open", "acknowledged", "resolved"]


@dataclass(frozen=True)
class Incident:
    """What happened under one dedup key: its state, and how many incidents it opened in turn."""

    key: str
    dedup_key: str
    state: State
    summary: str
    opened: int = 1
    events: int = 1


class Incidents:
    """The Events API's rules of de-duplication (docs/events-API-v1/01-Overview.md, as in `schema`).

    A trigger opens an incident, or joins the one that is not resolved; acknowledgements and
    resolves of nothing open are dropped, and counted.
    """

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str], Incident] = {}
        self.dropped = 0

    def apply(self, key: str, dedup_key: str, action: str, summary: str) -> None:
        known = self._by_key.get((key, dedup_key))
        live = known is not None and known.state != "resolved"
        if action != "trigger" and not live:
            self.dropped += 1
            return
        if known is None:
            changed = Incident(key, dedup_key, "open", summary)
        elif not live:
            changed = replace(
                known,
                state="open",
                summary=summary,
                opened=known.opened + 1,
                events=known.events + 1,
            )
        else:
            states: dict[str, State] = {"acknowledge": "acknowledged", "resolve": "resolved"}
            state = states.get(action, known.state)
            changed = replace(known, state=state, events=known.events + 1)
        self._by_key[key, dedup_key] = changed

    def get(self, key: str, dedup_key: str) -> Incident | None:
        return self._by_key.get((key, dedup_key))

    def all(self) -> tuple[Incident, ...]:
        """In the order in which they were first opened."""
        return tuple(self._by_key.values())


class RateLimit:
    """So many events a key in any `window` seconds; PagerDuty takes about 120 in 60.

    (docs/events-API-v2/05-Rate-Limits.md, as in `schema`.) Refused events do not count.
    """

    def __init__(self, limit: int | None, window: float = 60.0) -> None:
        self.limit = limit
        self.window = window
        self._taken: defaultdict[str, deque[float]] = defaultdict(deque)

    def takes(self, key: str, now: float) -> bool:
        if self.limit is None:
            return True
        taken = self._taken[key]
        while taken and taken[0] <= now - self.window:
            taken.popleft()
        if len(taken) >= self.limit:
            return False
        taken.append(now)
        return True
