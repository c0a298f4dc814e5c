"""Services: what the daemon offers beside delivery: the endpoint, metrics, health, the heartbeat.

Delivery goes on without any of them. Each has threads of its own. The modules of those that are not
wanted are not imported.
"""

import logging
import time
from collections.abc import Callable

from pdagent import exits
from pdagent.config import Config
from pdagent.daemon.workers import Workers
from pdagent.queue.layout import CannotRun
from pdagent.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.serve.heartbeat import Heartbeat
    from pdagent.serve.insight import Insight
    from pdagent.serve.listen import Listener

log = logging.getLogger("main")

ANSWER_SECONDS = 5.0


class Services:
    """What `settings` ask for, in front of `workers`. `nudge` makes the main loop come round."""

    def __init__(self, settings: Config, workers: Workers, nudge: Callable[[], None]) -> None:
        self._settings = settings
        # These two are as they were at the start, whatever a reload brings; see Listener.close.
        self._listens_at = settings.listen
        self._spool = Spool(settings.spool_dir)
        self._workers = workers
        self._nudge = nudge
        self._turns = 0
        self._listener: Listener | None = None
        self._deaf = ""  # why the endpoint does not listen, said once
        self._insight: Insight | None = None
        self._heartbeat: Heartbeat | None = None

    def check(self, path: str) -> None:
        """Raises CannotRun for a `listen` that would let the whole network in."""
        address = self._listens_at
        if not address:
            return
        from pdagent.serve.listen import is_local

        text = "lets other hosts in: set listen_token"
        try:
            if is_local(address) or self._settings.listen_token:
                return
        except ValueError as error:
            text = str(error)
        raise CannotRun(f"{path}: listen = {address}: {text}", exits.BAD_CONFIG)

    def configure(self, settings: Config) -> None:
        """Takes up a new configuration."""
        self._settings = settings

    def start_heartbeat(self, agent_id: str, started_on: str) -> None:
        """Tells PagerDuty that the agent runs, if that is wanted."""
        if not self._settings.heartbeat:
            return
        from pdagent.serve.heartbeat import Heartbeat

        def snapshot() -> dict[str, int]:
            return {"count": self._workers.pending}

        self._heartbeat = Heartbeat(self._settings, agent_id, started_on, snapshot)
        self._heartbeat.start()

    def listen(self) -> None:
        """Serves the Events API of our own, if it is wanted and as soon as it can be."""
        address = self._listens_at
        if not address or self._listener is not None:
            return
        from pdagent.serve.endpoint import BOUNDS, Endpoint
        from pdagent.serve.listen import Listener, is_local

        def pending() -> int:
            return self._workers.pending

        app = Endpoint(lambda: self._settings, self._spool, pending, is_local(address))
        try:
            self._listener = Listener(address, app, BOUNDS)
        except OSError as error:
            if str(error) != self._deaf:
                log.error("cannot listen at %s: %s; trying again", address, error)
            self._deaf = str(error)
            return
        log.info("Listening at %s", address)

    def show_insight(self) -> None:
        """Shows metrics and health, if they are wanted."""
        if self._settings.metrics_listen or self._settings.metrics_file:
            from pdagent.serve.insight import Insight

            workers = self._workers
            self._insight = Insight(self._settings, workers.tally, workers.standing, self._answers)

    def turn(self) -> None:
        """Once in each turn of the main loop."""
        self._turns += 1

    def tick(self) -> None:
        """Once in a while: tries again what could not be had, and brings the rest up to date."""
        self.listen()
        if self._insight is not None:
            self._insight.tick()

    def stop(self) -> None:
        """Lets the requests that are being worked on be answered, and takes no more."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._listener is not None:
            self._listener.close()
        if self._insight is not None:
            self._insight.close()

    def _answers(self) -> bool:
        """Whether the main loop comes round; from other threads."""
        turns, deadline = self._turns, time.monotonic() + ANSWER_SECONDS
        self._nudge()
        while self._turns == turns and time.monotonic() < deadline:
            time.sleep(0.005)
        return self._turns != turns
