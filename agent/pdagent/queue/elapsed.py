"""Elapsed time, across restarts, clock steps and sleep.

Within one boot the kernel counts the seconds since the boot. Nobody can step that count, and it
goes on while the host sleeps. Across boots there is only the wall clock, but at least the time
since this boot has gone by. A container (LXC, systemd-nspawn) is given a boot id of its own at each
of its starts, while the kernel's count goes on. Pure, except for `present`.
"""

import contextlib
import math
import os
import time
from dataclasses import dataclass
from functools import cache

from pdagent.queue.numbers import is_number

# The service's sandbox hides /proc/sys (ProcSubset=pid), so the unit hands the boot's id over.
BOOT_VARIABLE = "PDAGENT_BOOT_ID"
_BOOT_FILE = "/proc/sys/kernel/random/boot_id"
_CONTAINER_FILE = "/run/systemd/container"  # see systemd's "Container Interface"
_OPEN = os.O_RDONLY | os.O_CLOEXEC
_SECONDS_MOST = 1e15  # no clock shows more


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by all clocks, in seconds. `wall` counts since the epoch, `running` since the boot,
    and `awake` since the boot without the time in which the host slept. `boot` names the boot; it
    is "" if that is not known. `contained`: it names the start of a container, so another one may
    be of the same boot."""

    wall: float
    running: float
    awake: float
    boot: str
    contained: bool = False

    def fields(self) -> dict[str, object]:
        """The moment as a JSON object."""
        return {
            "wall": self.wall,
            "running": self.running,
            "awake": self.awake,
            "boot": self.boot,
            "contained": self.contained,
        }


def moment_of(fields: object) -> Moment:
    """The moment in a JSON object, which anyone may have written. Raises ValueError."""
    if isinstance(fields, dict):
        wall, running, awake, boot = map(fields.get, ("wall", "running", "awake", "boot"))
        if (
            is_number(wall, _SECONDS_MOST)
            and is_number(running, _SECONDS_MOST)
            and is_number(awake, _SECONDS_MOST)
            and isinstance(boot, str)
            and len(boot) <= 64
        ):
            contained = fields.get("contained") is True
            return Moment(float(wall), float(running), float(awake), boot, contained)
    raise ValueError("it says no moment")


def present() -> Moment:
    """This moment."""
    return Moment(
        time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic(), *_boot_id()
    )


@cache
def _boot_id() -> tuple[str, bool]:
    """The boot id, and whether it is a container's own."""
    text, contained = "", False
    with contextlib.suppress(OSError, ValueError):
        fd = os.open(_BOOT_FILE, _OPEN)
        try:
            text = os.read(fd, 64).decode("ascii")
            # the container's manager has mounted a file of its own over the kernel's
            contained = os.fstat(fd).st_dev != os.stat("/proc").st_dev
        finally:
            os.close(fd)
    if not text:
        text = os.environ.get(BOOT_VARIABLE, "")
        contained = os.path.exists(_CONTAINER_FILE)
    return text.strip().replace("-", "")[:64], contained  # systemd writes it without hyphens


def is_same_boot(one: Moment, other: Moment) -> bool:
    """Whether both moments are known to be of one boot."""
    return one.boot == other.boot != ""


def is_other_boot(one: Moment, other: Moment) -> bool:
    """Whether both moments are known to be of different boots."""
    is_known = one.boot and other.boot and not (one.contained or other.contained)
    return bool(is_known) and one.boot != other.boot


def is_known_before(one: Moment, other: Moment, now: Moment) -> bool:
    """Whether `one` was before `other`, by the clock that nobody sets: both are of one boot. What
    is yet to come is not believed."""
    is_yet_to_come = is_same_boot(other, now) and other.running > now.running
    return is_same_boot(one, other) and one.running < other.running and not is_yet_to_come


def elapsed(since: Moment, now: Moment) -> float:
    """Seconds from `since` to `now`; 0 at least."""
    if is_same_boot(since, now):
        return max(0.0, now.running - since.running)
    if is_other_boot(since, now):
        return max(now.wall - since.wall, now.running)
    return max(0.0, now.wall - since.wall)  # it may be this boot, so `running` says nothing


def asleep(since: Moment, now: Moment) -> float:
    """For how many of these seconds the host slept, as far as that is known."""
    if not is_same_boot(since, now):
        return 0.0
    return max(0.0, (now.running - since.running) - (now.awake - since.awake))


def was_off(since: Moment, now: Moment, term: float) -> bool:
    """Whether the host was off, or asleep, when `term` seconds after `since` were over."""
    if is_same_boot(since, now):
        return elapsed(since, now) - asleep(since, now) < term
    started = now.wall - now.running
    return is_other_boot(since, now) and since.wall + term < started


def due(since: Moment, term: float, now: Moment) -> float:
    """Seconds from `now` until `term` seconds have elapsed; 0 or less if they have."""
    left = term - elapsed(since, now)
    return left if math.isfinite(left) else 0.0
