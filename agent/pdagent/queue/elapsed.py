"""Elapsed time, across restarts, clock steps and sleep.

Within one boot the kernel counts the seconds since the boot. Nobody can step that count, and it
goes on while the host sleeps. Across boots there is only the wall clock, but at least the time
since this boot has gone by. Pure, except for `present`.
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
_OPEN = os.O_RDONLY | os.O_CLOEXEC
_SECONDS_MOST = 1e15  # no clock shows more


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by all clocks, in seconds. `wall` counts since the epoch, `running` since the boot,
    and `awake` since the boot without the time in which the host slept. `boot` names the boot; it
    is "" if that is not known."""

    wall: float
    running: float
    awake: float
    boot: str

    def fields(self) -> dict[str, object]:
        """The moment as a JSON object."""
        return {
            "wall": self.wall,
            "running": self.running,
            "awake": self.awake,
            "boot": self.boot,
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
            return Moment(float(wall), float(running), float(awake), boot)
    raise ValueError("it says no moment")


def present() -> Moment:
    """This moment."""
    return Moment(
        time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic(), _boot_id()
    )


@cache
def _boot_id() -> str:
    text = ""
    with contextlib.suppress(OSError, ValueError):
        fd = os.open(_BOOT_FILE, _OPEN)
        try:
            text = os.read(fd, 64).decode("ascii")
        finally:
            os.close(fd)
    text = text or os.environ.get(BOOT_VARIABLE, "")
    return text.strip().replace("-", "")[:64]  # systemd writes it without hyphens


def is_same_boot(one: Moment, other: Moment) -> bool:
    """Whether both moments are known to be of one boot."""
    return one.boot == other.boot != ""


def is_known_before(one: Moment, other: Moment, now: Moment) -> bool:
    """Whether `one` was before `other`, by the clock that nobody sets: both are of one boot. What
    is yet to come is not believed."""
    is_yet_to_come = is_same_boot(other, now) and other.running > now.running
    return is_same_boot(one, other) and one.running < other.running and not is_yet_to_come


def elapsed(since: Moment, now: Moment) -> float:
    """Seconds from `since` to `now`; 0 at least."""
    if is_same_boot(since, now):
        return max(0.0, now.running - since.running)
    if not since.boot or not now.boot:
        return max(0.0, now.wall - since.wall)  # it may be this boot, so `running` says nothing
    return max(now.wall - since.wall, now.running)


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
    return bool(since.boot and now.boot) and since.wall + term < started


def due(since: Moment, term: float, now: Moment) -> float:
    """Seconds from `now` until `term` seconds have elapsed; 0 or less if they have."""
    left = term - elapsed(since, now)
    return left if math.isfinite(left) else 0.0
