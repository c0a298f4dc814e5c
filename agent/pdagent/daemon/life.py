"""The daemon: `pdagentd`'s life from lock to exit.

The main thread is here. It waits for signals and for the next thing that is due, and its own work
never grows with the number of files, names and answers. `arrivals` has a thread that waits for
names, and all sending happens in the threads of `workers`. With nothing to do the daemon wakes once
per `send_interval_secs`, for a look at the spool and for systemd's watchdog together.
"""

import contextlib
import logging
import os
import select
import signal
import time
from collections.abc import Callable

from pdagent import __version__, exits, threads
from pdagent import log as logs
from pdagent.config import Config
from pdagent.daemon.arrivals import Arrivals
from pdagent.daemon.bulletin import Bulletin
from pdagent.daemon.loading import Loaded, load
from pdagent.daemon.notify import Notifier
from pdagent.daemon.outlook import Outlook
from pdagent.daemon.services import Services
from pdagent.daemon.shortage import ENDURE_SECONDS, is_shortage
from pdagent.daemon.signals import Signals
from pdagent.daemon.upkeep import Upkeep
from pdagent.daemon.workers import Workers
from pdagent.lines import Problem
from pdagent.queue.backlog import Backlog
from pdagent.queue.cleanup import Cleanup
from pdagent.queue.holds import Held
from pdagent.queue.layout import (
    CannotRun,
    Lock,
    lock_file,
    make_directories,
)
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import Counters, State

log = logging.getLogger("main")

STOP_SECONDS = 15.0


