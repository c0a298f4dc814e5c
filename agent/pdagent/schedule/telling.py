"""Telling: what people and metrics learn of the scheduler's lanes and holds.

Pure, and changes nothing. Nobody reads a thousand lines, and 100,000 held keys must not cost more
to tell. So HOLDS_TOLD holds are told, and the rest is counted.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from pdagent.config import shown_url
from pdagent.queue.holds import Figures, Held, Hold, Scope, Tries
from pdagent.schedule.chains import Chain
from pdagent.schedule.lane import Lane
from pdagent.schedule.outage import Outage
from pdagent.schedule.relays import Relays

HOLDS_TOLD = 1000
TRIES_KEPT = 10_000  # events whose tries are remembered, for people to see


class Attempts:
    """What was tried in vain, by the event's name."""

    def __init__(self) -> None:
        self._tries: dict[str, Tries] = {}

    def add(self, name: str, now: float, why: str) -> bool:
        """An event was sent in vain. False: there are too many to remember this one too."""
        before = self._tries.get(name)
        if before is None and len(self._tries) >= TRIES_KEPT:
            return False
        self._tries[name] = Tries(1 if before is None else before.number + 1, now, why)
        return True

    def forget(self, name: str) -> bool:
        """The event is no longer pending. Returns whether it was remembered."""
        return self._tries.pop(name, None) is not None

    def told(self) -> Mapping[str, Tries]:
        """What was tried in vain, of HOLDS_TOLD events at most."""
        return dict(islice(self._tries.items(), HOLDS_TOLD))


def held(
    lanes: Collection[Lane],
    outage: Outage,
    tries: Attempts,
    relays: Relays,
    now: float,
) -> Held:
    """What is held at this moment, what was tried in vain, and which relays are lost."""
    holds = _holds(lanes, outage, now)
    told = tuple(islice(holds, HOLDS_TOLD))
    lost = {shown_url(url): since for url, since in relays.lost().items()}
    return Held(told, tries.told(), sum(1 for _ in holds), lost)


def _holds(lanes: Collection[Lane], outage: Outage, now: float) -> Iterator[Hold]:
    if outage.hold is not None:
        # The hold may be about one event or one key only. A person is told that PagerDuty can't be
        # reached.
        until = max(now, outage.hold.until)
        yield replace(outage.hold, scope=Scope.DESTINATION, until=until)
    for lane in lanes:
        if lane.hold is not None and lane.hold.is_told:
            yield replace(lane.hold, until=max(now, lane.hold.until))
    for lane in lanes:
        for chain in _told_chains(lane):
            if chain.told is not None:
                yield replace(chain.told, until=max(now, chain.hold.until))


def figures(lanes: Collection[Lane], outage: Outage, pending: int, oldest: str | None) -> Figures:
    """How many events wait, and for how many holds. An event may wait for several."""
    keys = [(lane, lane.hold.cause) for lane in lanes if lane.hold and lane.hold.is_told]
    chains = [len(chain.entries) for lane in lanes for chain in _told_chains(lane)]
    holds: dict[str, tuple[int, int]] = {
        Scope.DESTINATION: (0, 0) if outage.hold is None else (1, pending),
        Scope.KEY: (len(keys), sum(lane.events for lane, _ in keys)),
        Scope.CHAIN: (len(chains), sum(chains)),
    }
    causes = Counter(cause.value for _, cause in keys)
    return Figures(pending, oldest, holds, outage.hold is None, causes)


def _told_chains(lane: Lane) -> Iterable[Chain]:
    if not lane.has_chains:
        return ()
    return [chain for _, chain in lane.chains.items() if chain.told is not None]
