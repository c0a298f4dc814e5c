"""A chain stays with its relay, waits for it for a while, and then goes another way for good."""

from random import Random

import pytest

from pdagent import api
from pdagent.queue.holds import Cause, Hold, Scope
from pdagent.schedule.entry import Entry
from pdagent.schedule.limits import Limits
from pdagent.schedule.relays import (
    HEARD_SECONDS,
    MOVE_SECONDS,
    MOVED_KEPT,
    PROBE_SECONDS,
    Relay,
    Relays,
)
from pdagent.schedule.rules import Fate
from pdagent.schedule.scheduler import Scheduler
from pdagent.wire.ranking import ranked
from pdagent.wire.verdict import Delivered, Throttled, Unreachable, Verdict

A, B, C = "https://a.example:1", "https://b.example:1", "https://c.example:1"
CAP = 60.0


class Site:
    """A scheduler with several relays, and the relays, at a time that only the test moves. An event
    is written KEY:CHAIN:NUMBER."""

    def __init__(self, *urls: str, jitter: float = 1.0) -> None:
        self.scheduler = Scheduler(Limits(CAP, 60, 1000, 8, urls), lambda: jitter)
        self.now = 1000.0
        self.down: set[str] = set()
        self.tried: list[str] = []  # relays, in order
        self.taken: list[tuple[str, str]] = []  # what which relay has taken

    def add(self, *names: str) -> None:
        for name in names:
            self.scheduler.add(name, name.split(":")[0])

    def claim(self) -> Entry | None:
        while entry := self.scheduler.claim(self.now):
            if not self.scheduler.may_send(entry, name_of(entry)):
                continue
            if self.scheduler.destination(entry, self.now) is not None:
                return entry
        return None

    def send(self, entry: Entry, verdict: Verdict | None = None) -> None:
        self.tried.append(entry.relay)
        if verdict is None:
            verdict = Unreachable("refused") if entry.relay in self.down else Delivered(202)
        ruling = self.scheduler.settle(entry, verdict, self.now, self.now)
        if ruling.fate is not Fate.WAITS:
            self.taken.append((entry.name, entry.relay))
            self.scheduler.forget(entry)

    def drain(self) -> None:
        """All that may go now."""
        while (entry := self.claim()) is not None:
            self.send(entry)

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            self.drain()
            due = self.scheduler.next_due(self.now)
            if due is None or due > until:
                break
            self.now = max(due, self.now)
        self.now = until

    def relay_of(self, name: str) -> list[str]:
        return [relay for taken, relay in self.taken if taken == name]


def name_of(entry: Entry) -> str:
    return "=" + entry.name.split(":")[1]


def chains_for(relay: str, *urls: str, key: str = "K") -> list[str]:
    """Chains whose first choice is this relay."""
    return [f"c{n}" for n in range(1000) if ranked(urls, key, f"=c{n}")[0] == relay]


def chain_for(relay: str, *urls: str, key: str = "K") -> str:
    """A chain whose first choice is this relay."""
    return chains_for(relay, *urls, key=key)[0]


def test_chains_are_shared_out() -> None:
    """About evenly; each always to the same; and where one is taken away, only its own move."""
    chains = [f"={number}" for number in range(3000)]
    first = {chain: ranked([A, B, C], "K", chain)[0] for chain in chains}
    assert all(list(first.values()).count(url) > 800 for url in (A, B, C))
    fewer = {chain: ranked([C, A], "K", chain)[0] for chain in chains}
    assert all(fewer[chain] == url for chain, url in first.items() if url != B)


def test_pagerduty_comes_last() -> None:
    """Wherever it is named."""
    direct = api.BASE_URLS["us"]
    for chain in ("a", "b", "c", "d"):
        assert ranked([direct, A, B], "K", chain)[2] == direct


def test_a_chain_stays_with_its_relay() -> None:
    site = Site(A, B)
    site.add(*[f"K:{chain}:{n}" for n in range(5) for chain in "abcdef"])
    site.run(1)
    for chain in "abcdef":
        assert len({relay for name, relay in site.taken if name.split(":")[1] == chain}) == 1
    assert {relay for _, relay in site.taken} == {A, B}


