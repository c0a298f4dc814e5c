"""Health: whether the agent does its work. It does so also while PagerDuty can't be reached. Pure,
except for a look at the spool."""

import os
from dataclasses import dataclass

from pdagent.queue.budget import disk_of, is_full
from pdagent.queue.layout import frozen
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, TEMPORARY


@dataclass(frozen=True, slots=True)
class Health:
    """`loop`: the daemon's main loop answers. `spool`: what is wrong with it, empty if nothing
    is."""

    loop: bool
    spool: str
    reachable: bool
    pending: int
    oldest_seconds: float

    @property
    def good(self) -> bool:
        """Whether events are accepted, and sent as soon as they can be."""
        return self.loop and not self.spool

    def document(self) -> dict[str, object]:
        """The answer of `/healthz`, as docs/json.md has it."""
        return {
            "schema": "pdagent.health/1",
            "status": "ok" if self.good else "failed",
            "loop": "ok" if self.loop else "does not answer",
            "spool": self.spool or "ok",
            "destination": "reachable" if self.reachable else "unreachable",
            "pending": self.pending,
            "oldest_pending_seconds": round(self.oldest_seconds, 3),
        }


def spool_problem(root: str) -> str:
    """Why no event could be accepted or settled in the spool; empty if it could."""
    if why := frozen(root):
        return f"{root}: {why}"
    for name in (TEMPORARY, PENDING, DELIVERED, IN_ERROR):
        if not os.access(f"{root}/{name}", os.R_OK | os.W_OK | os.X_OK):
            return f"{root}/{name} can't be read and written"
    try:
        disk = disk_of(root)
    except OSError as error:
        return f"{root}: {error.strerror}"
    if is_full(disk):
        return "the disk is full"
    return ""
