"""A host whose spool is cleaned, and its clocks."""

import time
from pathlib import Path

from pdagent.queue.budget import Disk
from pdagent.queue.cleanup import Cleanup
from pdagent.queue.state import State

DAY = 86_400.0
WEEK = 7 * DAY
NAME = "0000000000000001_KEY1.txt"  # of 1970: its name must not matter


class Host:
    """A spool, and the two clocks of its host."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root.parent / "db").mkdir()
        self.state = State(str(root.parent))
        self.wall = time.time()
        self.running = 1000.0
        self.disk = Disk(10**12, 10**12, 10**6, 10**6)
        self.start()

    def start(self) -> None:
        """The daemon starts, or starts again."""
        self.cleanup = Cleanup(
            str(self.root),
            self.state,
            lambda: self.wall,
            lambda: self.running,
            lambda _: self.disk,
        )

    def put(self, place: str, name: str = NAME) -> Path:
        """A file that got there now. (The kernel stamps it, so `wall` catches up.)"""
        path = self.root / place / name
        path.write_bytes(b"{}")
        self.wall = max(self.wall, time.time())
        return path

    def live(self, seconds: float, interval: float = 10_800.0) -> None:
        """Time passes, with a sweep at every interval."""
        while seconds > 0:
            step = min(interval, seconds)
            self.wall += step
            self.running += step
            seconds -= step
            self.cleanup.sweep(WEEK)
