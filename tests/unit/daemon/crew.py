"""Workers on a spool, for tests, and what lies in it."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from pdagent.config import Config
from pdagent.daemon.arrivals import Arrivals
from pdagent.daemon.workers import Workers
from pdagent.queue.backlog import Backlog
from pdagent.queue.holds import Held
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import Counters, State
from pdagent.spool import PENDING
from tests.support.agent import wait_until
from tests.support.events import KEY


class Crew:
    """Workers on a spool, and what they told of holds. Somebody has to `tend` them."""

    def __init__(self, root: Path, url: str) -> None:
        for name in ("tmp", "pdq", "suc", "err"):
            (root / "outqueue" / name).mkdir(parents=True)
        (root / "db").mkdir()
        self.spool = root / "outqueue"
        self.held: Held = Held()
        self.state = state = State(str(root))
        self.files = files = Backlog(str(self.spool))
        self.settlement = Settlement(files, state, Counters(state, 0.0))
        self.config = Config({"events_url": url, "data_dir": str(root)}, {"db": KEY})
        self.workers = Workers(self.config, files, self.settlement, lambda: None, self._told)

    def _told(self, held: Held) -> None:
        self.held = held

    def arrivals(self) -> Arrivals:
        parts = self.config, self.files, self.settlement, self.workers
        return Arrivals(*parts, wanted=lambda: None, expect=lambda: None)

    def add(self, *names: str) -> None:
        self.workers.add([(name, 0) for name in names])

    def write(self, name: str, data: bytes) -> None:
        (self.spool / PENDING / name).write_bytes(data)

    def until(self, condition: Callable[[], bool]) -> None:
        def tended() -> bool:
            self.workers.tend(time.monotonic())
            return condition()

        wait_until(tended)


def written(summary: str, key: str = KEY, dedup_key: str = "a") -> bytes:
    payload = {"summary": summary, "source": "db1", "severity": "error"}
    return json.dumps(
        {"routing_key": key, "event_action": "trigger", "dedup_key": dedup_key, "payload": payload}
    ).encode()
