"""The boundary: names by which the agent's modules reach the system lead into the simulation."""

import _thread
import builtins
import contextlib
import fcntl
import gc
import logging
import os
import posix
import select
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import pdagent.daemon.life
import pdagent.queue.intervention
import pdagent.queue.waiting

EARLY = frozenset(sys.modules)  # which a daemon has before it has threads

# The rest is imported here all the same: what comes later would reach the real system.
import pdagent.daemon.expecting  # noqa: E402
import pdagent.serve.heartbeat  # noqa: E402
import pdagent.wire.delivery  # noqa: E402, F401
import tests.support.power.disk  # noqa: E402
from pdagent import threads  # noqa: E402
from pdagent.wire import trust  # noqa: E402
from tests.simulation.descriptors import Fcntl, Select  # noqa: E402
from tests.simulation.kernel import Kernel  # noqa: E402
from tests.simulation.network import Network, Plain  # noqa: E402
from tests.simulation.primitives import (  # noqa: E402
    CoarseTime,
    Importer,
    RLock,
    Thread,
    Threading,
    Time,
)
from tests.simulation.world import Process, World  # noqa: E402


@contextlib.contextmanager
def simulated(world: World, kernel: Kernel, network: Network, signals: Any) -> Iterator[None]:
    """Within, everything of pdagent's runs in this world."""
    clock = Time(world)
    real: dict[int, Any] = {
        id(os): kernel,
        id(posix): kernel,
        id(fcntl): Fcntl(kernel),
        id(select): Select(kernel),
        id(signal): signals,
        id(socket): network,
        id(threading): Threading(world),
        id(_thread): Thread(world),
        id(time): clock,
        id(threads.importing): RLock(world),
        id(time.time): clock.time,
        id(time.time_ns): clock.time_ns,
        id(time.monotonic): clock.monotonic,
    }
    undo: list[tuple[Any, str, Any]] = []

    def put(place: Any, name: str, value: Any) -> None:
        undo.append((place, name, getattr(place, name, None)))
        setattr(place, name, value)

    for title, module in list(sys.modules.items()):
        if title.partition(".")[0] != "pdagent" and title != "tests.simulation.sabotage":
            continue
        for name, value in list(vars(module).items()):
            if hasattr(value, "cache_clear"):  # else a day would know what one before it has found
                value.cache_clear()
            if id(value) in real:
                put(module, name, real[id(value)])
            elif isinstance(value, type) and value.__module__ == title:
                for function in vars(value).values():
                    if isinstance(function, FunctionType) and function.__defaults__:
                        defaults = tuple(real.get(id(d), d) for d in function.__defaults__)
                        put(function, "__defaults__", defaults)
        put(module, "open", kernel.open_file)
    put(tests.support.power.disk, "time", CoarseTime(world))
    put(uuid, "os", kernel)
    put(trust, "context", lambda _: Plain())
    put(builtins, "__import__", Importer(world, builtins.__import__, EARLY))
    gc.collect()
    gc.disable()  # it would end things at moments that no seed chooses
    logging.disable(logging.WARNING if world.tell is None else logging.NOTSET)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        gc.enable()
        for place, name, value in reversed(undo):
            if name == "open":
                delattr(place, name)
            else:
                setattr(place, name, value)


class Signals:
    """`signal`. Handlers run at once; to their process that is a moment like any other."""

    SIGHUP, SIGTERM, SIGINT = signal.SIGHUP, signal.SIGTERM, signal.SIGINT

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._handlers: dict[tuple[Process, int], Any] = {}
        self._fds: dict[Process, int] = {}

    def set_wakeup_fd(self, fd: int, warn_on_full_buffer: bool) -> None:
        self._fds[self._kernel.process] = fd

    def signal(self, number: int, handler: Any) -> None:
        self._handlers[self._kernel.process, number] = handler

    def send(self, process: Process, number: int) -> None:
        handler = self._handlers.get((process, number))
        if handler is None:
            self._kernel.kill(process)
            return
        handler(number, None)
        with contextlib.suppress(OSError):  # its end of it may be closed
            self._kernel.write(self._fds[process], bytes([number]))
