"""A fleet, on paper: many hosts, an event of each in a minute, some relays, PagerDuty's limit. The
scheduler is the agent's own, one for each host and each relay; the clock is moved, and the network
is a rule. `python -m benchmarks.fleet` prints the tables of docs/sizing.md.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

from pdagent.schedule.entry import Entry
from pdagent.schedule.limits import Limits
from pdagent.schedule.rules import Fate
from pdagent.schedule.scheduler import Scheduler
from pdagent.wire.verdict import Delivered, Throttled, Unreachable, Verdict

HOSTS = 10_000
STORM_SECONDS = 60.0
ACCEPTS = 300.0  # a second, by one relay: what benchmarks.relay measures, and less
PAGERDUTY_SECONDS = 0.1
CAP, CONNECTIONS, PER_KEY = 60.0, 32, 8  # the defaults
LOST_SECONDS = 2.0  # until a host notices that a relay does not answer

# What benchmarks.relay measures: of a relay with 200 senders on the same two processors, and of an
# event that waits there.
PROCESSOR_SECONDS, RELAY_MEGABYTES = 2 / 630, 39
FILE_BYTES, EVENT_BYTES = 4096, 600

Then = Callable[[], None]
Post = Callable[[Entry], tuple[float, Verdict, Then]]


class World:
    """The clock, and what happens next."""

    def __init__(self, seed: int = 1) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self._coming: list[tuple[float, int, Then]] = []
        self._numbers = count()

    def at(self, moment: float, what: Then) -> None:
        heapq.heappush(self._coming, (max(moment, self.now), next(self._numbers), what))

    def run(self) -> None:
        """Until nothing is left to happen."""
        while self._coming:
            self.now, _, what = heapq.heappop(self._coming)
            what()


class Node:
    """An agent: its scheduler and its connections. `post` says how long a post takes, what comes of
    it, and what that changes elsewhere."""

    def __init__(self, world: World, post: Post, relays: tuple[str, ...] = ("",)) -> None:
        self._world = world
        self._post = post
        limits = Limits(CAP, 60, CONNECTIONS, PER_KEY, relays)
        self._scheduler = Scheduler(limits, world.random.random)
        self._flying = 0
        self._woken_at = float("inf")

    def add(self, name: str) -> None:
        """An event KEY:CHAIN:NUMBER is accepted."""
        self._scheduler.add(name, name.split(":")[0])
        self.pump()

    def pump(self) -> None:
        scheduler, now = self._scheduler, self._world.now
        while self._flying < CONNECTIONS and (entry := scheduler.claim(now)) is not None:
            if not scheduler.may_send(entry, "=" + entry.name.split(":")[1]):
                continue
            if scheduler.destination(entry, now) is None:
                continue
            self._flying += 1
            self._send(entry)
        due = scheduler.next_due(now)
        if due is not None and (due < self._woken_at or self._woken_at <= now):
            self._woken_at = due
            self._world.at(due, self.pump)

    def _send(self, entry: Entry) -> None:
        began = self._world.now
        seconds, verdict, then = self._post(entry)

        def landed() -> None:
            self._flying -= 1
            now = self._world.now
            ruling = self._scheduler.settle(entry, verdict, began, now)
            if ruling.fate is Fate.DELIVERED:
                then()
                self._scheduler.forget(entry)
            self.pump()

        self._world.at(began + seconds, landed)


@dataclass
class Storm:
    """When each event reached PagerDuty, in that order; how often a key was throttled; how many
    events each relay held at most; how many posts went to another relay than the first; and when
    each event was safe on a relay's disk."""

    arrived: dict[str, float] = field(default_factory=dict)
    throttled: int = 0
    queued_most: dict[str, int] = field(default_factory=dict)
    moved: int = 0
    safe: list[float] = field(default_factory=list)


class Relay:
    """A relay that takes ACCEPTS events a second, and forwards them; `away`: from when to when it
    is not there."""

    def __init__(self, world: World, url: str, storm: Storm, pagerduty: Post) -> None:
        self.url = url
        self.away = (float("inf"), float("inf"))
        self._world = world
        self._storm = storm
        self._pending = 0
        self._free_at = 0.0
        self._node = Node(world, self._forward)
        self._pagerduty = pagerduty

    @property
    def is_away(self) -> bool:
        return self.away[0] <= self._world.now < self.away[1]

    def take(self, entry: Entry) -> tuple[float, Verdict, Then]:
        """A host's post to it."""
        if self.is_away:
            return LOST_SECONDS, Unreachable("connection refused"), _nothing
        now = self._world.now
        self._free_at = max(now, self._free_at) + 1 / ACCEPTS

        def taken() -> None:
            self._pending += 1
            self._storm.safe.append(self._world.now)
            most = self._storm.queued_most
            most[self.url] = max(most.get(self.url, 0), self._pending)
            self._node.add(entry.name)

        return self._free_at - now, Delivered(202), taken

    def _forward(self, entry: Entry) -> tuple[float, Verdict, Then]:
        if self.is_away:  # it is started again then, with all that it had
            return self.away[1] - self._world.now, Unreachable("stopped"), _nothing
        seconds, verdict, then = self._pagerduty(entry)

        def gone() -> None:
            self._pending -= 1
            then()

        return seconds, verdict, gone


