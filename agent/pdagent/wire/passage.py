"""Passage: which agents an event may have passed on its way here, so that none gets it twice.

A relay could be told to send to itself, or two to each other. Events would go round without end,
each hop durable, and PagerDuty would never see them. So a request to a relay names this agent, and
those from which events have come lately. A relay that finds its own name there does not take the
event. An agent draws its name when it starts, since hosts that were cloned must not share one, and
again when its configuration changes, since that may have mended the circle.

No other host learns the name of the agent that it sends to, so nobody can claim to be that.
"""

import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

HEADER = "Pdagent-Passed"
# In a circle that nobody mends, an event goes round once in this many seconds.
KEPT_SECONDS = 3600.0
NAMES_MOST = 100  # those that came last
_NAME = re.compile(r"[0-9a-f]{16}")


class Passage:
    """Who sends to this agent. Any number of threads may ask. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._name = _drawn()
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, float] = OrderedDict()

    def renew(self) -> None:
        """The configuration has changed."""
        self._name = _drawn()

    def has_seen(self, header: str) -> bool:
        """Whether an event that came with this header has been here before. If not, the names in it
        are kept."""
        names = _NAME.findall(header)[: NAMES_MOST + 1]
        if self._name in names:
            return True
        now = self._clock()
        with self._lock:
            for name in names:
                self._seen[name] = now
                self._seen.move_to_end(name)
            while len(self._seen) > NAMES_MOST:
                self._seen.popitem(last=False)
        return False

    def header(self) -> str:
        """What an event that goes to a relay says."""
        earliest = self._clock() - KEPT_SECONDS
        with self._lock:
            lately = [name for name, seen in self._seen.items() if seen >= earliest]
        return ", ".join([self._name, *lately])


def _drawn() -> str:
    return os.urandom(8).hex()
