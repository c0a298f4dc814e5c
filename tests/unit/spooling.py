"""Enqueues in a process of their own, and what they leave."""

import contextlib
import os
from pathlib import Path

from tests.support.faults import python

ENQUEUE = """
from pdagent.spool import Spool, SpoolError
root, key, size = sys.argv
try:
    print(Spool(root).enqueue(key, b"x" * int(size)))
except SpoolError as error:
    print(error)
    sys.exit(75)
"""


def names(root: Path, name: str) -> list[str]:
    return sorted(os.listdir(root / name))


def open_files(below: Path) -> list[str]:
    """Those that this process has open."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
    return [path for path in found if path.startswith(str(below))]


def enqueue(root: Path, size: int = 100) -> list[str]:
    return python(ENQUEUE, str(root), "KEY", str(size))


FULL = "The event was not queued. Free some space."
APART = "The event was not queued. All directories of {root} must be on one file system."
ODD = "The event was not queued."
READ_ONLY = (
    "The event was not queued. Mount the file system writable. In a systemd unit with "
    "ProtectSystem=strict or DynamicUser=yes, add the line ReadWritePaths={root}."
)
