"""Power cuts: every event that `pd-send` acknowledged is there afterwards, whole.

The disk keeps apart what was synced and what was not, and so can lose its power at each operation,
with all that the kernel may have written by then or not: see `tests.support.power.disk`.
"""

import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pdagent.queue.expectation import understood
from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, OTHER, key
from tests.support.events_api import Answer, EventsApi
from tests.support.faults import tracing
from tests.support.mounts import private_mounts
from tests.support.power import Station, kill
from tests.support.power.disk import Cuts, Disk, Names, Tree
from tests.support.trial import Trial
from tests.support.users import AGENT, SENDER, User

pytestmark = pytest.mark.needs_root
REFUSED = key(400)


@pytest.fixture
def station(agent: Agent) -> Iterator[Station]:
    """The agent's data on a disk that can lose its power; it is on."""
    with private_mounts():
        station = Station(agent.data_dir, agent.root / "disk")
        try:
            station.on()
            agent.own(agent.data_dir)
            agent.create_spool()
            station.on(station.off().tree)  # what was there before has long been written
            yield station
            kill(agent)
        finally:
            station.close()


def work(trial: Trial, api: EventsApi, count: int) -> None:
    """Something of everything: senders at once, some of whom may open the directories and some not;
    events delivered, refused, tried again and pending; the daemon started, killed and started."""

    def send(sender: int, user: User, key: str) -> None:
        for number in range(count):
            action = "resolve" if number % 3 == 2 else "trigger"
            result = trial.send(f"{sender}.{number // 3}", action, key=key, user=user)
            assert result.returncode == 0, result.stderr

    def send_at_once() -> None:
        with ThreadPoolExecutor() as senders:
            list(senders.map(send, range(3), (SENDER, AGENT, SENDER), (KEY, OTHER, REFUSED)))

    agent = trial.agent
    api.always(REFUSED, Answer(400))
    agent.start()
    send_at_once()
    wait_until(lambda: not agent.names("pdq"))
    api.always(REFUSED, None)
    agent.run("pd-queue", "retry", "-k", REFUSED, user=AGENT, check=True)
    api.always(KEY, Answer(429, retry_after=60))
    send_at_once()
    kill(agent)
    send_at_once()
    api.always(KEY, None)
    agent.start()
    wait_until(lambda: not agent.names("pdq"))
    kill(agent)


def broken(disk: Disk, trial: Trial, names: Names, choice: random.Random) -> Iterator[str]:
    """What the promises would have suffered, had the power been cut after each operation."""
    cuts = Cuts(disk, names)
    whole = set(spooled(disk.tree).values())
    for length in range(len(cuts) + 1):
        found = cuts.after(length, choice)
        files = spooled(found)
        there = [text(body) for body in files.values()]
        lost = [e for e in trial.acknowledged(cuts.time(length)) if e.text not in there]
        if lost:
            yield f"lost: {len(lost)} after {length} operations"
        for path, body in files.items():
            if body not in whole:
                yield f"half-written: {path} after {length} operations: {body[:99]!r}"
            if names is Names.JOURNAL and path.startswith("err/"):
                reason = found.files("db/reasons").get(path.removeprefix("err/"), b"")
                if not text(reason, "reason"):
                    yield f"without a reason: {path} after {length} operations"


def spooled(tree: Tree) -> dict[str, bytes]:
    """All events in a spool, by directory and name."""
    directories = {name: tree.files(f"outqueue/{name}") for name in ("pdq", "suc", "err")}
    return {f"{d}/{name}": body for d, files in directories.items() for name, body in files.items()}


def text(data: bytes, field: str = "summary") -> str:
    try:
        found = json.loads(data)
    except ValueError:
        return ""
    found = found.get("payload", found)
    return str(found.get(field) or "") if isinstance(found, dict) else ""


@pytest.mark.fault("power cut after each operation")
@pytest.mark.parametrize("names", Names)
def test_every_cut(trial: Trial, api: EventsApi, station: Station, names: Names) -> None:
    """Wherever the power fails, and whatever the kernel had written by then: nothing that was
    acknowledged is lost, and nothing in the queue is half-written."""
    work(trial, api, count=12 if trial.long else 3)
    disk = station.off()
    for seed in range(30 if trial.long else 2):
        trial.injected(len(disk.log))
        assert list(broken(disk, trial, names, random.Random(seed))) == []
    station.on(disk.tree)


