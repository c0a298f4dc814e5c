"""`fcntl` and `select`, for the descriptors of the kernel that the seed has."""

import fcntl
import math
import select

from tests.simulation.kernel import Kernel


class Fcntl:
    """`fcntl`."""

    def __init__(self, kernel: Kernel) -> None:
        self.flock = kernel.flock
        self.fcntl = kernel.fcntl
        self.LOCK_EX, self.LOCK_NB, self.F_SETPIPE_SZ = (
            fcntl.LOCK_EX,
            fcntl.LOCK_NB,
            fcntl.F_SETPIPE_SZ,
        )


class Select:
    """`select`."""

    POLLIN, POLLOUT = select.POLLIN, select.POLLOUT

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def poll(self) -> "Poll":
        return Poll(self._kernel)

    def select(self, _: object, __: object, ___: object, seconds: float) -> None:
        """As a pause, which is how it is used."""
        self._kernel.world.sleep(seconds)


class Poll:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._wanted: list[tuple[int, int]] = []

    def register(self, fd: int, events: int) -> None:
        self._wanted.append((fd, events))

    def poll(self, milliseconds: float | None = None) -> list[tuple[int, int]]:
        seconds = math.inf if milliseconds is None else milliseconds / 1000
        self._kernel.world.wait("poll", lambda: bool(self._ready()), seconds)
        return self._ready()

    def _ready(self) -> list[tuple[int, int]]:
        return [(fd, events) for fd, events in self._wanted if self._is_ready(fd, events)]

    def _is_ready(self, fd: int, events: int) -> bool:
        kernel = self._kernel
        return kernel.is_readable(fd) if events == select.POLLIN else kernel.has_room(fd)