class Daemon:
    """A daemon for the configuration that was `loaded` from the file `path`. Construction takes the
    lock; `run` serves."""

    def __init__(self, path: str, loaded: Loaded, notifier: Notifier) -> None:
        self._path = path
        self._settings = settings = loaded.settings
        self._notifier = notifier
        self._root = root = settings.spool_dir
        make_directories(settings)
        # The lock's file names this process to 'pdagent reload', and a signal that nobody catches
        # would end it.
        self._signals = Signals()
        self._lock = Lock(root)
        self._state = state = State(settings.data_dir)
        # This comes before `Arrivals`, since others know that this daemon runs once the FIFO has a
        # reader.
        state.withdraw_holds()
        self._counters = Counters(state, time.time())
        self._settlement = Settlement(backlog := Backlog(root), state, self._counters)
        nudge = self._signals.nudge
        self._workers = workers = Workers(settings, backlog, self._settlement, nudge, self._tell)
        self._bulletin = Bulletin(
            path, settings, workers, notifier, nudge, loaded.versions, self._settlement
        )
        self._outlook = Outlook(settings, state, workers.tally, workers.origins, nudge)
        self._arrivals = Arrivals(
            settings, backlog, self._settlement, workers, self._asked, self._expected
        )
        cleanup = Cleanup(root, state, time.time, _running)
        self._upkeep = Upkeep(settings, cleanup, self._counters, lambda: workers.pending)
        self._agent_id = state.agent_id()
        started_on = self._counters.started_on
        self._services = Services(settings, workers, nudge, self._agent_id, started_on)
        self._closed = ""  # why the endpoint is closed
        self._next_tick = 0.0
        self._failed = False  # True after a turn of the main loop that failed
        self._stop_reason: int | None = None
        self._ready: Callable[[], None] = lambda: None

    def run(self, ready: Callable[[], None]) -> int:
        """Serves until a signal ends it. Calls `ready` once events are being sent, and again at
        each tick: what others know that by may have been removed."""
        log.info("*** pdagentd starting! pid=%d", os.getpid())
        log.info("Agent version: %s", __version__)
        log.info("Agent ID: %s", self._agent_id)
        self._admit()
        self._outlook.start()
        self._arrivals.start()
        self._workers.tally.begin()
        self._tend_services()
        ready()
        self._ready = ready
        self._notifier.ready()
        log.info("Ready: %d events pending in %s", self._workers.pending, self._root)
        self._serve()
        return self._stop()

    def _admit(self) -> None:
        # Pages go out without an endpoint. One that was safe for an earlier version, or whose
        # certificate is gone, must not stop them.
        if why := self._services.prepare(self._settings):
            log.error("%s: %s", self._path, why)
            log.error("so the local Events API stays closed; events are sent all the same")
        self._take_up(self._settings, why)

    def _take_up(self, settings: Config, closed: str) -> None:
        """Serves by these settings from now on. `closed` says why the endpoint is closed; "" if it
        is not."""
        self._settings, self._closed = settings, closed
        self._services.configure(settings)
        self._bulletin.configure(settings, self._services.outdated())
        self._tell_services()

    # --- the loop -------------------------------------------------------------------------------

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._signals.fd, select.POLLIN)
        while self._stop_reason is None:
            try:
                self._turn(poll)
            except (MemoryError, OSError) as error:
                if not is_shortage(error):
                    raise
                self._endure(error)

    def _turn(self, poll: select.poll) -> None:
        now = time.monotonic()
        self._services.turn()
        if now >= self._next_tick:
            self._next_tick = now + self._pace()
            self._tick()
        next_tick = self._next_tick
        next_sweep = self._upkeep.sweep_if_due(now)
        due = self._workers.tend(now)
        next_bulletin = self._bulletin.tend(now)
        next_lapse = self._outlook.tend(now)
        until = min(next_tick, next_sweep, next_bulletin, next_lapse)
        until = until if due is None else min(until, due)
        if poll.poll(max(0.0, until - time.monotonic()) * 1000 + 1):
            self._signalled(self._signals.take())

    def _endure(self, error: Exception) -> None:
        # The host is short of memory, or of descriptors. That may pass, and not every init system
        # starts a daemon again.
        if not self._failed:
            with contextlib.suppress(MemoryError):
                why = str(error) or "out of memory"
                log.error("%s; going on, and trying again", why)
        self._failed = True
        threads.pause(ENDURE_SECONDS)
        with contextlib.suppress(MemoryError):
            self._signalled(self._signals.take())

    def _pace(self) -> float:
        """Seconds between two ticks: one timer for all that is periodic."""
        interval = float(self._settings.send_interval_secs)
        watchdog = self._notifier.watchdog_seconds
        return interval if watchdog is None else min(interval, watchdog / 2)

    def _tick(self) -> None:
        self._keep_lock()
        self._ready()
        # Arrivals that are stuck, on a disk that hangs, would leave the daemon deaf.
        now = time.monotonic()
        if not self._failed and not self._arrivals.is_stuck(now):
            self._notifier.alive()  # otherwise systemd restarts the daemon, which may help
        self._arrivals.tick(now)
        self._outlook.tick()
        self._counters.save()
        self._tend_services()
        self._bulletin.tick(now)
        self._upkeep.tick()
        self._upkeep.give_back(self._bulletin.made)
        self._failed = False

    def _keep_lock(self) -> None:
        """Takes the lock anew if somebody removed what is locked. Raises CannotRun if another
        daemon has it by now: two would send everything twice, and in no order."""
        try:
            if self._lock.keep():
                log.error("the lock %s was removed: made anew", lock_file(self._root))
        except CannotRun as reason:
            if reason.code == exits.TRY_AGAIN:
                raise
            # such as without db/: the next tick tries again

    def _tend_services(self) -> None:
        self._services.tick()
        self._tell_services()

    def _tell_services(self) -> None:
        services = self._services
        self._bulletin.services(self._closed or services.unheard, services.unshown)

    def _asked(self) -> None:
        """Somebody asks how things stand. Another thread calls this."""
        self._bulletin.want()
        self._signals.nudge()

    def _expected(self) -> None:
        """Somebody expects something. Another thread calls this."""
        self._outlook.want()
        self._signals.nudge()

    def _tell(self, held: Held) -> None:
        self._state.tell_holds(held)
        self._bulletin.hold(held)

    # --- signals --------------------------------------------------------------------------------

    def _signalled(self, received: set[int]) -> None:
        if signal.SIGHUP in received:
            self._reload()
        ending = received - {signal.SIGHUP}
        if ending:
            self._stop_reason = min(ending)

    def _reload(self) -> None:
        began = time.monotonic()
        self._notifier.reloading(time.monotonic_ns())
        loaded = load(self._path)
        settings = loaded.settings
        problems = [*loaded.problems, *loaded.of_keys]
        # What closed the endpoint before keeps nothing else from being taken up, such as a key.
        closed = self._services.prepare(settings)
        if closed:
            problems.append(Problem(f"{self._path}: {closed}", closed != self._closed))
        for problem in problems:
            log.warning("%s", problem.text)
        bad = [problem for problem in problems if problem.fatal or problem in loaded.of_keys]
        if bad:
            log.error("the new configuration has errors; going on with the old one")
            self._bulletin.reloaded(began, loaded.versions, bad[0].text)
        else:
            for part in (self._workers, self._upkeep, self._outlook):
                part.configure(settings)
            self._take_up(settings, closed)
            if outdated := self._services.outdated():
                log.warning("a new %s needs a restart", ", ".join(outdated))
            self._bulletin.reloaded(began, loaded.versions)
            log.info("configuration reloaded from %s", self._path)
        self._notifier.ready()

    def _stop(self) -> int:
        log.info("Stopping due to signal #: %d", self._stop_reason)
        self._notifier.stopping()
        self._bulletin.withdraw()
        self._services.stop()
        if not self._workers.stop(STOP_SECONDS):
            log.warning("some events did not get an answer in time; they stay pending")
        self._counters.save()
        log.info("*** pdagentd exiting normally! pid=%d", os.getpid())
        return exits.DONE


def _running() -> float:
    """Seconds since the host was started, also those in which it was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def serve(
    path: str,
    loaded: Loaded,
    ready: Callable[[], None],
    foreground: bool,
) -> int:
    """Runs the daemon in this process; what is wrong with its configuration goes into the log.
    Raises CannotRun."""
    os.umask(0o027)
    logs.set_up(loaded.settings.log_dir, foreground)
    for problem in [*loaded.problems, *loaded.of_keys]:
        log.warning("%s", problem.text)
    try:
        return Daemon(path, loaded, Notifier(os.environ)).run(ready)
    except CannotRun as reason:
        log.error("%s", reason)
        raise
    except Exception as error:
        if is_shortage(error):
            log.error("cannot run: %s", error)
        else:
            log.exception("*** pdagentd exiting due to fatal errors! pid=%d", os.getpid())
        raise CannotRun(f"cannot run: {error}", exits.TRY_AGAIN) from error