def test_a_relay_that_is_back_in_time_keeps_its_chains() -> None:
    """And the events of the other relay never wait."""
    site = Site(A, B)
    a, b = chain_for(A, A, B), chain_for(B, A, B)
    site.down = {A}
    site.add(f"K:{a}:1", f"K:{b}:1", f"K:{a}:2")
    began, changes = site.now, site.scheduler.changes
    site.drain()
    assert site.taken == [(f"K:{b}:1", B)]
    assert site.scheduler.held(site.now).lost == {A: began}
    site.run(MOVE_SECONDS - 1)
    site.down = set()
    site.run(CAP)
    assert site.taken[1:] == [(f"K:{a}:1", A), (f"K:{a}:2", A)]
    assert site.scheduler.held(site.now).lost == {}
    assert site.scheduler.changes > changes


def test_what_was_sent_before_a_relay_was_back_does_not_lose_it() -> None:
    """A connect that fails after another has reached the relay: its event is tried again there."""
    site = Site(A, B, jitter=0.5)
    slow, probe, before = [f"K:{chain}:1" for chain in chains_for(A, A, B)[:3]]
    site.add(before)
    site.drain()
    site.add(slow)
    entry, began = site.claim(), site.now
    assert entry is not None
    site.down = {A}
    site.add(probe)
    site.drain()
    assert set(site.scheduler.held(site.now).lost) == {A}
    site.down = set()
    site.run(1.0)
    assert site.taken[1:] == [(probe, A)]
    changes = site.scheduler.changes
    ruling = site.scheduler.settle(entry, Unreachable("refused"), began, site.now)
    assert (ruling.scope, ruling.seconds) == ("chain", 0.5)
    assert site.scheduler.changes > changes
    assert site.scheduler.held(site.now).lost == {}
    site.run(0.4)
    assert len(site.taken) == 2
    site.run(0.2)
    assert site.taken[2:] == [(slow, A)]


def test_in_an_outage_the_relay_that_is_due_first_is_tried() -> None:
    """Not the one that the chain prefers, which may have been away for much longer."""
    site = Site(A, B)
    site.down = {A, B}
    first, second = chains_for(A, A, B)[:2]
    site.add(f"K:{first}:1")
    site.drain()
    site.now += 1
    site.drain()  # A is away for 2 s more
    site.add(f"K:{chain_for(B, A, B)}:1", f"L:{second}:1")
    other = site.claim()
    assert other is not None
    site.send(other)
    assert site.scheduler.unreachable is not None
    assert site.scheduler.unreachable.since == site.now
    site.now += 1
    probe = site.claim()
    assert probe is not None
    assert (probe.key, probe.relay) == ("L", B)


def test_what_was_sent_after_a_relay_was_back_counts() -> None:
    """And only the relay itself, and only after it was lost, makes a post old."""
    relays = Relays([A, B], lambda: 0.5)
    relays.answered(B, 30.0)
    relays.missed("1", A, 10.0, 10.0, CAP)
    assert not relays.back_after(A, 9.0)
    relays.answered(A, 20.0)
    relays.answered(A, 30.0)
    assert relays.back_after(A, 19.9)
    assert not relays.back_after(A, 20.0)
    assert not relays.back_after(B, 9.0)


def test_a_chain_moves_after_a_while_and_stays() -> None:
    """Its events are in order; where its relay is back, new chains go there, and it does not."""
    site = Site(A, B)
    a, new = chain_for(A, A, B), chain_for(A, A, B, key="L")
    site.down = {A}
    site.add(f"K:{a}:1", f"K:{a}:2")
    site.run(MOVE_SECONDS + 0.1)
    assert site.taken == [(f"K:{a}:1", B), (f"K:{a}:2", B)]
    site.down = set()
    site.add(f"L:{new}:0")
    site.run(CAP * 2)  # one of them probes
    site.add(f"K:{a}:3", f"L:{new}:1")
    site.run(CAP * 2)
    assert site.relay_of(f"K:{a}:3") == [B]
    site.add("M:" + chain_for(A, A, B, key="M") + ":1")
    site.run(1)
    assert site.taken[-1][1] == A
    assert site.scheduler.relays.lost() == {}


