"""Real faults: a process that strace fails or kills at a chosen system call, a disk that is full.

Nothing is replaced: the kernel, or strace in its place, gives the answers.
"""

import contextlib
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from pdagent.log import FILE_BYTES
from tests.support.agent import Agent, from_source, wait_until
from tests.support.users import AGENT, ROOT

# both names of each call: which one libc uses depends on the architecture
LINK, UNLINK, OPEN = "?link,?linkat", "?unlink,?unlinkat", "?open,?openat"
RENAME = "?rename,?renameat,?renameat2"
LOOK = "?stat,?lstat,?newfstatat,?fstatat64,?statx"
TRACED = f"{OPEN},{LINK},{UNLINK},fsync,write,fchmod,?rename,?renameat,?renameat2"

# all that changes what others see, or makes it last
WRITING = (
    f"{LINK},{UNLINK},write,pwrite64,writev,sendto,fsync,fdatasync,flock,ftruncate,"
    "?rename,?renameat,?renameat2,?mkdir,?mkdirat,?mknod,?mknodat,?rmdir,"
    "?chmod,fchmod,fchmodat"
)


def _strace(fault: str, log: Path | None) -> list[str]:
    if not _can_trace():
        pytest.skip("strace is not there, or not permitted")
    calls, _, rest = fault.partition(":")
    options = ["-f", "-qqq", "-y", "-s4096", "-o", str(log or os.devnull), "-e", f"trace={calls}"]
    return ["strace", *options, *(["-e", f"inject={fault}"] if rest else [])]


def points(log: Path, *below: Path) -> list[str]:
    """The calls in a trace as strace's injections name them, such as "fsync:when=2", in order,
    perhaps only those that concern files below some directories. It counts by call and thread."""
    counts: Counter[tuple[str, str]] = Counter()
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if match := re.match(r"(\d+) +(\w+)\(", line):
            counts[match[1], match[2]] += 1
            if not below or any(str(directory) in line for directory in below):
                found.append(f"{match[2]}:when={counts[match[1], match[2]]}")
    return list(dict.fromkeys(found))


def tracing(fault: str, *more: str, log: Path | None = None) -> list[str]:
    """The beginning of a command line that runs a command under strace, which injects a fault: in
    strace's words, such as "fsync:error=EIO:when=2". Calls alone are only written to `log`."""
    # -D: signals and exit codes are the command's, not strace's
    return [*_strace(fault, log), "-D", *more]


@contextlib.contextmanager
def attached(pid: int, fault: str, log: Path | None = None) -> Iterator[None]:
    """strace on a process that runs already, on its threads and on those that come."""
    tracer = subprocess.Popen([*_strace(fault, log), "-p", str(pid)], stderr=subprocess.DEVNULL)
    try:
        # it may be over already: what it was to kill is dead
        wait_until(lambda: _is_traced(pid) or tracer.poll() is not None)
        yield
        tracer.terminate()
        # A process may die while strace lets go of it. strace 6.1 then waits for its first thread,
        # and the kernel keeps that one until strace has taken note of the others: for ever. Whoever
        # is dead needs no letting go.
        wait_until(lambda: tracer.poll() is not None or _is_dead(pid))
    finally:
        tracer.kill()
        tracer.wait()


def _is_dead(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def _is_traced(pid: int) -> bool:
    for task in Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            if "TracerPid:\t0\n" in task.read_text():
                return False
    return True


def python(code: str, *arguments: str) -> list[str]:
    """The command line of a small process that has only the agent's code and built-in modules."""
    interpreter, *_ = from_source()("")  # of a copy that every user can reach
    start = f"import sys; sys.path.insert(0, {from_source.copy.name!r}); del sys.argv[0]\n"  # type: ignore[attr-defined]
    return [interpreter, "-I", "-S", "-B", "-c", start + code, *arguments]


@cache
def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode == 0


def traced(
    command: Sequence[str], log: Path, inject: str | None = None, input: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Runs a command under strace, which writes its calls about files to `log`. `inject`: a fault
    in strace's words, such as "fsync:error=EIO:when=2"."""
    if not _can_trace():
        pytest.skip("strace is not there, or not permitted")
    fault = ["-e", f"inject={inject}"] if inject else []
    return subprocess.run(
        ["strace", "-y", "-s", "4096", "-o", str(log), "-e", f"trace={TRACED}", *fault, *command],
        input=input,
        capture_output=True,
        timeout=120,
    )


def calls(log: Path, below: Path) -> list[str]:
    """The traced calls that concern files below a directory: their names in order."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if str(below) in line]
    found = [re.match(r"(\w+)\(", line) for line in lines]
    return [match[1].removesuffix("at") for match in found if match]


def nearly_fill_log(agent: Agent) -> None:
    """The next line rotates it."""
    with agent.log_file.open("wb") as file:
        os.fchmod(file.fileno(), 0o640)  # by number: a daemon that runs may rename it any moment
        if ROOT:
            os.fchown(file.fileno(), AGENT.uid, AGENT.gid)
        file.write(b"x" * (FILE_BYTES - 20) + b"\n")


@contextlib.contextmanager
def mounted(path: Path, options: str) -> Iterator[Path]:
    """A small file system of its own at `path`."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", path], capture_output=True
    )
    if made.returncode:
        pytest.skip("mounting is not permitted")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)
