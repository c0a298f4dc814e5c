"""Relays: to which of several destinations an event goes, and when it may go to another.

Pure: it knows addresses, names and the time it is handed.

A chain stays with one relay, which keeps its events in order (see `wire.ranking`). Where that relay
is not reached, the chain waits for it for MOVE_SECONDS: if the relay was only started anew, all is
in order still. Then the chain moves to the next, and stays there. The relay that it left may hold
events of the chain, and deliver them later than the next one does: see docs/promises.md.

Each relay that is not reached has one probe at a time, an event of its own, with backoff. Where no
destination is reached, the outage (`outage`) says who probes.

A relay may also be silent: a connect to a black hole and a name that hangs in DNS take ten seconds
to fail, a post without an answer takes longer. If all that goes to it went meanwhile, it would take
all places of a key, and the events of the other relays would find none. So one event alone goes to
a relay that has not been heard for HEARD_SECONDS, and the others wait for what comes of that.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from pdagent.queue.holds import Cause, Hold, Scope
from pdagent.schedule.backoff import Backoff
from pdagent.schedule.entry import Entry
from pdagent.wire.ranking import ranked

MOVE_SECONDS = 30.0
# A probe without an answer for this long is followed by another: its post is past its deadline.
PROBE_SECONDS = 60.0
# Longer than the answers of a relay that is well are apart while it has events to answer.
HEARD_SECONDS = 1.0
MOVED_KEPT = 10_000  # chains that are remembered to have moved


class Relay:
    """One destination. `since`: from when on it is not reached, None while it is; `until`: when the
    next probe may go; `waiting`: the names of events that wait for it; `back`: when it was last
    reached again; `heard`: when it last answered; `unanswered`: the name of the first event that
    was sent to it since, "" if there is none."""

    __slots__ = ("back", "backoff", "heard", "since", "unanswered", "until", "waiting")

    def __init__(self, random: Callable[[], float]) -> None:
        self.backoff = Backoff(random)
        self.since: float | None = None
        self.until = 0.0
        self.back = self.heard = float("-inf")
        self.unanswered = ""
        self.waiting: dict[str, None] = {}

    def is_left(self, now: float) -> bool:
        """Whether its chains need not wait for it any longer."""
        return self.since is not None and now - self.since >= MOVE_SECONDS

    def is_silent(self, now: float) -> bool:
        """Whether it is reached as far as is known, and an event on its way there finds out."""
        unheard = now - self.heard > HEARD_SECONDS
        return self.since is None and bool(self.unanswered) and unheard

    def next_look(self, now: float) -> float:
        """When an event that waits for it should ask again."""
        if self.since is None or self.is_left(now):
            return now
        # A probe may be on its way for longer, where the relay is silent.
        return min(self.until, self.since + MOVE_SECONDS)

    def missed(self, now: float, cap: float) -> None:
        """A probe was in vain. The next one is due at the moment when the relay's chains need not
        wait any longer, if not before."""
        if self.since is None:
            self.since = now
        self.until = now + self.backoff.failed(cap)
        if not self.is_left(now):
            self.until = min(self.until, self.since + MOVE_SECONDS)


class Relays:
    """The destinations at these addresses, one at least. `random` gives floats in [0, 1)."""

    def __init__(self, urls: Sequence[str], random: Callable[[], float]) -> None:
        self._relays = {url: Relay(random) for url in urls}
        self._moved: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._first = urls[0]

    @property
    def several(self) -> bool:
        """Whether there is more than one destination."""
        return len(self._relays) > 1

    def lost(self) -> dict[str, float]:
        """The addresses of those that are not reached, and since when. One destination is never
        among them: see `outage`."""
        return {url: relay.since for url, relay in self._relays.items() if relay.since is not None}

    def choose(self, entry: Entry, now: float, outage: bool) -> Hold | None:
        """Sets the relay to which an event goes. Returns the hold on its chain if it has to wait
        for that relay. In an `outage`, which reaches none, it goes to the one that is due first."""
        entry.relay, until = self._chosen(entry.key, entry.chain or "", now, outage)
        relay = self._relays[entry.relay]
        if until is None:
            relay.unanswered = relay.unanswered or entry.name
            return None
        relay.waiting[entry.name] = None
        return Hold(Scope.CHAIN, Cause.UNREACHABLE, "", now, until, entry.key, entry.chain or "")

    def _chosen(self, key: str, chain: str, now: float, outage: bool) -> tuple[str, float | None]:
        """Which relay, and when to ask again if the event has to wait; None: it may go now."""
        if not self.several:
            return self._first, None
        order = self._order(key, chain)
        if outage:
            return min(order, key=lambda url: self._relays[url].until), None
        for url in order:
            relay = self._relays[url]
            if relay.is_silent(now):
                return url, now + MOVE_SECONDS  # or when it has answered
            if relay.since is None:
                self._remember(key, chain, order[0], url)
                return url, None
            if relay.until <= now:
                relay.until = now + PROBE_SECONDS  # this event is the probe
                return url, None
            if not relay.is_left(now):
                return url, relay.next_look(now)
        return order[0], min(self._relays[url].until for url in order)

    def _order(self, key: str, chain: str) -> list[str]:
        order = ranked(self._relays, key, chain)
        moved = self._moved.get((key, chain))
        if moved is not None:
            order.remove(moved)
            order.insert(0, moved)
        return order

    def _remember(self, key: str, chain: str, first: str, url: str) -> None:
        if url == first:
            return
        self._moved.pop((key, chain), None)
        self._moved[key, chain] = url
        if len(self._moved) > MOVED_KEPT:
            self._moved.popitem(last=False)

    def back_after(self, url: str, started: float) -> bool:
        """Whether a relay was reached again after a post to it was sent at `started`. Such a post
        does not tell that the relay is lost: see `outage`."""
        return started < self._relays[url].back

    def missed(self, name: str, url: str, started: float, now: float, cap: float) -> float | None:
        """An event, sent at `started`, has not reached this relay. Returns when to ask again; None
        where no destination is reached."""
        relay = self._relays[url]
        if relay.since is None or started >= relay.since:
            relay.missed(now, cap)
        if relay.is_left(now):
            relay.waiting.clear()  # they have gone another way
        relay.waiting[name] = None
        if all(each.since is not None for each in self._relays.values()):
            return None
        return relay.next_look(now)

    def next_look(self, url: str, now: float) -> float:
        """When an event that waits for this relay should ask again."""
        return self._relays[url].next_look(now)

    def answered(self, url: str, now: float) -> list[str]:
        """A relay has answered. Returns the names of those who need not wait for it any longer."""
        relay = self._relays.get(url)
        if relay is None:
            return []
        relay.heard, relay.unanswered = now, ""
        if relay.since is not None:
            relay.since, relay.until, relay.back = None, 0.0, now
            relay.backoff.succeeded()
        waiting, relay.waiting = list(relay.waiting), {}
        return waiting

    def released(self, entry: Entry) -> None:
        """An event is no longer on its way. Whatever became of it, others may go now."""
        relay = self._relays.get(entry.relay)
        if relay is not None and relay.unanswered == entry.name:
            relay.unanswered = ""
