"""Insight: what a running daemon shows of itself, to those that the configuration lets see it."""

import logging
import threading
import time
from collections.abc import Callable

from pdagent.config import Config
from pdagent.queue.holds import Standing
from pdagent.serve.health import Health, spool_problem
from pdagent.serve.listen import Bounds, Listener, is_local
from pdagent.serve.metrics import Collected, Textfile, application, oldest_seconds
from pdagent.serve.tally import Tally

log = logging.getLogger("pdagent.metrics")

BOUNDS = Bounds(body_bytes=1, connections=20)


class Insight:
    """Serves metrics and health from construction until `close`. What it can't do it logs: pages go
    out without it. `answers` says whether the main loop comes round."""

    def __init__(
        self,
        config: Config,
        tally: Tally,
        standing: Callable[[], Standing],
        answers: Callable[[], bool],
    ) -> None:
        self._root = config.spool_dir
        self._standing = standing
        self._answers = answers
        self._listener: Listener | None = None
        collected = Collected(tally, standing, self._root)
        self._file = Textfile(config.metrics_file, collected) if config.metrics_file else None
        address = config.metrics_listen
        if not address:
            return
        if not config.metrics_remote and not is_local(address):
            log.error(
                "metrics_listen = %s can be reached from other hosts, so nobody listens there; "
                "metrics_remote = on allows it",
                address,
            )
            return
        try:
            self._listener = Listener(address, application(collected, self._health), BOUNDS)
        except OSError as error:
            log.error("cannot listen on %s: %s; no metrics there", address, error.strerror or error)
        else:
            log.info("metrics are at %s", address)

    def tick(self) -> None:
        """Once in a while: brings the file up to date, in a thread, since its disk may be slow."""
        if self._file is not None:
            threading.Thread(target=self._file.write, name="Metrics", daemon=True).start()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def _health(self) -> Health:
        standing = self._standing()
        return Health(
            loop=self._answers(),
            spool=spool_problem(self._root),
            reachable=standing.reachable,
            pending=standing.pending,
            oldest_seconds=oldest_seconds(standing, time.time()),
        )
