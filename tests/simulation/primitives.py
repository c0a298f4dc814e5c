"""What stands in for `threading`, `_thread` and `time`: the world's tasks and its clock."""

import math
import time
from collections.abc import Callable, Collection, Sequence
from types import SimpleNamespace
from typing import Any

from tests.simulation.world import Process, Task, World

EPOCH = 1_700_000_000


class Lock:
    """Also a reentrant one: `depth` is how often its owner has it."""

    reentrant = False

    def __init__(self, world: World) -> None:
        self.world = world
        self.owner: Task | None = None
        self.depth = 0

    def _is_free(self) -> bool:
        return self.owner is None or self.owner.process.dead

    def acquire(self, blocking: bool = True) -> bool:
        me = self.world.running
        if not (blocking or self._is_free()):
            self.world.wait("lock")
            return False
        if not (self.reentrant and self.owner is me):
            self.world.wait("lock", self._is_free)
            self.owner, self.depth = me, 0
        self.depth += 1
        return True

    def release(self) -> None:
        if self.owner is not self.world.running:
            return  # who died while it waited for this does not have it
        self.depth -= 1
        if not self.depth:
            self.owner = None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class RLock(Lock):
    reentrant = True


class Condition:
    def __init__(self, world: World, lock: Lock | None = None) -> None:
        self._world = world
        self._lock = RLock(world) if lock is None else lock
        self._waiting: list[list[bool]] = []

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        told = [False]
        self._waiting.append(told)
        lock = self._lock
        depth, lock.depth, lock.owner = lock.depth, 0, None
        try:
            self._world.wait("told", lambda: told[0], math.inf if timeout is None else timeout)
        finally:
            # By identity: two that wait look alike.
            self._waiting = [other for other in self._waiting if other is not told]
            running = self._world.running
            if running is not None and not running.process.dead:
                lock.acquire()
                lock.depth = depth
        return told[0]

    def notify(self, n: int = 1) -> None:
        for told in self._waiting[:n]:
            told[0] = True
        self._waiting = self._waiting[n:]

    def notify_all(self) -> None:
        self.notify(len(self._waiting))


class Event:
    def __init__(self, world: World) -> None:
        self._world = world
        self._set = False

    def set(self) -> None:
        self._set = True

    def wait(self, timeout: float) -> bool:
        return self._world.wait("event", lambda: self._set, timeout)


class Threading:
    def __init__(self, world: World) -> None:
        self.Event = lambda: Event(world)
        self.Lock = lambda: Lock(world)
        self.RLock = lambda: RLock(world)
        self.Condition = lambda lock=None: Condition(world, lock)
        self.get_ident = lambda: id(world.running)

    def current_thread(self) -> SimpleNamespace:
        return SimpleNamespace()


class Thread:
    """`_thread`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._number = 0

    def start_new_thread(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        running = self._world.running
        assert running is not None
        call = [arguments]  # what a thread was started with ends with it
        self._number += 1
        name = f"{arguments[-1]}#{self._number}"
        self._world.wait(f"start {name}")
        self._world.start(running.process, name, lambda: function(*call.pop()))


class Importer:
    """`__import__` of modules of ours, but for the `early` ones. What these bring with them is what
    threads get into each other's way for: who imports one while another thread is about another
    one may be given half of what both need."""

    def __init__(self, world: World, real: Callable[..., object], early: Collection[str]) -> None:
        self._world = world
        self._real = real
        self._early = early
        self._under_way: dict[Process, tuple[Task, str]] = {}
        self._done: set[tuple[Process, str]] = set()

    def __call__(
        self,
        name: str,
        globals: dict[str, Any] | None = None,
        locals: object = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> object:
        asker = (globals or {}).get("__name__", "")
        if asker.startswith("pdagent.") and name.startswith("pdagent.") and name not in self._early:
            self._import(name)
        return self._real(name, globals, locals, fromlist, level)

    def _import(self, name: str) -> None:
        task = self._world.running
        assert task is not None
        process = task.process
        if (process, name) in self._done:
            return
        other = self._under_way.get(process)
        if other is not None and other[1] != name:
            raise ImportError(f"{name}: partially initialized module, beside {other[1]}")
        if other is not None:
            self._world.wait(f"{name}", lambda: self._under_way.get(process) is not other)
            return
        self._under_way[process] = task, name
        try:
            self._world.sleep(self._world.choice.choice([0.01, 0.3]))
        finally:
            del self._under_way[process]
        self._done.add((process, name))


class Time:
    """`time`. The wall clock runs as the other, but for what somebody steps it by."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.CLOCK_BOOTTIME = 7

    def monotonic(self) -> float:
        self._world.wait("clock")
        return self._world.now

    def monotonic_ns(self) -> int:
        return int(self.monotonic() * 1e9)

    def clock_gettime(self, _: int) -> float:
        return self.monotonic()

    def time(self) -> float:
        now = self.monotonic()
        return EPOCH + self._world.stepped + now

    def time_ns(self) -> int:
        now = self.monotonic_ns()
        return EPOCH * 10**9 + int(self._world.stepped * 1e9) + now

    def thread_time(self) -> float:
        return 0.0

    process_time = thread_time

    def __getattr__(self, name: str) -> Any:
        if name in ("strftime", "gmtime", "localtime"):
            return getattr(time, name)
        raise AttributeError(name)


class CoarseTime:
    """The clock of the kernel's stamps on files, which ticks each 4 ms."""

    def __init__(self, world: World) -> None:
        self._world = world

    def time_ns(self) -> int:
        stepped = int(self._world.stepped * 1e9)
        return EPOCH * 10**9 + stepped + int(self._world.now * 250) * 4_000_000

    def monotonic(self) -> float:
        return self._world.now