def test_one_probe_at_a_time() -> None:
    """A relay that does not answer costs one event's time, however many wait for it."""
    site = Site(A, B)
    chains = [f"{n}" for n in range(200) if ranked([A, B], "K" + str(n), f"={n}")[0] == A]
    site.down = {A}
    site.add(*[f"K{n}:{n}:1" for n in chains])
    first = site.claim()
    assert first is not None
    site.send(first)
    site.drain()
    assert site.tried == [A]
    site.run(MOVE_SECONDS - 1)
    assert len(site.tried) < 10
    site.run(2)
    assert len(site.taken) == len(chains)


def test_a_silent_relay_gets_one_event() -> None:
    """Until it is heard, the others that belong to it wait, and take no place of the key's: at
    first, and when it has been silent for a while. What is on its way there then is no hindrance
    to who comes after the answer."""
    site = Site(A, B)
    first, second, third = [f"K:{chain}:1" for chain in chains_for(A, A, B)[:3]]
    others = [f"K:{chain}:1" for chain in chains_for(B, A, B)[:20]]
    site.add(first, second, *others)
    hung = site.claim()
    assert hung is not None
    site.drain()
    assert [name for name, _ in site.taken] == others
    site.send(hung)
    site.drain()
    assert site.taken[-2:] == [(first, A), (second, A)]
    site.now += HEARD_SECONDS
    site.add(third, f"L:{chain_for(A, A, B, key='L')}:1")
    assert [entry.relay for entry in iter(site.claim, None) if entry] == [A, A]
    site.now += 0.1
    site.add(f"M:{chain_for(A, A, B, key='M')}:1")
    assert site.claim() is None


def test_an_event_that_comes_back_unanswered_keeps_nobody_from_its_relay() -> None:
    """Such as one that is postponed after an error of ours: the next one finds out."""
    site = Site(A, B)
    first, second = [f"K:{chain}:1" for chain in chains_for(A, A, B)[:2]]
    site.add(first)
    entry = site.claim()
    assert entry is not None
    site.scheduler.postpone(entry, site.now, site.now + CAP, "internal error")
    site.add(second)
    site.drain()
    assert site.taken == [(second, A)]


def test_all_are_out_of_reach() -> None:
    """Then it is as with one destination: one probe for all, and any answer ends it."""
    site = Site(A, B)
    site.down = {A, B}
    site.add(*[f"K{n}:{n}:1" for n in range(100)])
    site.run(600)
    assert site.scheduler.unreachable is not None
    assert site.taken == []
    assert len(site.tried) < 60
    site.down = {A}
    site.run(CAP * 2)
    assert len(site.taken) == 100
    assert {relay for _, relay in site.taken} == {B}
    assert site.scheduler.unreachable is None


def test_a_key_that_is_held_stays_held() -> None:
    """A relay that answers lets go who waits for it, and nobody else."""
    site = Site(A, B)
    a, b = chain_for(A, A, B), chain_for(B, A, B)
    site.add(f"K:{b}:1")
    entry = site.claim()
    assert entry is not None
    site.send(entry, Throttled(429, 300.0))
    site.down = {A}
    site.add("L:" + chain_for(A, A, B, key="L") + ":1")
    site.drain()
    site.down = set()
    site.run(CAP)
    assert [name[0] for name, _ in site.taken] == ["L"]
    site.add(f"K:{a}:2")
    site.run(100)
    assert [name[0] for name, _ in site.taken] == ["L"]


