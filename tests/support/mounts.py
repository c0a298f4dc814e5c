"""Mounts that nobody else sees, and that are gone with whoever made them, however that ends."""

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_NEW_MOUNTS = 0x0002_0000  # CLONE_NEWNS, see unshare(2)
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def private_mounts() -> Iterator[None]:
    """A mount namespace of its own for this thread, and for all processes and threads that it
    starts."""
    place = os.getcwd()
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", _NEW_MOUNTS)
    except PermissionError:
        os.close(before)
        pytest.skip("a mount namespace is not permitted here")
    try:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        yield
    finally:
        _call("setns", before, _NEW_MOUNTS)
        os.close(before)
        os.chdir(place)  # setns(2) moved us to the root


def mount(*arguments: str | Path) -> None:
    """mount(8); skips where the kernel does not have what it takes."""
    made = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"mount {' '.join(map(str, arguments))}: {made.stderr.strip()}")


def needs(program: str) -> None:
    """Skips where a program is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: see ci/packages.txt")
