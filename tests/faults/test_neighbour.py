"""A hostile neighbour: whatever one user puts into the queue, another user's page is out in
seconds, the main loop comes round, and the daemon stays small.

What the neighbour does is generated: kinds of files, how many, and as whom. It stays in the queue
for the next round, so each page has to get past all that was dropped before it.
"""

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, key
from tests.support.events_api import Answer, EventsApi, Request
from tests.support.faults import python
from tests.support.users import STRANGER, User

pytestmark = pytest.mark.needs_root

# The promise, in seconds in which the daemon and this test had the processor when they wanted it:
# other tests run beside this one. The faults that this is about took from 45 to 170 s, or for ever.
# A second of the processor is less work where others wear out its caches, and nobody tells how long
# a thread waited for the disk; so the bounds are far from what it takes, and from those.
PAGE_SECONDS = 15.0
PAGE_CPU_SECONDS = 15.0
SILENT_SECONDS = 30.0
MEMORY_KB = 200 * 1024
OTHER_STRANGER = User(64004, 64004)
THROTTLED, FAILING, DISLIKED = key(9001), key(9002), key(9003)

# Run as the neighbour: argv[1] is the spool, argv[2] a directory of his own, argv[3] the kind,
# argv[4] how many, argv[5] a number that is new each time.
DROP = r"""
import json, os, sys, time
spool, own, kind, count, mark = sys.argv[0], sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
pending = spool + "/pdq/"
key = lambda n: f"{int(mark):06}{n:08}" + "f" * 18
def event(key, **more):
    return json.dumps({"routing_key": key, "event_action": "trigger", "dedup_key": "d", "payload":
        {"summary": "s", "source": "s", "severity": "info"}, **more}).encode()
def put(path, data):
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o644)
    return path
def name(n, key):
    return f"{pending}{time.time_ns() // 1000 + n:016}_{key}.txt"
def linked(data):
    path = put(f"{own}/{kind}{mark}", data)
    for n in range(count):
        os.link(path, name(n, key(n)))
if kind == "lists":
    # each names its own key, so that it is an event, and large
    for n in range(min(count, 40)):
        put(name(n, key(n)), event(key(n), x=[])[:-2] + b"[]," * 1_300_000 + b"1]}")
elif kind == "one body linked":
    linked(event(key(0), x=[])[:-2] + b"[[]]," * 150_000 + b"1]}")
elif kind == "large":
    for n in range(min(count, 40)):
        put(name(n, key(n)), event(key(n), x=[])[:-2] + b"[]," * 160_000 + b"1]}")
elif kind == "to be cut":
    for n in range(min(count, 40)):
        put(name(n, key(n)), event(key(n), x="k" * 4_000_000))
elif kind == "text without end":
    for n in range(min(count, 40)):
        text = b'"' + b"{" * 270_000 + rb"\"" * 1_800_000
        put(name(n, key(n)), event(key(n), x=0)[:-2] + text + b"}")
elif kind == "signs":
    for n in range(min(count, 40)):
        put(name(n, key(n)), event(key(n), x=0)[:-2] + b'"' + b"\x7f" * 4_000_000 + b'"}')
elif kind == "objects":
    for n in range(min(count, 40)):
        put(name(n, key(n)), event(key(n), x=0)[:-2] + b"[" + b'{"":0},' * 140_000 + b"0]}")
elif kind == "deep":
    for n in range(count):
        put(name(n, key(n)), event(key(n), x=0)[:-2] + b"[" * 9990 + b"]" * 9990 + b"}")
elif kind == "cut":
    path = put(f"{own}/{kind}{mark}", event(key(0), x=[])[:-2] + b"[]," * 1_300_000)
    for n in range(count):
        os.link(path, name(n, key(n)))
    for _ in range(20):
        os.utime(path)
        time.sleep(0.1)
elif kind == "no events":
    for n in range(count * 20):
        put(f"{pending}junk{mark}-{n}", b"")
elif kind == "many keys":
    for n in range(count * 20):
        put(name(n, key(n)), event(key(n)))
elif kind == "wild numbers":
    for n in range(count * 20):
        put(f"{pending}{n}_{key(n)}.txt", b"{")
elif kind == "long dedup key":
    for n in range(min(count, 20)):
        put(name(n, FAILING), event(FAILING, dedup_key="k" * 400_000 + str(n)))
elif kind == "disliked":
    for n in range(2):
        put(name(n, DISLIKED), event(DISLIKED, dedup_key=f"{mark}{n}"))
elif kind == "another's name":
    for n in range(count):
        put(f"{pending}{n:016}_{KEY}.txt", event(THROTTLED))
elif kind == "empty files of a known key":
    paths = [put(f"{pending}{n:016}_{KEY}.txt", b"") for n in range(25)]
    for _ in range(20):
        for path in paths:
            try:
                os.utime(path)
            except OSError:
                pass
        time.sleep(0.1)
elif kind == "names in tmp/":
    path = put(f"{own}/{kind.replace('/', '')}{mark}", event(key(0)))
    for n in range(count * 10):
        os.link(path, f"{spool}/tmp/{mark}-{n}")
    for n in range(count):
        os.link(path, name(n, key(0)))
elif kind == "directories":
    for n in range(count):
        os.mkdir(name(n, key(n)), 0o777)
elif kind == "wakes":
    fd = os.open(os.path.dirname(spool) + "/db/wake", os.O_WRONLY | os.O_NONBLOCK)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            os.write(fd, b"1_x.txt\n" * 500)
        except BlockingIOError:
            time.sleep(0.001)
"""
KINDS = (
    *(
        "lists",
        "one body linked",
        "large",
        "to be cut",
        "text without end",
        "signs",
        "objects",
        "deep",
        "cut",
        "no events",
        "many keys",
        "wild numbers",
    ),
    *("long dedup key", "disliked", "another's name", "empty files of a known key"),
    *("names in tmp/", "directories", "wakes"),
)
DROPS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from([30, 100]),
        st.sampled_from([STRANGER, OTHER_STRANGER]),
    ),
    min_size=1,
    max_size=3,
)


