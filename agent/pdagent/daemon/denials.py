"""Denials: files in `expect/` that the agent may not read.

After an accident with chmod each of them may be an expectation that was accepted. So they wait
until somebody repairs them: MOST of each user, since a stranger could make a million.
"""

import math
from collections import deque

MOST = 1000
SECONDS = 30.0  # from one look at them to the next


class Denials:
    """The names of such files, by user. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._names: dict[int, set[str]] = {}
        self._until = 0.0

    def begin(self, now: float) -> float:
        """Called before a look at all files. Returns how long those that wait are to be left."""
        if now >= self._until:
            self._names.clear()
        return self._until - now if self._names else math.inf

    def wait(self, owner: int, name: str, now: float) -> bool:
        """Has a file wait. Returns False if its user has too many that do."""
        if not self._names:
            self._until = now + SECONDS
        names = self._names.setdefault(owner, set())
        if len(names) >= MOST:
            return False
        names.add(name)
        return True

    def others(self, names: dict[int, list[str]]) -> dict[int, deque[str]]:
        """Of a look's names, by user, those that do not wait."""
        return {
            owner: deque(name for name in found if name not in self._names.get(owner, ()))
            for owner, found in names.items()
        }
