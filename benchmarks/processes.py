"""What a process has cost so far, as the kernel counts it."""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.support.users import User

_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU and wall-clock time of a whole process, in milliseconds."""

    cpu: float
    wall: float


@contextlib.contextmanager
def runner(user: User) -> Iterator[Executor]:
    """Runs functions in a process of this user's. With `user=`, subprocess forks instead of
    spawning, and the copy of our page tables would be counted among the command's cost."""
    with ProcessPoolExecutor(1, initializer=_become, initargs=(user,)) as pool:
        yield pool


def _become(user: User) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(user.gid)
        os.setuid(user.uid)


def cost_of(command: Sequence[str], environment: Mapping[str, str], stdin: bytes = b"") -> Cost:
    """Runs a command, which must succeed, from exec to its last breath."""
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=given, stdout=subprocess.DEVNULL, cwd="/", env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost((usage.ru_utime + usage.ru_stime) * 1000, wall * 1000)


def at_once(command: Sequence[str], environment: Mapping[str, str], many: int, times: int) -> float:
    """Runs a command so many times, `many` at once; returns how many ended in a second. `{}` in it
    is a number, another one each time. xargs starts them, since a Python would be in their way."""
    numbers = "\n".join(map(str, range(times)))
    began = time.perf_counter()
    subprocess.run(
        ["xargs", "-P", str(many), "-I", "{}", *command],
        input=numbers,
        text=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
        env=environment,
        check=True,
    )
    return times / (time.perf_counter() - began)


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads, those that have ended too. In steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK


def main_thread_seconds(pid: int) -> float:
    """CPU time of the main thread alone, to the nanosecond."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


def resident_megabytes(pid: int) -> float:
    """RSS: what the process uses, what it shares with others included."""
    return _status(Path(f"/proc/{pid}"), "VmRSS") / 1024


def switches(pid: int) -> dict[str, int]:
    """Context switches of each thread that lives now: how often it was woken, or had to wait."""
    kinds = ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {task.name: sum(_status(task, kind) for kind in kinds) for task in tasks}


def _status(process: Path, field: str) -> int:
    for line in (process / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    raise LookupError(field)
