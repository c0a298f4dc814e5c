"""Users for tests: as root, the agent, a sender and a stranger are three different people, as on a
host.

Elsewhere they are all whoever runs the tests, and what needs several users is skipped.
"""

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class User:
    """A numeric user, in no other group than its own."""

    uid: int
    gid: int

    def popen(self) -> dict[str, Any]:
        """Arguments for subprocess that make a process this user's."""
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


ROOT = os.geteuid() == 0
_SELF = User(os.geteuid(), os.getegid())
AGENT = User(64001, 64001) if ROOT else _SELF
SENDER = User(64002, 64002) if ROOT else _SELF
STRANGER = User(64003, 64003) if ROOT else _SELF
