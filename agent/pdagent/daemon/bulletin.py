"""The bulletin: the daemon tells how it fares, in a file for `pdagent check` and to systemd. Where
something goes wrong or is right again, it tells so in the log, too.

A thread of its own looks and writes, so that nothing slow, such as a file on a server that is away,
holds up the main loop. There is one such thread at a time. Anyone may ask for a bulletin, so one is
made every SECONDS at most.
"""

import contextlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterable

from pdagent import threads
from pdagent.config import Config
from pdagent.daemon.needs import unmet
from pdagent.daemon.notify import Notifier
from pdagent.queue.condition import TEXT_CHARS, Condition, Trouble, path_of
from pdagent.queue.holds import Held, Scope
from pdagent.queue.names import stamp
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import write_whole
from pdagent.shown import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.daemon.workers import Workers

log = logging.getLogger("main")

SECONDS = 0.5
QUIET_SECONDS = 60.0  # between two bulletins while nothing is new and nobody asks
FILE_MODE = 0o644  # every user may run `pdagent check`
FULL_TOLD = 10  # senders
_LOGGED = ("endpoint", "metrics", "rejected")  # kinds that others have told of in the log


class Bulletin:
    """Tells how `workers` fare. `nudge` wakes the main loop. `read`: the versions of the files of
    the configuration."""

    def __init__(
        self,
        path: str,
        settings: Config,
        workers: "Workers",
        notifier: Notifier,
        nudge: Callable[[], None],
        read: tuple[str, ...],
        settlement: Settlement,
    ) -> None:
        self._path = path
        self._settings = settings
        self._workers = workers
        self._notifier = notifier
        self._nudge = nudge
        self._file = path_of(settings)
        self._held = Held()
        self._reload: tuple[float | None, str] = None, ""  # when, and why it was refused
        self._read = read
        self._settlement = settlement
        self._outdated: tuple[str, ...] = ()
        self._closed = self._unshown = ""
        self._troubles: dict[tuple[str, str, str], float] = {}  # since when, on the wall clock
        self._wanted = True
        self.made = 0
        self._next = 0.0
        self._due = 0.0
        self._told: tuple[int, float | None] | None = None  # the `_progress` that was last told
        self._busy = False
        self._ended = False
        self._status = ""
        self._failed = False

    # --- from the main thread -------------------------------------------------------------------

    def configure(self, settings: Config, outdated: Iterable[str]) -> None:
        """A configuration was taken up, but for the settings that are `outdated` and need a
        restart."""
        self._settings, self._outdated = settings, tuple(outdated)

    def services(self, closed: str, unshown: str) -> None:
        """Why the endpoint is closed, and why metrics are not shown; "" if that is not so."""
        if (closed, unshown) != (self._closed, self._unshown):
            self._closed, self._unshown = closed, unshown
            self.want()

    def reloaded(self, began: float, read: tuple[str, ...], refused: str = "") -> None:
        """The configuration was read again, from `began` on, in monotonic seconds: files of these
        versions. `refused` says why it was not taken up; "" if it was."""
        self._reload = began, refused
        self._read = read
        self.want()

    def hold(self, held: Held) -> None:
        """What is held has changed."""
        self._held = held
        self.want()

    def want(self) -> None:
        """Somebody asks, or there is something new."""
        self._wanted = True

    def tick(self, now: float) -> None:
        """Called once in a while: wants a bulletin if there is something new, or if a trouble may
        be over. It does not want one each time, since a bulletin takes 2 MB of memory that an idle
        daemon does not need."""
        if self._troubles or self._told != self._progress() or now >= self._due:
            self.want()

    def tend(self, now: float) -> float:
        """Makes a bulletin if one is wanted. Returns when to call again, in monotonic seconds."""
        if not self._wanted or self._busy:
            return math.inf  # the thread wakes the main loop when it is done
        if now < self._next:
            return self._next
        self._wanted, self._next, self._due = False, now + SECONDS, now + QUIET_SECONDS
        self._busy = True
        if threads.start(self._make, "Bulletin") is None:  # no thread: a later turn tries again
            self._busy, self._wanted = False, True
            return self._next
        self.made += 1
        return math.inf

    def withdraw(self) -> None:
        """A daemon that ends tells nothing more."""
        self._ended = True
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._file)

    # --- in a thread of its own -----------------------------------------------------------------

    def _make(self) -> None:
        try:
            condition = self._look()
            self._write(condition)
            status = condition.summary(time.time())
            if status != self._status:
                self._notifier.status(status)
                self._status = status
        finally:
            self._busy = False
            if self._wanted:
                self._nudge()

    def _look(self) -> Condition:
        now, wall, held = time.monotonic(), time.time(), self._held
        needs = list(unmet(self._path, self._settings, os.environ))
        directory, why = self._settlement.obstacle
        if directory and all(kind != "queue" for kind, _, _ in needs):
            needs.append(("queue", f"{self._settings.spool_dir}/{directory}", why))
        reloaded, refused = self._reload
        if self._closed:
            needs.append(("endpoint", self._path, self._closed))
        if self._unshown:
            needs.append(("metrics", self._path, self._unshown))
        if refused:
            needs.append(("rejected", self._path, refused))
        self._note([(kind, path, _cut(why)) for kind, path, why in needs], wall)
        destination = next((hold for hold in held.holds if hold.scope is Scope.DESTINATION), None)
        holds: dict[str, int] = {}
        for hold in held.holds:
            holds[hold.cause] = holds.get(hold.cause, 0) + 1
        self._told = pending, delivered = self._progress()
        oldest = self._workers.oldest
        most = self._settings.listen_pending_per_sender
        full = [(_cut(who), n) for who, n in self._workers.origins.numbers().items() if n >= most]
        return Condition(
            pid=os.getpid(),
            told=now,
            pending=pending,
            oldest=None if oldest is None else stamp(oldest) / 1e6,
            delivered=delivered,
            unreachable="" if destination is None else _cut(destination.why),
            since=None if destination is None else wall - (now - destination.since),
            next_try=None if destination is None else wall + (destination.until - now),
            holds=holds,
            troubles=tuple(Trouble(*need, since) for need, since in self._troubles.items()),
            reloaded=reloaded,
            read=self._read,
            outdated=self._outdated,
            full=dict(full[:FULL_TOLD]),
            lost={_cut(url): wall - (now - since) for url, since in held.lost.items()},
        )

    def _progress(self) -> tuple[int, float | None]:
        return self._workers.pending, self._workers.tally.delivered_at

    def _note(self, needs: list[tuple[str, str, str]], wall: float) -> None:
        before = self._troubles
        self._troubles = {need: before.get(need, wall) for need in needs}
        for need in needs:
            if need not in before and need[0] not in _LOGGED:
                log.error("%s. 'pdagent check' says what to do.", Trouble(*need, wall))
        for need in before:
            if need not in self._troubles and need[0] not in _LOGGED:
                log.warning("no longer so: %s", Trouble(*need, wall))

    def _write(self, condition: Condition) -> None:
        try:
            with contextlib.suppress(OSError):
                os.makedirs(os.path.dirname(self._file), exist_ok=True)
            write_whole(self._file, condition.dumps(), FILE_MODE, durable=False)
            self._failed = False
            if self._ended:  # the daemon ended while this was written
                self._remove()
        except OSError as error:
            if not self._failed:  # said once
                log.warning("cannot write %s: %s", self._file, error.strerror)
            self._failed = True
            self._remove()  # an old text must not stand for the new one


def _cut(text: str) -> str:
    return printable(text)[:TEXT_CHARS]
