"""Real faults: a process that strace fails or kills at a chosen system call, a disk that is full.

Nothing is replaced: the kernel, or strace in its place, gives the answers.
"""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.support.agent import from_source

# both names of each call: which one libc uses depends on the architecture
LINK, UNLINK, OPEN = "?link,?linkat", "?unlink,?unlinkat", "?open,?openat"
TRACED = f"{OPEN},{LINK},{UNLINK},fsync,write,fchmod,?rename,?renameat,?renameat2"


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
        timeout=60,
    )


def calls(log: Path, below: Path) -> list[str]:
    """The traced calls that concern files below a directory: their names in order."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if str(below) in line]
    found = [re.match(r"(\w+)\(", line) for line in lines]
    return [match[1].removesuffix("at") for match in found if match]


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
