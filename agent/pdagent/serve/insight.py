"""Insight: what a running daemon shows of itself, to everybody whom the configuration allows to see
it."""

import logging
import time
from collections.abc import Callable, Mapping

from pdagent import threads
from pdagent.config import Config
from pdagent.queue.holds import Figures
from pdagent.serve.crowd import Bounds
from pdagent.serve.health import Health, spool_problem
from pdagent.serve.listen import Listener, is_local
from pdagent.serve.metrics import Collected, application, oldest_seconds
from pdagent.serve.tally import Tally
from pdagent.serve.textfile import Textfile

log = logging.getLogger("pdagent.metrics")

BOUNDS = Bounds(body_bytes=1, connections=20)


class Insight:
    """Serves metrics and health from the first `tick` until `close`. `answers` says whether the
    main loop still runs."""

    def __init__(
        self,
        settings: Config,
        tally: Tally,
        figures: Callable[[], Figures],
        reach: Callable[[], Mapping[str, float | None]],
        pending_of: Callable[[], Mapping[str, int]],
        answers: Callable[[], bool],
    ) -> None:
        self._root = settings.spool_dir
        self._figures = figures
        self._answers = answers
        self._listener: Listener | None = None
        collected = Collected(tally, figures, reach, pending_of, self._root)
        self._file = Textfile(settings.metrics_file, collected) if settings.metrics_file else None
        self._address = settings.metrics_listen
        self._app = application(collected, self._health)
        self._closed = ""  # why nobody listens there
        if self._address and not settings.metrics_remote and not is_local(self._address):
            self._closed = (
                f"metrics_listen = {self._address} can be reached from other hosts, so nobody "
                "listens there; metrics_remote = on allows it"
            )
            log.error("%s", self._closed)
            self._address = ""

    @property
    def problem(self) -> str:
        """Why metrics are not shown where they are wanted, as far as `tick` has not raised it; ""
        if they are."""
        return self._closed or (self._file.problem if self._file is not None else "")

    def tick(self) -> None:
        """Called once in a while: writes the file of metrics, and listens if that was not possible
        before. Raises OSError."""
        if self._file is not None:  # a thread writes it, since the disk may be slow
            threads.start(self._file.write, "Metrics")
        if self._listener is not None:
            self._listener.tend()
        elif self._address:
            self._listen(self._address)

    def _listen(self, address: str) -> None:
        try:
            self._listener = Listener(address, self._app, BOUNDS)
        except OSError as error:
            why = f"cannot listen on {address}: {error.strerror or error}"
            raise OSError(why) from error
        log.info("metrics are at %s", address)

    def close(self) -> None:
        """Answers nobody from now on."""
        if self._listener is not None:
            self._listener.close()

    def _health(self) -> Health:
        figures = self._figures()
        return Health(
            loop=self._answers(),
            spool=spool_problem(self._root),
            reachable=figures.reachable,
            pending=figures.pending,
            oldest_seconds=oldest_seconds(figures, time.time()),
        )
