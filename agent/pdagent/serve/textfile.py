"""The file of metrics, for node_exporter."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest

from pdagent.serve.metrics import Collected

log = logging.getLogger("pdagent.metrics")

FILE_MODE = 0o644  # node_exporter is another user; there are no secrets in it
FILE_SECONDS = 60.0  # its time stamp says that we live


class Textfile:
    """Writes metrics to the file `path`, which ends in .prom, for node_exporter."""

    def __init__(
        self,
        path: str,
        collected: Collected,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._registry = CollectorRegistry()
        self._registry.register(collected)
        self._monotonic = monotonic
        self._written = b""
        self._due = 0.0
        self.problem = ""  # why it could not be written; "" if it could
        self._busy = threading.Lock()

    def write(self) -> None:
        """Writes the metrics if they have changed, or if the file is a minute old."""
        if not self._busy.acquire(blocking=False):
            return  # the file is still being written, on a slow disk
        try:
            text = generate_latest(self._registry)
            if text == self._written and self._monotonic() < self._due:
                return
            self._replace(text)
            self._written, self._due = text, self._monotonic() + FILE_SECONDS
            self.problem = ""
        except OSError as error:
            problem = f"cannot write {self._path}: {error.strerror}"
            if not self.problem:  # said once, until it works again
                log.error("%s", problem)
            self.problem = problem
        finally:
            self._busy.release()

    def _replace(self, text: bytes) -> None:
        # No fsync: after a crash of the host these numbers mean nothing.
        temporary = f"{self._path}.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, FILE_MODE)
        try:
            with open(fd, "wb") as file:
                file.write(text)
                os.fchmod(fd, FILE_MODE)  # whatever the umask is
            os.replace(temporary, self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