class Watch:
    """systemd: hears the daemon, and remembers how long it was silent at most."""

    def __init__(self, agent: Agent) -> None:
        path = str(agent.root / "notify")
        agent.environment["NOTIFY_SOCKET"] = path
        agent.environment["WATCHDOG_USEC"] = "2000000"  # so that it wants to be heard each second
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        os.chmod(path, 0o777)
        self.heard = 0
        self.silent = 0.0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        last: float | None = None
        while data := self._socket.recv(4096):
            if data == b"WATCHDOG=1":
                now = time.monotonic()
                self.silent = max(self.silent, now - (last or now))
                self.heard, last = self.heard + 1, now


@pytest.fixture
def watch(agent: Agent) -> Iterator[Watch]:
    yield Watch(agent)
    agent.environment.pop("NOTIFY_SOCKET")


def drop(agent: Agent, own: Path, kind: str, count: int, user: User, mark: int) -> None:
    names = f"KEY, THROTTLED, FAILING, DISLIKED = {(KEY, THROTTLED, FAILING, DISLIKED)!r}\n"
    command = python(names + DROP, str(agent.spool), str(own), kind, str(count), str(mark))
    subprocess.run(command, check=True, timeout=300, **user.popen())


def is_out(page: str, seen: tuple[Request, ...]) -> bool:
    return any(request.dedup_key == page for request in seen[-2000:])


def cpu_seconds(agent: Agent) -> float:
    assert agent.daemon is not None
    fields = Path(f"/proc/{agent.daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waits(agent: Agent) -> dict[str, int]:
    """How long each thread of the daemon and of this process waited for a processor, in ns."""
    assert agent.daemon is not None
    found = {}
    for pid in (agent.daemon.pid, os.getpid()):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # it has ended
                found[task.name] = int((task / "schedstat").read_text().split()[1])
    return found


def starved_seconds(agent: Agent, before: dict[str, int]) -> float:
    """How long threads waited for a processor since then."""
    return sum(now - before.get(task, 0) for task, now in waits(agent).items()) / 1e9


def has_been_heard(watch: Watch, times: int) -> bool:
    return watch.heard >= times


def peak_kb(agent: Agent) -> int:
    assert agent.daemon is not None
    status = Path(f"/proc/{agent.daemon.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


def test_a_hostile_neighbour(
    request: pytest.FixtureRequest, api: EventsApi, agent: Agent, watch: Watch
) -> None:
    """One user's page is out in seconds, whatever the others have dropped, and as whom."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    api.always(THROTTLED, Answer(429, retry_after=300))
    api.always(FAILING, Answer(503))
    api.always(DISLIKED, Answer(403, html="<h1>Forbidden</h1>"))
    own = agent.root / "strangers"
    own.mkdir()
    own.chmod(0o777)
    agent.start()
    long = request.config.getoption("--long")
    marks = iter(range(1_000_000))

    @settings(
        max_examples=40 if long else 3,
        deadline=None,
        derandomize=not long,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @example([(kind, 30, STRANGER) for kind in KINDS])
    @given(DROPS)
    def check(drops: list[tuple[str, int, User]]) -> None:
        for kind, count, user in drops:
            mark = next(marks)
            drop(agent, own, kind, count * 10 if long else count // 3, user, mark)
            # The daemon has been told to look at the directory since.
            wait_until(partial(has_been_heard, watch, watch.heard + 2), 120)
            worked, waited, began = cpu_seconds(agent), waits(agent), time.monotonic()
            page = f"page {mark}"
            agent.send(KEY, "trigger", "-d", page, "-i", page)
            api.wait_for(partial(is_out, page), PAGE_SECONDS * 20)
            took, cost = time.monotonic() - began, cpu_seconds(agent) - worked
            took -= starved_seconds(agent, waited)
            assert took < PAGE_SECONDS, (kind, took, cost)
            assert cost < PAGE_CPU_SECONDS, (kind, took, cost)
            assert peak_kb(agent) < MEMORY_KB, kind
            assert watch.silent < SILENT_SECONDS, kind

    check()
    assert watch.heard > 3
    assert agent.daemon is not None
    assert agent.daemon.poll() is None
    assert "internal error" not in agent.logged
