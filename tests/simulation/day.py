"""A day: a daemon that somebody starts again, senders, strangers, a person at `pd-queue`, and what
befalls them. In the end all is well for a while, and then everything has to be where it belongs."""

import contextlib
import logging
import math
from collections.abc import Callable
from functools import partial

from pdagent import exits
from pdagent.daemon.life import Daemon
from pdagent.daemon.loading import load
from pdagent.daemon.notify import Notifier
from pdagent.queue.layout import CannotRun
from pdagent.spool import PENDING
from tests.simulation.administrators import CONF, Administrators
from tests.simulation.boundary import Signals, simulated
from tests.simulation.kernel import Kernel
from tests.simulation.model import Model
from tests.simulation.network import Network
from tests.simulation.places import ROOT, Places
from tests.simulation.senders import EXPECTED, Senders
from tests.simulation.server import Server
from tests.simulation.strangers import Strangers
from tests.simulation.world import Process, Violation, World
from tests.support.power.disk import Disk, Rename

DAY_SECONDS = 40.0
CALM_SECONDS = 500.0  # all holds and patience are over by then
HOSTS = ["events.invalid", "relay.invalid"]  # PagerDuty's, or a relay's and another one's
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
        self.senders = Senders(self)
        self.strangers = Strangers(self)
        self.administrators = Administrators(self)
        self.daemon = Process("daemon", 900)
        self.processes: list[Process] = []
        self.dark = False  # there is no power
        self.over = False
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
            self.cut_power()
        if self.struck:
            self.struck = False
            self._kill(self.daemon)

    def cut_power(self) -> None:
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
        self.administrators.configure()
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
        """The daemon says so at each tick."""
        self.model.served_since = min(self.model.served_since, self.world.now)

    def _serve(self, me: Process, ready: Callable[[], None]) -> None:
        try:
            loaded = load(CONF)
            if any(problem.fatal for problem in loaded.problems):
                raise CannotRun("its configuration can't be read", exits.BAD_CONFIG)
            Daemon(CONF, loaded, Notifier({})).run(ready)
        except CannotRun as problem:
            if not self.errors and problem.code != exits.TRY_AGAIN:  # which is: another one runs
                raise
        except OSError:
            if not self.errors:
                raise
        self._kill(me)  # all its threads

    # --- what they do ---------------------------------------------------------------------------

    def _direct(self) -> None:
        admin = self.administrators
        actions = (
            [self.senders.send] * 6
            + [self.strangers.meddle] * 2
            + [admin.retry, admin.retry, admin.purge, admin.reload, self._start_another]
            + [self._step_the_clock] * 2 * self.steps
            + [self.senders.expect] * (not self.errors)
        )
        plan = sorted(self.choice.random() * DAY_SECONDS for _ in range(self.choice.randint(4, 14)))
        if self.outage:
            self.begin(Process("outage"), self._cut_off)
        for at in plan:
            self.world.sleep(at + 1000 - self.world.now)
            self.choice.choice(actions)()
        self.world.sleep(self.choice.choice([0.0, 5.0, 30.0]))
        self._calm()

    def begin(self, process: Process, body: Callable[[], object]) -> None:
        self.world.wait("power", lambda: not self.dark)
        self.processes.append(process)
        self.world.start(process, "main", body)

    def _start_another(self) -> None:
        """Somebody starts a daemon by hand, and thinks better of it."""
        another = Process("another", 900)

        def end() -> None:
            self.world.sleep(20.0)
            self._kill(another)

        self.begin(another, partial(self._serve, another, lambda: None))
        self.world.start(self.kernel.process, "person", end)

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
        self.administrators.configure(calm=True)
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
