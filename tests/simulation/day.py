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
from pdagent.queue.intervention import Gone, Intervention
from pdagent.queue.layout import CannotRun
from pdagent.queue.names import key_of
from pdagent.queue.state import State
from pdagent.queue.waiting import Removed, WaitingSpool
from pdagent.spool import IN_ERROR, PENDING, Spool, SpoolError, wake_fifo
from tests.simulation.boundary import Signals, simulated
from tests.simulation.kernel import Kernel
from tests.simulation.model import ROOT, STRANGER, Event, Model
from tests.simulation.network import Network
from tests.simulation.server import GOOD, Server
from tests.simulation.world import Process, Violation, World
from tests.support.power.disk import Disk

CONF = "/etc/pdagent.conf"
DATA = "/var/lib/pdagent"
DAY_SECONDS = 40.0
CALM_SECONDS = 500.0  # all holds and patience are over by then
SECTION = "[Main]\nevents_url = http://events.invalid\nheartbeat = off\nmax_connections = {}\n"
SETTINGS = f"data_dir = {DATA}\nlog_dir = /var/log\nrun_dir = /run\nbackoff_interval_secs = 20\n"


class Day:
    def __init__(self, seed: int, tell: Callable[[str], None] | None = None) -> None:
        self.world = World(seed)
        self.choice = self.world.choice
        self.kernel = Kernel(self.world)
        self.model = Model(self.kernel)
        self.server = Server(self.world, self.model)
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
        self.steady = not (self.errors or self.outage)  # nobody but others may be why one waits
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
        self.model.look()
        if self.choice.random() < self.kills:
            alive = [p for p in (self.daemon, *self.processes) if not p.dead]
            self._kill(self.choice.choice(alive) if alive else self.daemon)
        if self.choice.random() < self.cuts:
            self.dark = True
            for process in (self.daemon, *self.processes):
                self._kill(process)

    def _kill(self, process: Process) -> None:
        if not process.dead:
            self.kernel.kill(process)

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
                self.model.look_after_a_cut()
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
            + [*(self._retry, self._purge, self._reload, self._start_another)]
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
        key = self.choice.choice([GOOD, GOOD, "BAD1", "BAD2"])
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
        event = self.model.begin(key, body, not (key == GOOD and self.steady))
        spool = WaitingSpool(ROOT) if waits else Spool(ROOT)
        try:
            spool.enqueue(key, body)
        except SpoolError:
            return
        except OSError:  # of the FIFO of one who waits
            if not self.errors:
                raise
            return
        self.model.accept(event)
        if isinstance(spool, WaitingSpool):
            with contextlib.suppress(OSError):
                self._wait_for(event, spool)

    def _wait_for(self, event: Event, spool: WaitingSpool) -> None:
        try:
            with spool:
                answer = spool.wait(self.choice.choice([1.0, 60.0]))
        except Removed:
            self.model.told(event, None)
        else:
            if answer is not None:
                self.model.told(event, answer)

    def _meddle(self) -> None:
        stranger = Process("stranger", 1003)
        stamp = 1_700_001_000_000_000 + self.choice.randrange(10**9)
        name = f"{ROOT}/{PENDING}/{stamp}_{STRANGER}.txt"
        body = json.dumps({"routing_key": STRANGER, "event_action": "trigger"}).encode()
        noise = self.choice.choice([b"\n", b"..\n\n/\n", b"x" * 4000, *self._some_names()])
        end = self.choice.choice([b"", body[9:]])
        deed = self.choice.choice(
            [
                lambda: self.kernel.mkdir(name),
                lambda: self._drop(name, body[:9], end),
                lambda: self._shout(noise, self.choice.choice([1, 20])),
            ]
        )
        self._begin(stranger, deed)

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
                    for event in self.model.named(IN_ERROR, name):
                        event.retried = True
                    with contextlib.suppress(Gone):
                        person.retry(name)
            person.finish()

    def _purge(self) -> None:
        self._begin(Process("purge"), self._purge_some)

    def _purge_some(self) -> None:
        place = self.choice.choice([PENDING, IN_ERROR])
        with contextlib.suppress(OSError):
            names = self.kernel.listdir(f"{ROOT}/{place}")
            chosen = [name for name in names if key_of(name) and self.choice.random() < 0.5]
            events = {name: self.model.named(place, name) for name in chosen}
            for found in events.values():
                for event in found:
                    event.doomed = True
            person = Intervention(ROOT, State(DATA), str)
            for _, name in person.purge([(place, name) for name in chosen]):
                for event in events[name]:
                    event.removed = True

    def _reload(self) -> None:
        def reload() -> None:
            self._configure()
            self.signals.send(self.daemon, self.signals.SIGHUP)

        self._begin(Process("admin"), reload)

    def _configure(self) -> None:
        text = SECTION.format(self.choice.choice([8, 32])) + SETTINGS
        new = f"{CONF}.{self.world.steps}"  # there may be two who do so
        fd = self.kernel.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        self.kernel.write(fd, text.encode())
        self.kernel.fsync(fd)
        self.kernel.close(fd)
        self.kernel.rename(new, CONF)

    def _cut_off(self) -> None:
        self.network.down = True
        self.world.sleep(self.choice.choice([1.0, 20.0, 60.0]))
        self.network.down = False

    # --- the end --------------------------------------------------------------------------------

    def _calm(self) -> None:
        self.world.wait("power", lambda: not self.dark)
        self.kills = self.cuts = self.kernel.errors = self.world.stall = 0.0
        self.server.healed, self.network.down = True, False
        until = self.world.now + CALM_SECONDS
        self.world.wait("the others", lambda: all(map(self.world.is_over, self.processes)))
        while self.world.now < until and self.model.is_busy():
            self.world.sleep(1.0)
        self.world.sleep(1.0)
        self.model.look_at_the_end()
        self.over = True
        self.signals.send(self.daemon, self.signals.SIGTERM)
        ended = self.world.wait("its end", lambda: self.world.is_over(self.daemon), 30.0)
        if not ended:
            raise Violation("the daemon does not end")
        for process in self.processes:
            self._kill(process)


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