def storm(
    keys: int,
    limit: int,
    relays: int = 2,
    hosts: int = HOSTS,
    events: int = 1,
    away: tuple[float, float] | None = None,
) -> Storm:
    """`hosts` send `events` each within a minute, to `keys` services that take `limit` a minute.
    The first relay is `away` from when to when."""
    world, made = World(), Storm()
    taken: Counter[tuple[str, int]] = Counter()

    def pagerduty(entry: Entry) -> tuple[float, Verdict, Then]:
        minute = entry.key, int(world.now // 60)
        if taken[minute] >= limit:
            made.throttled += 1
            return PAGERDUTY_SECONDS, Throttled(429, None), _nothing
        taken[minute] += 1
        return (
            PAGERDUTY_SECONDS,
            Delivered(202),
            lambda: made.arrived.update({entry.name: world.now}),
        )

    urls = tuple(f"https://relay{number}:1" for number in range(1, relays + 1))
    gates = {url: Relay(world, url, made, pagerduty) for url in urls}
    if away is not None:
        gates[urls[0]].away = away
    names = urls if relays > 1 else ("",)
    first: dict[str, str] = {}

    def to_relay(entry: Entry) -> tuple[float, Verdict, Then]:
        url = entry.relay or urls[0]
        if first.setdefault(entry.name, url) != url:
            made.moved += 1
        return gates[url].take(entry)

    for host in range(hosts):
        node = Node(world, to_relay, names)
        for number in range(events):
            moment = world.random.random() * STORM_SECONDS / events
            moment += number * STORM_SECONDS / events
            name = f"k{host % keys}:h{host}:{number}"
            world.at(moment, lambda node=node, name=name: node.add(name))  # type: ignore[misc]
    world.run()
    return made


def _nothing() -> None:
    pass


def out_of_order(made: Storm) -> int:
    """Chains whose events did not come in the order of their acceptance."""
    found: dict[str, list[int]] = {}
    for name in made.arrived:
        chain, number = name.rsplit(":", 1)
        found.setdefault(chain, []).append(int(number))
    return sum(numbers != sorted(numbers) for numbers in found.values())


def tables() -> str:
    """As docs/sizing.md has them."""
    lines = ["| services (keys) | a key takes, a minute | half are out after | all are out after |"]
    lines.append("|---|---|---|---|")
    for keys, limit in ((1, 120), (20, 120), (200, 120), (1, 10_000), (20, 10_000)):
        made = storm(keys, limit)
        assert len(made.arrived) == HOSTS
        times = sorted(made.arrived.values())
        lines.append(f"| {keys} | {limit:,} | {_said(times[HOSTS // 2])} | {_said(times[-1])} |")
    lines += [
        "",
        "| two relays, and one is away | lost | moved | out of order | all are out after |",
    ]
    lines.append("|---|---|---|---|---|")
    for title, away in (
        ("never", None),
        ("for 20 s, a restart", (20.0, 40.0)),
        ("for ten minutes", (20.0, 620.0)),
    ):
        made = storm(200, 120, hosts=2000, events=3, away=away)
        lost = 6000 - len(made.arrived)
        last = _said(max(made.arrived.values()))
        lines.append(f"| {title} | {lost} | {made.moved} | {out_of_order(made)} | {last} |")
    return "\n".join(lines)


def relays_table() -> str:
    """What relays need, one of which is away all the time."""
    lines = [
        "| hosts | relays, one of them away | a second, at most | processors | all are safe after |"
        " wait at one relay | disk | memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for hosts, relays in ((1000, 2), (10_000, 2), (20_000, 3)):
        made = storm(20, 120, relays, hosts, away=(0.0, 3600.0))
        assert len(made.arrived) == hosts
        seconds = Counter(int(moment) for moment in made.safe)
        rate = max(seconds.values()) / (relays - 1)
        most = max(made.queued_most.values())
        lines.append(
            f"| {hosts:,} | {relays} | {rate:.0f} | {rate * PROCESSOR_SECONDS:.1f} | "
            f"{_said(max(made.safe))} | {most:,} | {most * FILE_BYTES / 1e6:.0f} MB | "
            f"{RELAY_MEGABYTES + most * EVENT_BYTES / 1e6:.0f} MB |"
        )
    return "\n".join(lines)


def _said(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    print(tables(), relays_table(), sep="\n\n")
