"""The daemon: `pdagentd`'s life from lock to exit.

One thread, here, waits: for names on the wake FIFO, for signals, for the next thing that is due.
All sending happens in `workers`. With nothing to do it wakes once per `send_interval_secs`, for the
safety-net scan and systemd's watchdog together.
"""

import contextlib
import fcntl
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence

from pdagent import __version__, config, exits
from pdagent import log as logs
from pdagent.config import Config
from pdagent.daemon.notify import Notifier
from pdagent.daemon.workers import Workers
from pdagent.queue.backlog import Backlog, key_of
from pdagent.queue.budget import many_pending
from pdagent.queue.cleanup import Cleanup
from pdagent.queue.layout import CannotRun, make_directories, open_wake, take_lock
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import Counters, State
from pdagent.spool import PENDING, Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.serve.insight import Insight
    from pdagent.serve.listen import Listener

log = logging.getLogger("main")

STOP_SECONDS = 15.0
WAKE_BYTES = 65_536
ANSWER_SECONDS = 5.0
WORK_SECONDS = 0.01  # of CPU time between two looks: more is work
# what is taken up by a restart only
_FIXED = (
    *("listen", "heartbeat", "heartbeat_url", "data_dir", "log_dir", "run_dir"),
    *("metrics_listen", "metrics_remote", "metrics_file"),
)
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Daemon:
    """A daemon for the configuration in the file `path`. Construction takes the lock; `run`
    serves."""

    def __init__(self, path: str, settings: Config, notifier: Notifier) -> None:
        self._path = path
        self._config = settings
        self._notifier = notifier
        self._root = settings.spool_dir
        make_directories(settings)
        self._lock = take_lock(self._root)
        self._state = State(settings.data_dir)
        # before the FIFO has a reader, which is how others know that we run
        self._state.withdraw_holds()
        self._wake_fd = open_wake(self._root)
        self._signals: set[int] = set()
        self._stop_reason: int | None = None
        self._cleaning: threading.Thread | None = None
        self._listener: Listener | None = None
        self._listens_at = settings.listen  # until the end; see Listener.close
        self._deaf = ""  # why it does not, said once
        self._insight: Insight | None = None
        self._turns = 0
        self._worked = 0.0  # seconds of CPU time, at the last look
        self._has_worked = False  # before it

    def run(self, ready: Callable[[], None]) -> int:
        """Serves until a signal ends it. Calls `ready` once events are being sent."""
        log.info("*** pdagentd starting! pid=%d", os.getpid())
        log.info("Agent version: %s", __version__)
        state = self._state
        agent_id = state.agent_id()
        log.info("Agent ID: %s", agent_id)
        counters = Counters(state, time.time())
        self._backlog = Backlog(self._root)
        self._settlement = Settlement(self._backlog, state, counters)
        nudged_fd = self._catch_signals()
        self._workers = Workers(
            self._config, self._backlog, self._settlement, self._nudge, state.tell_holds
        )
        self._cleanup = Cleanup(self._root, state, time.time, _running)
        self._counters = counters
        self._trimmed = counters.delivered
        self._crowded = False
        self._start_heartbeat(agent_id)
        self._check_listen()
        self._listen()
        self._scan(always=True)
        self._workers.tally.begin()
        self._show_insight()
        ready()
        self._notifier.ready()
        log.info("Ready: %d events pending in %s", self._workers.pending, self._root)
        self._serve(nudged_fd)
        return self._stop()

    # --- the loop -------------------------------------------------------------------------------

    def _serve(self, nudged_fd: int) -> None:
        poll = select.poll()
        poll.register(self._wake_fd, select.POLLIN)
        poll.register(nudged_fd, select.POLLIN)
        next_cleanup = next_tick = time.monotonic()
        while self._stop_reason is None:
            now = time.monotonic()
            self._turns += 1
            if now >= next_tick:
                next_tick = now + self._pace()
                self._tick()
            if now >= next_cleanup:
                next_cleanup = now + self._config.cleanup_interval_secs
                self._clean(self._sweep)
            due = self._workers.tend(now)
            until = min(next_tick, next_cleanup, next_tick if due is None else due)
            for fd, _ in poll.poll(max(0.0, until - time.monotonic()) * 1000 + 1):
                if fd == self._wake_fd:
                    self._woken()
                else:
                    self._signalled(nudged_fd)

    def _pace(self) -> float:
        """Seconds between two ticks: one timer for all that is periodic."""
        interval = float(self._config.send_interval_secs)
        watchdog = self._notifier.watchdog_seconds
        return interval if watchdog is None else min(interval, watchdog / 2)

    def _tick(self) -> None:
        self._notifier.alive()
        self._scan()
        self._settlement.tidy()
        self._counters.save()
        self._listen()
        self._keep_within_budget()
        if self._insight is not None:
            self._insight.tick()
        self._give_back()

    def _give_back(self) -> None:
        """Lets go of memory that working took and waiting does not, once that has begun."""
        # not at each look: what looking needs would have to be fetched again each time
        worked = time.process_time() - self._worked > WORK_SECONDS
        if self._has_worked and not worked:
            with contextlib.suppress(
                ImportError
            ):  # it is the packaged program's Python that has it
                from _pages import release  # type: ignore[import-not-found]

                release()
        self._has_worked = worked
        self._worked = time.process_time()

    def _keep_within_budget(self) -> None:
        # counting what is there costs a look at each file: a tenth more than the most will do
        fresh = self._counters.delivered - self._trimmed
        if self._cleanup.disk_is_scarce():
            self._clean(self._cleanup.relieve)
        elif fresh > self._config.max_delivered_events // 10 and self._clean(self._trim):
            self._trimmed += fresh
        crowd = many_pending(self._workers.pending, self._config.pending_warning)
        if crowd and not self._crowded:
            log.warning("%s. They are kept, and sent as soon as they can be.", crowd)
        elif self._crowded and not crowd:
            log.warning("%d events pending: no longer many", self._workers.pending)
        self._crowded = bool(crowd)

    def _sweep(self) -> None:
        self._cleanup.sweep(self._config.cleanup_threshold_secs)
        self._trim()

    def _trim(self) -> None:
        self._cleanup.trim(self._config.max_delivered_events, self._config.max_delivered_bytes)

    def _clean(self, task: Callable[[], None]) -> bool:
        # A clean-up of a million files must hold up neither new events nor the watchdog.
        if self._cleaning is not None and self._cleaning.is_alive():
            return False
        self._cleaning = threading.Thread(target=task, name="Cleanup", daemon=True)
        self._cleaning.start()
        return True

    def _scan(self, always: bool = False) -> None:
        try:
            if self._backlog.changed() or always:
                events, others = self._backlog.scan()
                self._workers.add(events)
                self._set_aside(others)
        except OSError as error:
            log.error("cannot look into %s/%s: %s", self._root, PENDING, error.strerror)
            with contextlib.suppress(CannotRun):
                make_directories(self._config)

    def _set_aside(self, names: list[str]) -> None:
        for name in names:
            if name not in self._settlement:
                log.warning("in error: %s: Badly named event", logs.masked_name(name))
                self._workers.tally.count_refused("unreadable")
                self._settlement.in_error(name, "its name is not an event's")

    def _woken(self) -> None:
        try:
            data = os.read(self._wake_fd, WAKE_BYTES)
        except BlockingIOError:
            return
        # Anyone may write anything here: what is not the name of a pending event is dropped.
        names = [os.fsdecode(line) for line in data.split(b"\n")[:-1] if line and b"/" not in line]
        names = [n for n in names if key_of(n) is not None and self._backlog.has(n)]
        if len(data) >= self._wake_room:
            # The FIFO may have been full: a sender that found no room has linked its file before
            # that, so this scan sees it, and sees it before the names that came after.
            self._scan(always=True)
        self._workers.add(names)

    @property
    def _wake_room(self) -> int:
        # A write that finds no page of its own free fails, so a full FIFO may hold less than its
        # size.
        return min(WAKE_BYTES, fcntl.fcntl(self._wake_fd, fcntl.F_GETPIPE_SZ)) * 3 // 4

    # --- signals --------------------------------------------------------------------------------

    def _catch_signals(self) -> int:
        """A descriptor that is readable after a signal, and after a nudge by another thread."""
        receiver, sender = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._nudge_fd = sender
        signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda received, _: self._signals.add(received))
        return receiver

    def _nudge(self) -> None:
        # Full: the main thread is about to look. Any other error costs the time until it looks by
        # itself; a worker that died of it would cost the event that it has just claimed.
        with contextlib.suppress(OSError):
            os.write(self._nudge_fd, b"\0")

    def _signalled(self, nudged_fd: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(nudged_fd, 4096)
        received, self._signals = self._signals, set()
        if signal.SIGHUP in received:
            self._reload()
        ending = received - {signal.SIGHUP}
        if ending:
            self._stop_reason = min(ending)

    def _reload(self) -> None:
        self._notifier.reloading(time.monotonic_ns())
        settings, problems = config.load(self._path)
        key_problems = config.load_keys(settings)
        problems += key_problems
        for problem in problems:
            log.warning("%s", problem.text)
        if key_problems or any(problem.fatal for problem in problems):
            log.error("the new configuration has errors; going on with the old one")
        else:
            moved = [
                name for name in _FIXED if getattr(settings, name) != getattr(self._config, name)
            ]
            if moved:
                log.warning("a new %s needs a restart", ", ".join(moved))
            self._config = settings
            self._workers.configure(settings)
            log.info("configuration reloaded from %s", self._path)
        self._notifier.ready()

    def _stop(self) -> int:
        log.info("Stopping due to signal #: %d", self._stop_reason)
        self._notifier.stopping()
        if self._listener is not None:
            self._listener.close()
        if self._insight is not None:
            self._insight.close()
        if not self._workers.stop(STOP_SECONDS):
            log.warning("some events did not get an answer in time; they stay pending")
        self._counters.save()
        log.info("*** pdagentd exiting normally! pid=%d", os.getpid())
        return exits.DONE

    def _check_listen(self) -> None:
        """Raises CannotRun for an address that would let the whole network in."""
        address = self._listens_at
        if not address:
            return
        from pdagent.serve.listen import is_local

        text = "lets other hosts in: set listen_token"
        try:
            if is_local(address) or self._config.listen_token:
                return
        except ValueError as error:
            text = str(error)
        raise CannotRun(f"{self._path}: listen = {address}: {text}", exits.BAD_CONFIG)

    def _listen(self) -> None:
        """Serves the Events API of our own, if it is wanted and as soon as it can be."""
        address = self._listens_at
        if not address or self._listener is not None:
            return
        from pdagent.serve.endpoint import BOUNDS, Endpoint
        from pdagent.serve.listen import Listener, is_local

        def pending() -> int:
            return self._workers.pending

        app = Endpoint(lambda: self._config, Spool(self._root), pending, is_local(address))
        try:
            self._listener = Listener(address, app, BOUNDS)
        except OSError as error:
            if str(error) != self._deaf:
                log.error("cannot listen at %s: %s; trying again", address, error)
            self._deaf = str(error)
            return
        log.info("Listening at %s", address)

    def _start_heartbeat(self, agent_id: str) -> None:
        if not self._config.heartbeat:
            return
        from pdagent.serve.heartbeat import Heartbeat

        def snapshot() -> dict[str, int]:
            return {"count": self._workers.pending}

        Heartbeat(self._config, agent_id, self._counters.started_on, snapshot).start()

    def _show_insight(self) -> None:
        if self._config.metrics_listen or self._config.metrics_file:
            from pdagent.serve.insight import Insight

            workers = self._workers
            self._insight = Insight(self._config, workers.tally, workers.standing, self._answers)

    def _answers(self) -> bool:
        """Whether the main loop comes round; from other threads."""
        turns, deadline = self._turns, time.monotonic() + ANSWER_SECONDS
        self._nudge()
        while self._turns == turns and time.monotonic() < deadline:
            time.sleep(0.005)
        return self._turns != turns


def _running() -> float:
    """Seconds that went by, those in which the machine was suspended included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def serve(
    path: str,
    settings: Config,
    problems: Sequence[config.Problem],
    ready: Callable[[], None],
    foreground: bool,
) -> int:
    """Runs the daemon in this process; `problems` of its configuration go into the log. Raises
    CannotRun."""
    os.umask(0o027)
    logs.set_up(settings.log_dir, foreground)
    for problem in problems:
        log.warning("%s", problem.text)
    try:
        return Daemon(path, settings, Notifier(os.environ)).run(ready)
    except CannotRun as reason:
        log.error("%s", reason)
        raise
    except Exception as error:
        log.exception("*** pdagentd exiting due to fatal errors! pid=%d", os.getpid())
        raise CannotRun(f"cannot run: {error}", exits.TRY_AGAIN) from error
