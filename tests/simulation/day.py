"""A day: a daemon that somebody starts again, senders, strangers, a person at `pd-queue`, and what
befalls them. In the end all is well for a while, and then everything has to be where it belongs."""

import contextlib
import json
import logging
import math
import os
from collections.abc import Callable
from functools import partial

from pdagent import config, exits
from pdagent.daemon.life import Daemon
from pdagent.daemon.notify import Notifier
from pdagent.queue.elapsed import present
from pdagent.queue.expectation import written
from pdagent.queue.intervention import Gone, Intervention
from pdagent.queue.layout import CannotRun
from pdagent.queue.names import key_of
from pdagent.queue.pending import chain_of
from pdagent.queue.renewal import ExpectationSpool
from pdagent.queue.state import State
from pdagent.queue.waiting import Removed, WaitingSpool
from pdagent.spool import IN_ERROR, PENDING, Spool, SpoolError, wake_fifo
from tests.simulation.boundary import Signals, simulated
from tests.simulation.kernel import Kernel
from tests.simulation.model import STRANGER, Event, Expected, Model
from tests.simulation.network import Network
from tests.simulation.places import ROOT, Places
from tests.simulation.server import GOOD, Server
from tests.simulation.world import Process, Violation, World
from tests.support.power.disk import Disk, Rename

CONF = "/etc/pdagent.conf"
DATA = "/var/lib/pdagent"
DAY_SECONDS = 40.0
CALM_SECONDS = 500.0  # all holds and patience are over by then
SETTINGS = f"""[Main]
data_dir = {DATA}
log_dir = /var/log
run_dir = /run
backoff_interval_secs = 20
heartbeat_url = http://events.invalid/beat
ca_file = /etc/ca
"""
HOSTS = ["events.invalid", "relay.invalid"]  # PagerDuty's, or a relay's and another one's
EXPECTED = "expected"
NAMED = "@db"  # an integration key's name in the configuration
HOUR, MONTH = 3600.0, 2_678_400.0