@pytest.mark.fault("power cut after each operation")
def test_every_cut_of_expectations(trial: Trial, station: Station) -> None:
    """What `pd-send expect` has accepted is there, new or taken over, whole, and not older than
    what was accepted. What is marked as lapsed has its event."""
    agent = trial.agent
    accepted: list[tuple[float, str, float]] = []

    def expect(dedup_key: str, within: str, user: User = SENDER) -> None:
        now = time.time()
        words = ("expect", "-k", KEY, "-i", dedup_key, "--within", within)
        agent.run("pd-send", *words, user=user, check=True)
        accepted.append((time.monotonic(), dedup_key, now))

    def lapsed() -> list[str]:
        return [name for name in agent.names("expected") if ".lapsed" in name]

    expect("a", "1h")
    expect("lapses", "1s")
    expect("b", "1h", AGENT)
    agent.start()
    wait_until(lambda: len(lapsed()) == 1)
    for _ in range(2):
        expect("a", "1h")
    expect("lapses", "1h")
    wait_until(lambda: not lapsed())
    kill(agent)
    disk = station.off()
    cuts = Cuts(disk, Names.JOURNAL)
    for seed in range(30 if trial.long else 3):
        trial.injected(len(cuts))
        for length in range(len(cuts) + 1):
            found = cuts.after(length, random.Random(seed))
            kept = found.files("outqueue/expected")
            new = found.files("outqueue/expect")
            there = [understood(data) for data in (*kept.values(), *new.values())]
            for at, dedup_key, since in accepted:
                ok = any(e.dedup_key == dedup_key and e.since.wall >= since - 0.1 for e in there)
                assert ok or at > cuts.time(length), f"lost: {dedup_key} after {length} operations"
            if any(".lapsed" in name for name in kept):
                assert any(b"lapses" in body for body in spooled(found).values())
    station.on(disk.tree)


@pytest.mark.fault("power cut, and back")
def test_power_returns(trial: Trial, api: EventsApi, station: Station) -> None:
    """Again and again the power fails in the middle of it all; each time a daemon that finds what
    is left starts, delivers every event that was acknowledged, in order, and needs no hands."""
    choice = random.Random(6)
    agent = trial.agent
    for number in trial.injections(range(2), range(60)):
        agent.start()
        before = len(api.requests)
        with ThreadPoolExecutor() as senders:
            for sender, key in enumerate((KEY, OTHER, KEY)):
                api.script(key, *choice.choices((Answer(), Answer(503), Answer(400)), k=3))
                for action in ("trigger", "resolve"):
                    senders.submit(trial.send, f"{number}.{sender}", action, key=key)
            api.wait_for(before + choice.choice([0, 3, 6]))
            kill(agent)
        disk = station.off()
        cuts = Cuts(disk, Names.JOURNAL)
        station.on(cuts.after(len(cuts), choice))
        api.clear_scripts()
        trial.recovers()
        assert "is damaged" not in agent.log
        kill(agent)


# Which fsync is taken away, of whom, and what it costs. The first one is of the file, the second
# makes its name last: again of the file, or by the agent, who may open it, of the directory.
MISSING = {
    "all": ("", SENDER, "lost"),
    "the first": (":when=1", AGENT, "half-written"),
    "the second, of the file": (":when=2", SENDER, "lost"),
    "the second, of the directory": (":when=2", AGENT, "lost"),
}


@pytest.mark.parametrize("which", MISSING)
def test_a_missing_sync_is_found(
    agent: Agent, api: EventsApi, station: Station, which: str
) -> None:
    """A `pd-send` whose fsync does nothing, and succeeds, loses events here: so the tests above
    would see it if one were forgotten."""
    trial = Trial(agent, api)
    when, user, damage = MISSING[which]
    under = tracing(f"fsync,fdatasync:retval=0{when}")
    for number in range(3):
        assert trial.send(f"{number}", user=user, under=under).returncode == 0
    disk = station.off()
    for names in Names:
        problems = broken(disk, trial, names, random.Random(0))
        assert damage in {problem.partition(":")[0] for problem in problems}
    station.on(disk.tree)
