"""A day without PagerDuty, in seconds: the scheduler, on a clock that only the test moves."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random

import pytest

from pdagent.schedule.entry import Entry
from pdagent.schedule.limits import Limits
from pdagent.schedule.rules import Fate
from pdagent.schedule.scheduler import Scheduler
from pdagent.wire.verdict import Delivered, Troubled, Unreachable, Verdict

HOUR = 3600.0
CAP = 60.0
CONNECTIONS = 32
CHAINS = 10  # dedup keys of each integration key

Network = Callable[[float], tuple[float, Verdict]]


@dataclass(frozen=True)
class Post:
    """A post from its start to its answer."""

    name: str
    began: float
    ended: float
    verdict: Verdict


class Host:
    """A scheduler and its workers. `network` says how long a post that begins at a time takes, and
    what comes of it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.now = 0.0
        self.scheduler = Scheduler(Limits(CAP, 60, 32, 8), Random(1).random)
        self.posts: list[Post] = []
        self._flying: list[tuple[float, int, Entry, Post]] = []
        self._numbers = count()

    def run(self, arrivals: list[tuple[float, str]]) -> None:
        """Until all events, which come at these times, are delivered."""
        coming = sorted(arrivals, reverse=True)
        while coming or len(self.scheduler):
            while coming and coming[-1][0] <= self.now:
                name = coming.pop()[1]
                self.scheduler.add(name, name.split(":")[0])
            self._start()
            times = [coming[-1][0]] if coming else []
            times += [self._flying[0][0]] if self._flying else []
            due = self.scheduler.next_due(self.now)
            times += [due] if due is not None else []
            assert times, "stuck: events are pending, and nothing is due"
            self.now = max(self.now, min(times))
            self._land()

    def _start(self) -> None:
        while len(self._flying) < CONNECTIONS:
            entry = self.scheduler.claim(self.now)
            if entry is None:
                return
            if not self.scheduler.may_send(entry, entry.name.split(":")[1]):
                continue
            seconds, verdict = self.network(self.now)
            post = Post(entry.name, self.now, self.now + seconds, verdict)
            self.posts.append(post)
            heapq.heappush(self._flying, (post.ended, next(self._numbers), entry, post))

    def _land(self) -> None:
        while self._flying and self._flying[0][0] <= self.now:
            _, _, entry, post = heapq.heappop(self._flying)
            ruling = self.scheduler.settle(entry, post.verdict, post.began, self.now)
            assert ruling.fate in (Fate.DELIVERED, Fate.WAITS)
            if ruling.fate is Fate.DELIVERED:
                self.scheduler.forget(entry)


def backlog(events: int, keys: int, seconds: float) -> list[tuple[float, str]]:
    """Events KEY:CHAIN:NUMBER that come evenly over a time."""
    return [
        (number * seconds / events, f"{number % keys}:{number // keys % CHAINS}:{number:06}")
        for number in range(events)
    ]


def at_once(posts: list[Post]) -> int:
    """The most posts that were on their way together."""
    moments = [(post.began, 1) for post in posts] + [(post.ended, -1) for post in posts]
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


@pytest.mark.parametrize("dead", [0.001, 10.0], ids=["refused", "black hole"])
@pytest.mark.parametrize("unsteady", [False, True], ids=["steady", "unsteady"])
def test_a_day(request: pytest.FixtureRequest, dead: float, unsteady: bool) -> None:
    """All is delivered, in order; the network is asked now and then by one event; and whoever comes
    back is not run over, not even when every other of his first answers is a failure."""
    long = request.config.getoption("--long")
    events, keys = (50_000, 500) if long else (5_000, 500)
    over = 24 * HOUR
    chance = Random(2)

    def network(now: float) -> tuple[float, Verdict]:
        if now < over:
            return dead, Unreachable("it is not there")
        if unsteady and now < over + 300 and chance.random() < 0.5:
            return 0.1, Troubled("answered 503", 503)
        return 0.1, Delivered(202)

    host = Host(network)
    host.run(backlog(events, keys, over))

    delivered = [post.name for post in host.posts if isinstance(post.verdict, Delivered)]
    assert len(delivered) == len(set(delivered)) == events
    chains = defaultdict(list)
    for name in delivered:
        key, chain, number = name.split(":")
        chains[key, chain].append(number)
    assert all(numbers == sorted(numbers) for numbers in chains.values())

    probes = [post for post in host.posts if post.began < over]
    known = min(post.ended for post in probes)
    assert at_once([post for post in probes if post.began >= known]) == 1
    assert len(probes) < 24 * 60 * 3  # two a minute on average, with full jitter up to a minute
    per_minute = Counter(post.began // 60 for post in probes)
    assert max(per_minute.values()) < 20

    after = [post for post in host.posts if post.ended >= over]
    first = min(post.ended for post in after if isinstance(post.verdict, Delivered))
    assert first < over + CAP + 11, "nobody looked whether it is back"
    for round_trips, most in ((1, 4), (2, 8), (3, 16)):
        so_far = [post for post in after if post.began < first + round_trips * 0.1 - 0.05]
        assert at_once(so_far) <= most
    assert at_once(after) <= CONNECTIONS
    if not unsteady:
        assert at_once(after) == CONNECTIONS
        assert host.now < first + events / CONNECTIONS * 0.1 * 1.2 + 2