class Day:
    def __init__(self, seed: int, tell: Callable[[str], None] | None = None) -> None:
        self.world = World(seed)
        self.choice = self.world.choice
        self.kernel = Kernel(self.world)
        self.places = Places(self.kernel)
        self.model = Model(self.world, self.places)
        self.server = Server(self.world, self.model)
        self.kernel.observe = self._names_changed
        self.kernel.excuse = self._excuse
        self.network = Network(self.world, self.server.answer)
        self.signals = Signals(self.kernel)
        self.daemon = Process("daemon", 900)
        self.processes: list[Process] = []
        self.dark = False  # there is no power
        self.over = False
        self.number = 0
        self.kills = self.choice.choice([0.0, 0.0003, 0.001])  # for each step
        self.cuts = self.choice.choice([0.0, 0.0, 0.0003])
        self.errors = self.choice.choice([0.0, 0.0, 0.0, 0.002, 0.01])
        self.outage = self.choice.random() < 0.3
        self.scheme = self.choice.choice(["http", "https"])
        self.hosts = self.choice.choice([HOSTS[:1], HOSTS])
        self.proxies = self.choice.random() < 0.3
        self.connections = self.choice.choice([[1, 2], [8, 32]])
        self.forgetful = self.choice.random() < 0.3  # the key's name comes and goes
        self.steps = not (self.errors or self.forgetful) and self.choice.random() < 0.3
        # Nobody but others may be why one waits.
        self.steady = not (self.errors or self.outage or self.proxies) and self.connections[0] > 1
        self.struck = False  # the daemon dies in the middle of a lapse
        self.looked_at = 0.0
        if tell is not None:
            self.world.tell = lambda what: tell(
                f"{self.world.steps:6} {self.world.now - 1000:10.4f}  {what}"
            )

    def run(self) -> None:
        """Raises what went wrong."""
        self.world.observe = self._befall
        hardware = Process("hardware")
        self.world.start(hardware, "init", self._init)
        with simulated(self.world, self.kernel, self.network, self.signals), _listening(self):
            self.world.run()

    # --- what befalls them ----------------------------------------------------------------------

    def _befall(self) -> None:
        if self.world.now - self.looked_at >= 1.0:
            self.looked_at = self.world.now
            self.model.nobody_waits_for_others()
        if self.choice.random() < self.kills:
            alive = [p for p in (self.daemon, *self.processes) if not p.dead]
            self._kill(self.choice.choice(alive) if alive else self.daemon)
        if self.choice.random() < self.cuts:
            self._cut_power()
        if self.struck:
            self.struck = False
            self._kill(self.daemon)

    def _cut_power(self) -> None:
        self.dark = True
        for process in (self.daemon, *self.processes):
            self._kill(process)

    def _kill(self, process: Process) -> None:
        if not process.dead:
            self.kernel.kill(process)

    def _names_changed(self, rename: Rename) -> None:
        for change in rename.changes:
            inode = change.new or change.old
            assert inode is not None
            data = bytes(self.kernel.disk.tree.inodes[inode].data)
            event = self.model.events.get(data)
            if event is not None:
                self.model.it_leaves_in_three_ways(event, self.kernel.process.name)
            elif self._is_of_a_lapse(data) and self.kills:
                self.struck = self.choice.random() < 0.3

    def _is_of_a_lapse(self, data: bytes) -> bool:
        """Whether it is an expectation's trigger, and in the queue."""
        mine = EXPECTED.encode() in data and b'"trigger"' in data
        return mine and self.places.of(data) == PENDING

    def _excuse(self, path: str) -> None:
        """An error was put in."""
        self.model.harmed = True
        for event in self.model.events.values():
            event.excused |= any(name in path for name in self.places.names(event.body))

    def _init(self) -> None:
        for path in (f"{ROOT}/{PENDING}", "/etc", "/run", "/var/log"):
            self.kernel.makedirs(path)
        self._configure()
        self.kernel.disk = Disk(self.kernel.disk.tree)  # all of that was long ago
        self.kernel.errors = self.errors
        self.world.start(self.kernel.process, "director", self._direct)
        while not self.over:
            self.daemon = Process("daemon", 900)
            self.daemon.faulty = True
            serve = partial(self._serve, self.daemon, self._ready)
            self.world.start(self.daemon, "main", serve)
            self.world.wait("its end", lambda: self.world.is_over(self.daemon))
            self.model.served_since = math.inf
            if self.dark:
                self.world.wait("the dark", lambda: all(map(self.world.is_over, self.processes)))
                self.kernel.cut_power()
                self.model.power_cuts_change_nothing()
                self.dark = False
            self.world.sleep(self.choice.choice([0.0, 1.0, 5.0]))

    def _ready(self) -> None:
        self.model.served_since = self.world.now

    def _serve(self, me: Process, ready: Callable[[], None]) -> None:
        try:
            settings, problems = config.load(CONF)
            if any(problem.fatal for problem in problems):
                raise CannotRun("its configuration can't be read", exits.BAD_CONFIG)
            Daemon(CONF, settings, Notifier({})).run(ready)
        except CannotRun as problem:
            if not self.errors and problem.code != exits.TRY_AGAIN:  # which is: another one runs
                raise
        except OSError:
            if not self.errors:
                raise
        self._kill(me)  # all its threads

    # --- what they do ---------------------------------------------------------------------------

    def _direct(self) -> None:
        actions = (
            [self._send] * 6
            + [self._meddle] * 2
            + [*(self._retry, self._retry, self._purge, self._reload, self._start_another)]
            + [self._step_the_clock] * 2 * self.steps
            + [self._expect] * (not self.errors)
        )
        plan = sorted(self.choice.random() * DAY_SECONDS for _ in range(self.choice.randint(4, 14)))
        if self.outage:
            self._begin(Process("outage"), self._cut_off)
        for at in plan:
            self.world.sleep(at + 1000 - self.world.now)
            self.choice.choice(actions)()
        self.world.sleep(self.choice.choice([0.0, 5.0, 30.0]))
        self._calm()

    def _begin(self, process: Process, body: Callable[[], object]) -> None:
        self.world.wait("power", lambda: not self.dark)
        self.processes.append(process)
        self.world.start(process, "main", body)

    def _send(self) -> None:
        key = self.choice.choice([GOOD, GOOD, NAMED, "BAD1", "BAD2"])
        process = Process("sender", 0 if self.choice.random() < 0.2 else 1001)
        process.faulty = True
        events = [self._new_event(key) for _ in range(self.choice.choice([1, 1, 2, 4]))]
        waits = self.choice.random() < 0.2

        def send() -> None:
            for body in events:
                self._send_one(key, body, waits)

        self._begin(process, send)

    def _new_event(self, key: str) -> bytes:
        self.number += 1
        body: dict[str, object] = {"routing_key": key, "event_action": "trigger", "n": self.number}
        if self.choice.random() < 0.8:
            body["dedup_key"] = self.choice.choice(["one", "two", f"only {self.number}"])
        if self.choice.random() < 0.2:
            body = {"service_key": key, "event_type": "trigger", "n": self.number}
            body["incident_key"] = self.choice.choice(["one", "two"])
        return json.dumps(body).encode()

    def _send_one(self, key: str, body: bytes, waits: bool) -> None:
        patient = key.startswith("BAD") or not self.steady or (key == NAMED and self.forgetful)
        event = self.model.begin(body, self._chain(key, body), patient)
        spool = WaitingSpool(ROOT) if waits else Spool(ROOT)
        try:
            name = spool.enqueue(key, body)
        except SpoolError:
            return
        except OSError:  # of the FIFO of one who waits
            if not self.errors:
                raise
            return
        self.model.accepted_is_kept(event, name)
        if isinstance(spool, WaitingSpool):
            with contextlib.suppress(OSError):
                self._wait_for(event, spool)

    def _chain(self, key: str, body: bytes) -> object:
        """What an event keeps its order with."""
        parsed = json.loads(body)
        dedup_key = parsed.get("dedup_key") or parsed.get("incident_key")
        if key == NAMED and not self.forgetful:
            key = GOOD
        return key, chain_of(dedup_key, repr(body))

    def _wait_for(self, event: Event, spool: WaitingSpool) -> None:
        try:
            with spool:
                answer = spool.wait(self.choice.choice([1.0, 60.0]))
        except Removed:
            self.model.its_sender_hears_the_truth(event, None)
        else:
            if answer is not None:
                self.model.its_sender_hears_the_truth(event, answer)

    def _expect(self) -> None:
        self.number += 1
        expected = Expected(f"{EXPECTED} {self.number}")
        self.model.expected[expected.name] = expected

        def renew() -> None:
            for _ in range(self.choice.randint(1, 4)):
                self._renew(expected, self.choice.choice([3.0, 10.0, 30.0]))
                self.world.sleep(self.choice.choice([0.0, 1.0, 8.0, 40.0]))
            last = self.choice.random()
            if last < 0.25:
                self.world.wait("a daemon that is dead", lambda: self.daemon.dead, 40.0)
            if last < 0.5:
                self._renew(expected, 0.0)

        self._begin(Process("watched", 1001), renew)

    def _renew(self, expected: Expected, term: float) -> None:
        body = {"routing_key": GOOD, "event_action": "trigger", "dedup_key": expected.name}
        since = present()
        data = written(json.dumps(body).encode(), term, since)
        was_certain, expected.certain = expected.certain, False
        try:
            ExpectationSpool(ROOT).enqueue(GOOD, data)
        except SpoolError:  # no daemon has made the directory yet
            expected.certain = was_certain
        else:
            self.model.renewed(expected, since.running, term)

    def _meddle(self) -> None:
        stranger = Process("stranger", 1003)
        stamp = 1_700_001_000_000_000 + self.choice.randrange(10**9)
        name = f"{ROOT}/{PENDING}/{stamp}_{STRANGER}.txt"
        body = json.dumps({"routing_key": STRANGER, "event_action": "trigger"}).encode()
        noise = self.choice.choice([b"\n", b"..\n\n/\n", b"x" * 4000, *self._some_names()])
        end = self.choice.choice([b"", body[9:]])
        times = 1 if self.steps else self.choice.choice([1, 20])
        deeds = [
            lambda: self.kernel.mkdir(name),
            lambda: self._drop(name, body[:9], end),
            lambda: self._drop_and_change(name, body),
            lambda: self._shout(noise, times),
        ]
        self._begin(stranger, self.choice.choice(deeds))

    def _drop_and_change(self, path: str, body: bytes) -> None:
        """A file of one's own may be changed while the daemon is about it."""
        self._drop(path, body)
        with contextlib.suppress(OSError):  # it is settled
            match self.choice.choice(["locked", "linked", "gone", "a directory"]):
                case "locked":
                    self.kernel.chmod(path, 0)
                    self.world.sleep(self.choice.choice([0.3, 20.0]))
                    self.kernel.chmod(path, 0o644)
                case "linked":
                    self.kernel.link(path, path.replace("_", "0_"))
                case "gone":
                    self.kernel.unlink(path)
                case "a directory":
                    self.kernel.unlink(path)
                    self.kernel.mkdir(path)

    def _some_names(self) -> list[bytes]:
        names = self.kernel.listdir(f"{ROOT}/{PENDING}")
        return [name.encode() + b"\n" for name in names[:3]]

    def _drop(self, path: str, *parts: bytes) -> None:
        fd = self.kernel.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        for part in parts:
            self.kernel.write(fd, part)
            self.world.sleep(self.choice.choice([0.0, 0.3, 3.0]))
        self.kernel.close(fd)

    def _shout(self, noise: bytes, times: int) -> None:
        with contextlib.suppress(OSError):
            fd = self.kernel.open(wake_fifo(ROOT), os.O_WRONLY | os.O_NONBLOCK)
            try:
                for _ in range(times):
                    self.kernel.write(fd, noise)
            finally:
                self.kernel.close(fd)

    def _start_another(self) -> None:
        """Somebody starts a daemon by hand, and thinks better of it."""
        another = Process("another", 900)

        def end() -> None:
            self.world.sleep(20.0)
            self._kill(another)

        self._begin(another, partial(self._serve, another, lambda: None))
        self.world.start(self.kernel.process, "person", end)

    def _retry(self) -> None:
        self._begin(Process("retry"), self._retry_all)

    def _retry_all(self) -> None:
        person = Intervention(ROOT, State(DATA), str)
        with contextlib.suppress(OSError):
            for name in sorted(self.kernel.listdir(f"{ROOT}/{IN_ERROR}")):
                if key_of(name) is not None:
                    for event in self._named(IN_ERROR, name):
                        event.retried = True
                    with contextlib.suppress(Gone):
                        person.retry(name)
            person.finish()

    def _named(self, place: str, name: str) -> list[Event]:
        """The event of that file, if it is one's."""
        found = [self.model.events.get(data) for n, data in self.places.files(place) if n == name]
        return [event for event in found if event is not None]

    def _purge(self) -> None:
        self._begin(Process("purge"), self._purge_some)

    def _purge_some(self) -> None:
        place = self.choice.choice([PENDING, IN_ERROR])
        with contextlib.suppress(OSError):
            names = self.kernel.listdir(f"{ROOT}/{place}")
            others = {n for n, data in self.places.files(place) if EXPECTED.encode() in data}
            names = [name for name in names if key_of(name) and name not in others]
            chosen = [name for name in names if self.choice.random() < 0.5]
            events = {name: self._named(place, name) for name in chosen}
            for found in events.values():
                for event in found:
                    event.doomed = True
            person = Intervention(ROOT, State(DATA), str)
            for _, name in person.purge([(place, name) for name in chosen]):
                for event in events[name]:
                    event.removed = True
        if self.cuts and self.choice.random() < 0.3:
            self._cut_power()

    def _reload(self) -> None:
        def reload() -> None:
            self._configure()
            self.signals.send(self.daemon, self.signals.SIGHUP)

        self._begin(Process("admin"), reload)

    def _configure(self, calm: bool = False) -> None:
        text = f"{SETTINGS}events_url = {' '.join(f'{self.scheme}://{h}' for h in self.hosts)}\n"
        text += f"max_per_key = {self.choice.choice([1, 2, 8])}\n"
        text += f"max_connections = {self.choice.choice(self.connections)}\n"
        text += f"cleanup_interval_secs = {self.choice.choice([20, 10_800])}\n"
        text += f"heartbeat = {self.choice.choice(['on', 'off'])}\n"
        if self.proxies and self.choice.random() < 0.7:
            text += "proxy_url = http://user:secret@proxy.invalid:3128\n"
        if not self.forgetful or calm or self.choice.random() < 0.5:
            text += f"[Keys]\n{NAMED[1:]} = {GOOD}\n"
        new = f"{CONF}.{self.world.steps}"  # there may be two who do so
        fd = self.kernel.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        self.kernel.write(fd, text.encode())
        self.kernel.fsync(fd)
        self.kernel.close(fd)
        self.kernel.rename(new, CONF)

    def _step_the_clock(self) -> None:
        steps = [0.4, HOUR, MONTH, -0.4, -HOUR, -MONTH, -self.world.stepped]
        self.world.stepped += self.choice.choice(steps)

    def _cut_off(self) -> None:
        self.network.down = set(self.choice.choice([HOSTS[:1], HOSTS]))
        self.world.sleep(self.choice.choice([1.0, 20.0, 60.0]))
        self.network.down = set()

    # --- the end --------------------------------------------------------------------------------

    def _calm(self) -> None:
        self.world.wait("power", lambda: not self.dark)
        self.kills = self.cuts = self.kernel.errors = self.world.stall = 0.0
        self.server.healed, self.network.down = True, set()
        until = self.world.now + CALM_SECONDS
        self.world.wait("the others", lambda: all(map(self.world.is_over, self.processes)))
        self._configure(calm=True)
        self.signals.send(self.daemon, self.signals.SIGHUP)
        while self.world.now < until and self._is_busy():
            self.world.sleep(1.0)
        self.world.sleep(1.0)
        self.model.all_ends_well()
        self.over = True
        self.signals.send(self.daemon, self.signals.SIGTERM)
        ended = self.world.wait("its end", lambda: self.world.is_over(self.daemon), 30.0)
        if not ended:
            raise Violation("the daemon does not end")
        for process in self.processes:
            self._kill(process)

    def _is_busy(self) -> bool:
        if not all(map(self.model.is_right, self.model.expected.values())):
            return True
        if self.model.is_page_pending():
            return True
        return any(self.model.place(event) == PENDING for event in self.model.events.values())


class _Listening(logging.Handler):
    """A daemon that goes on after a bug still has one."""

    def __init__(self, day: Day) -> None:
        super().__init__()
        self._day = day

    def emit(self, record: logging.LogRecord) -> None:
        if self._day.world.tell is not None:
            self._day.world.tell(f"log: {record.getMessage()}")
        if record.exc_info:
            error = record.exc_info[1]
            self._day.world.fail(error or Violation(record.getMessage()))


@contextlib.contextmanager
def _listening(day: Day):  # type: ignore[no-untyped-def]
    handler = _Listening(day)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
