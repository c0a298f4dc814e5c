"""Services: what the daemon offers beside delivery: the endpoint, metrics, health, the heartbeat.

Delivery goes on without any of them: a service that can't begin is tried again. Each service has
threads of its own. The modules of a service that nobody wants are not imported.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable

from pdagent.config import Config
from pdagent.daemon.workers import Workers
from pdagent.spool import Spool
from pdagent.threads import importing, pause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.serve.admission import Admission
    from pdagent.serve.encryption import Encryption
    from pdagent.serve.heartbeat import Heartbeat
    from pdagent.serve.insight import Insight
    from pdagent.serve.listen import Listener

log = logging.getLogger("main")

ANSWER_SECONDS = 5.0
# Settings that a daemon keeps, once it has begun with them, until a restart.
_PLACES = ("data_dir", "log_dir", "run_dir")
_LISTEN = ("listen",)
_HEARTBEAT = ("heartbeat", "heartbeat_url")
_METRICS = ("metrics_listen", "metrics_remote", "metrics_file")
FIXED = (*_PLACES, *_LISTEN, *_HEARTBEAT, *_METRICS)


class Services:
    """The services that `settings` ask for, in front of `workers`. `nudge` wakes the main loop."""

    def __init__(
        self,
        settings: Config,
        workers: Workers,
        nudge: Callable[[], None],
        agent_id: str,
        started_on: str,
    ) -> None:
        self._settings = settings
        self._agent_id = agent_id
        self._started_on = started_on
        self._fixed: dict[str, object] = {}  # what was begun with, by setting
        self._fix(_PLACES)
        self._listens_at = ""  # a listener stays at its address: see Listener.close
        self._spool = Spool(settings.spool_dir)
        self._workers = workers
        self._nudge = nudge
        self._turns = 0
        self._admission: Admission | None = None
        self._prepared: tuple[str, Admission | None] = "", None
        self._encryption: Encryption | None = None
        self._listener: Listener | None = None
        self._insight: Insight | None = None
        self._heartbeat: Heartbeat | None = None
        self._failed: dict[str, str] = {}  # what could not begin, and why, so that it is said once

    def prepare(self, settings: Config) -> str:
        """Reads the files that these settings name, for `configure` to take up. Returns what keeps
        the endpoint from serving with them; "" if nothing does."""
        # A closed endpoint may open at any address. An open one stays at its address until a
        # restart. Who may send there is taken up, if that is safe at its present address too.
        address = settings.listen if self._listener is None else self._listens_at
        admission, why = _admission(settings, address)
        if settings.listen != address:
            _, why = _admission(settings, settings.listen)
        self._prepared = address, admission
        return why

    def configure(self, settings: Config) -> None:
        """Takes up the settings, and what `prepare` has read for them just before."""
        self._settings = settings
        self._listens_at, new = self._prepared
        if new is None:
            return
        if self._encryption is not None and new.context is not None:
            self._encryption.renew(new.context)
        self._admission = new
        self._workers.tally.expect(new.senders.names)

    def outdated(self) -> list[str]:
        """The settings of the present configuration that need a restart to be in use."""
        found = [
            name for name, value in self._fixed.items() if getattr(self._settings, name) != value
        ]
        if self._listener is not None and self._admission is not None:
            is_encrypted = self._admission.context is not None
            if is_encrypted != (self._encryption is not None):
                found.append("listen_cert")
        return found

    def _fix(self, names: Iterable[str]) -> None:
        self._fixed.update({name: getattr(self._settings, name) for name in names})

    @property
    def unheard(self) -> str:
        """Why the endpoint does not listen where it is wanted; "" if it does, if it was not tried
        yet, or if it is closed."""
        what = self._listening
        return f"{what}: {self._failed[what]}" if what in self._failed else ""

    @property
    def unshown(self) -> str:
        """Why metrics are not shown where they are wanted; "" if they are."""
        shown = self._insight.problem if self._insight is not None else ""
        return self._failed.get("metrics", "") or shown

    @property
    def _listening(self) -> str:
        return f"cannot listen at {self._listens_at}"

    def turn(self) -> None:
        """Called in each turn of the main loop."""
        self._turns += 1

    def tick(self) -> None:
        """Called at the start, and once in a while: begins the services that are wanted and could
        not begin yet, and tends the others."""
        self._try("the heartbeat", self._beat)
        self._try(self._listening, self._listen)
        self._try("metrics", self._show)

    def _try(self, what: str, task: Callable[[], None]) -> None:
        # Whatever goes wrong here, delivery goes on: this is tried again at the next tick.
        try:
            task()
        except Exception as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            if self._failed.get(what) == why:
                return
            self._failed[what] = why
            expected = isinstance(error, OSError | MemoryError)
            with contextlib.suppress(MemoryError):
                log.error("%s: %s; trying again", what, why, exc_info=not expected)
        else:
            self._failed.pop(what, None)

    def _beat(self) -> None:
        if not self._settings.heartbeat:
            return
        if self._heartbeat is None:
            with importing:
                from pdagent.serve.heartbeat import Heartbeat
            self._heartbeat = Heartbeat(
                self._settings, self._agent_id, self._started_on, self._snapshot
            )
            self._fix(_HEARTBEAT)
        self._heartbeat.tend()

    def _snapshot(self) -> dict[str, int]:
        return {"count": self._workers.pending}

    def _listen(self) -> None:
        address = self._listens_at
        if not address:
            return
        if self._listener is not None:
            self._listener.tend()
            return
        admission = self._admission
        if admission is None:
            return  # closed: it would not be safe
        with importing:
            from pdagent.serve.endpoint import BOUNDS, Endpoint
            from pdagent.serve.listen import Listener

            if admission.context is not None:
                from pdagent.serve.encryption import Encryption

                self._encryption = Encryption(admission.context)

        app = Endpoint(
            lambda: self._settings,
            self._spool,
            lambda: self._workers.pending,
            admission.local,
            lambda: (self._admission or admission).senders,
            self._workers.tally,
            self._workers.passage,
            self._workers.origins,
        )
        turned_away = self._workers.tally.count_turned_away
        self._listener = Listener(address, app, BOUNDS, self._encryption, turned_away)
        self._fix(_LISTEN)
        log.info("Listening at %s", address)

    def _show(self) -> None:
        settings, workers = self._settings, self._workers
        if self._insight is None:
            if not (settings.metrics_listen or settings.metrics_file):
                return
            with importing:
                from pdagent.serve.insight import Insight
            self._insight = Insight(
                settings,
                workers.tally,
                workers.figures,
                workers.reach,
                workers.origins.numbers,
                self._answers,
            )
            self._fix(_METRICS)
        self._insight.tick()

    def stop(self) -> None:
        """Answers the requests that are being worked on, and takes no more."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._listener is not None:
            self._listener.close()
        if self._insight is not None:
            self._insight.close()

    def _answers(self) -> bool:
        """Whether the main loop still runs. Other threads call this."""
        turns, deadline = self._turns, time.monotonic() + ANSWER_SECONDS
        self._nudge()
        while self._turns == turns and time.monotonic() < deadline:
            pause(0.005)
        return self._turns != turns


def _admission(settings: Config, address: str) -> "tuple[Admission | None, str]":
    """Who may send to an address; None, and why, if nobody may. Without an address the reason
    is empty."""
    if not address:
        return None, ""
    with importing:
        from pdagent.serve.admission import Admission, NotSafe
    try:
        return Admission(settings, address), ""
    except NotSafe as error:
        return None, str(error)
