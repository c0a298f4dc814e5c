"""The heartbeat: with `heartbeat = on` PagerDuty is told that the agent runs, as the old agent did.

It has a thread of its own, which sleeps between two beats. Nothing depends on its success.
"""

import json
import logging
import math
import platform
import threading
import time
from collections.abc import Callable

from requests import RequestException

from pdagent import __version__, threads
from pdagent.config import Config
from pdagent.wire.adapter import Adapter
from pdagent.wire.post import Post

log = logging.getLogger("pdagent.heartbeat")

INTERVAL_SECONDS = 3600.0
_LEAST_SECONDS = 60.0
_MOST_SECONDS = 86_400.0
_AGAIN_SECONDS = 10.0
_TRIES = 10
_TRY_SECONDS = 10.0


class Heartbeat:
    """Beats from the first `tend` until it is stopped. `snapshot` gives the counts of pending
    events."""

    def __init__(
        self,
        settings: Config,
        agent_id: str,
        started_on: str,
        snapshot: Callable[[], dict[str, int]],
    ) -> None:
        self._settings = settings
        self._agent_id = agent_id
        self._started_on = started_on
        self._snapshot = snapshot
        self._introduced = False
        self._lost = False  # whether the last beat was not taken, which is said once
        self._stopped = threading.Event()
        self._thread: threads.Thread | None = None

    def tend(self) -> None:
        """Starts the thread of the heartbeat, if there is none, or if it has died."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threads.start(self._run, "Heartbeat")

    def stop(self) -> None:
        """Beats no more. A beat that is on its way still ends."""
        self._stopped.set()

    def _run(self) -> None:
        while True:
            interval = INTERVAL_SECONDS
            for _ in range(_TRIES):
                answer = self._beat()
                if answer is not None:
                    interval = answer
                    break
                if self._stopped.wait(_AGAIN_SECONDS):
                    return
            if self._stopped.wait(interval):
                return

    def _beat(self) -> float | None:
        """Sends one beat. Seconds until the next, as PagerDuty wants it; None: try again soon."""
        body: dict[str, object] = {
            "agent_id": self._agent_id,
            "agent_version": __version__,
            "agent_stats": {
                "snapshot": {"pending_events": self._snapshot()},
                "aggregate": {"started_on": self._started_on},
            },
        }
        if not self._introduced:
            body["system_info"] = _system()
        data = json.dumps(body).encode()
        adapter = Adapter(self._settings, self._settings.heartbeat_url)
        post = Post(time.monotonic() + _TRY_SECONDS)
        try:
            # The connection is closed at the end, since nobody keeps one for an hour.
            with adapter.send(adapter.request("", data), timeout=post) as response:
                status, answer = response.status_code, response.content
        except RequestException as error:
            self._tell(str(error))
            return None
        self._tell(f"answered {status}" if status >= 400 else "")
        if status >= 500:
            return None
        self._introduced = self._introduced or status < 400
        return _interval(answer)

    def _tell(self, why: str) -> None:
        """The log says why beats are not taken, once until they are."""
        if why and not self._lost:
            log.warning("no heartbeat is taken: %s", why)
        elif self._lost and not why:
            log.info("the heartbeat is taken again")
        self._lost = bool(why)


def _interval(answer: bytes) -> float:
    """Seconds until the next beat, as the answer wants it, within bounds."""
    try:
        wanted = float(json.loads(answer.decode("utf-8"))["heartbeat_interval_secs"])
    except (ValueError, OverflowError, KeyError, TypeError, RecursionError):
        return INTERVAL_SECONDS
    if math.isnan(wanted):  # it would fit any bounds, and nobody would wait at all
        return INTERVAL_SECONDS
    return min(max(wanted, _LEAST_SECONDS), _MOST_SECONDS)


def _system() -> dict[str, str]:
    return {
        "platform_name": platform.system().lower(),
        "platform_release": platform.release(),
        "platform_version": platform.version(),
        "platform_machine": platform.machine(),
        "python_version": platform.python_version(),
        "host_name": platform.node(),
    }
