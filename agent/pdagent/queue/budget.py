"""The disk budget: when the spool is so full that a person should know. Pure, but for `disk_of`.

`cleanup` keeps the spool within its bounds. It removes delivered events first, by number, size and
free space, and events in error by age. It never removes pending events.
"""

import os
from dataclasses import dataclass

SCARCE_BYTES = 100 * 1024 * 1024
SCARCE_SHARE = 0.05
# With less room than this the disk counts as full: a burst of events would not fit.
ROOM_BYTES = 1_048_576
ROOM_FILES = 100


@dataclass(frozen=True, slots=True)
class Disk:
    """Free and total, in bytes and in inodes."""

    free: int
    total: int
    free_files: int
    total_files: int

    @property
    def scarce(self) -> bool:
        """Whether events may soon find no room."""
        room = self.total > 0 and self.free < min(SCARCE_BYTES, self.total * SCARCE_SHARE)
        return room or self.scarce_files

    @property
    def scarce_files(self) -> bool:
        """Whether there are too few inodes."""
        return self.total_files > 0 and self.free_files < self.total_files * SCARCE_SHARE


def disk_of(path: str) -> Disk:
    """The disk that `path` is on. Raises OSError."""
    found = os.statvfs(path)
    return Disk(
        found.f_bavail * found.f_frsize,
        found.f_blocks * found.f_frsize,
        found.f_favail,
        found.f_files,
    )


def is_full(disk: Disk) -> bool:
    """Whether there is no room for a burst of events."""
    few_files = disk.total_files > 0 and disk.free_files < ROOM_FILES
    return disk.free < ROOM_BYTES or few_files


def many_pending(pending: int, mark: int) -> str:
    """The warning about `pending` events; "" if they are no more than `mark`. A mark of 0
    means that there is no warning."""
    if not mark or pending <= mark:
        return ""
    return f"{pending} events are pending, more than pending_warning = {mark}"


def short_of_room(disk: Disk) -> str:
    """The warning about a disk; "" if it has room."""
    if not disk.scarce:
        return ""
    if disk.scarce_files:
        left = f"{disk.free_files} of {disk.total_files} inodes"
    else:
        left = f"{disk.free // 1024} of {disk.total // 1024} kB"
    if is_full(disk):
        return f"the disk is full: {left} are free, so events can't be queued; free some space"
    return f"the disk is short: {left} are free; delivered events are removed to make room"
