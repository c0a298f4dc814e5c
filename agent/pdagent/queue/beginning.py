"""Beginnings: what a look through a directory can be trusted with.

What comes while it looks is left for the next look. Else it might see a file, but not the one that
the same sender put there before:

    look: reads the first half of the directory
    pd-send: links trigger, which lands in that half; pd-send: links resolve
    look: reads the second half, and finds the resolve alone

So only files count whose inode changed before the look; link and rename change it.
"""

import time

from pdagent.threads import pause

# Stamps of files lag behind the clock by a tick of the kernel, 10 ms at most.
STAMP_SECONDS = 0.02


class Beginning:
    """The moment before a look begins. It waits until all files with older stamps are there."""

    def __init__(self) -> None:
        self._nanoseconds = time.time_ns()
        pause(STAMP_SECONDS)

    def precedes(self, changed: int) -> bool:
        """Whether an inode that changed then, in nanoseconds since the epoch, came during the look.
        A stamp that is later than now is from before a step of the clock."""
        return self._nanoseconds < changed <= time.time_ns()