def test_what_is_remembered_is_bounded() -> None:
    """Only chains that have moved are remembered, and which have done so last."""
    relays = Relays([A, B], lambda: 1.0)
    moving, staying = chains_for(A, A, B)[:3], chains_for(B, A, B)

    def lose(url: str, now: float) -> None:
        for began in (now, now + MOVE_SECONDS):
            relays.missed("x", url, began, began, CAP)

    def send(*chains: str, now: float) -> None:
        for chain in chains:
            entry = entry_of(chain)
            assert relays.choose(entry, now, outage=False) is None
            relays.released(entry)

    lose(A, 0.0)
    send(*moving, *staying, now=31.0)
    assert relays._moved == {("K", f"={chain}"): B for chain in moving}
    relays.answered(A, 40.0)
    lose(B, 40.0)
    send(moving[0], now=71.0)
    order = [(moving[1], B), (moving[2], B), (moving[0], A)]
    assert [*relays._moved.items()] == [(("K", f"={chain}"), url) for chain, url in order]
    many = [f"d{number}" for number in range(MOVED_KEPT * 3)]
    send(*many, now=71.0)
    moved = [("K", f"={chain}") for chain in many if ranked([A, B], "K", f"={chain}")[0] == B]
    assert [*relays._moved] == moved[-MOVED_KEPT:]


def entry_of(chain: str) -> Entry:
    entry = Entry(chain, "K")
    entry.chain = f"={chain}"
    return entry


def test_an_event_is_told_for_which_relay_it_waits_and_until_when() -> None:
    """For the one that its chain prefers, until the first of them all may be asked again."""
    relays = Relays([A, B], lambda: 1.0)
    for url, began in ((A, 0.0), (B, 0.5)):
        for now in (began, began + 1.0, began + MOVE_SECONDS):
            relays.missed("x", url, now, now, CAP)
    for relay in (A, B):
        chain = chain_for(relay, A, B)
        entry = entry_of(chain)
        hold = relays.choose(entry, 33.5, outage=False)
        until = MOVE_SECONDS + 4.0  # A's third failure
        assert hold == Hold(Scope.CHAIN, Cause.UNREACHABLE, "", 33.5, until, "K", f"={chain}")
        assert entry.relay == relay


def test_an_event_without_a_chain_has_a_relay_too() -> None:
    """Events of a key that have none go to the same, as they would with an empty one."""
    relays = Relays([A, B], lambda: 1.0)
    for key in ("K", "L", "M", "N"):
        first, second = Entry("1", key), Entry("2", key)
        preferred = ranked([A, B], key, "")[0]
        assert relays.choose(first, 5.0, outage=False) is None
        hold = relays.choose(second, 5.0, outage=False)
        until = 5.0 + MOVE_SECONDS
        assert hold == Hold(Scope.CHAIN, Cause.UNREACHABLE, "", 5.0, until, key, "")
        assert (first.relay, second.relay) == (preferred, preferred)
        relays.released(first)


def test_one_destination_is_that_of_all() -> None:
    """Nobody waits for it here: that is for the outage to say."""
    relays, entry = Relays([A], lambda: 1.0), entry_of("c")
    relays.missed("x", A, 0.0, 0.0, CAP)
    assert relays.choose(entry, 0.5, outage=False) is None
    assert entry.relay == A


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_lost_and_chains_are_in_order(seed: int) -> None:
    """Whatever relays go and come: each event is taken once, a chain's in the order of their
    acceptance, and it changes relays only after one was away for long enough."""
    random = Random(seed)
    urls = [A, B, C][: random.choice([2, 3])]
    site = Site(*urls, jitter=random.random())
    added = []
    for step in range(200):
        name = f"K{random.randrange(5)}:{random.randrange(6)}:{step:04}"
        added.append(name)
        site.add(name)
        if random.random() < 0.1:
            site.down ^= {random.choice(urls)}
        site.run(random.choice([0.0, 1.0, 5.0, 40.0]))
    site.down = set()
    site.run(CAP * 10)
    assert sorted(name for name, _ in site.taken) == sorted(added)
    for chain in {name.rsplit(":", 1)[0] for name in added}:
        names = [name for name, _ in site.taken if name.rsplit(":", 1)[0] == chain]
        assert names == sorted(names)


def test_nobody_waits_longer_for_a_probe_that_is_on_its_way() -> None:
    """A silent relay keeps its probe for a while; the others move when their time is over."""
    relay = Relay(lambda: 0.0)
    relay.missed(100.0, 60.0)
    relay.until = 101.0 + PROBE_SECONDS
    assert relay.next_look(102.0) == 100.0 + MOVE_SECONDS
    assert relay.next_look(140.0) == 140.0
    assert Relay(lambda: 0.0).next_look(102.0) == 102.0
