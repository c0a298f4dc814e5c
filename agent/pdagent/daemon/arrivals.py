"""Arrivals: how the daemon learns of events, by names on the wake FIFO and by looks at pdq/.

Anyone may write to the FIFO and add files, so this is work that strangers can cause. A thread of
its own does it, and the main thread goes on whatever there is. One thread does all of it: the order
in which names come is the order in which they are handed on.

What strangers can cause is bounded:

- A new name costs one lstat. A known name is passed over.
- Of each user OWNER_MOST events are kept in mind, and fewer if several users have events pending.
  The rest stay in pdq/ until there is room; the oldest come first (`Window`).
- If the FIFO was full, the whole directory has to be looked at. Looks take a quarter of the time at
  most.
"""

import contextlib
import fcntl
import logging
import os
import select
import time
from collections.abc import Callable

from pdagent import threads
from pdagent.config import Config
from pdagent.daemon.shortage import ENDURE_SECONDS, is_shortage
from pdagent.daemon.window import Window
from pdagent.daemon.workers import Workers
from pdagent.queue.backlog import Backlog, Seen
from pdagent.queue.layout import (
    WAKE_LINE,
    CannotRun,
    directories,
    is_in_place,
    make_directories,
    open_wake,
)
from pdagent.queue.names import key_of
from pdagent.queue.settlement import Settlement
from pdagent.shown import masked_name
from pdagent.spool import PENDING, wake_fifo

log = logging.getLogger("main")

WAKE_BYTES = 65_536
READS_MOST = 16  # as many packets as the FIFO holds
# After each turn. What comes meanwhile is taken in the next turn, all at once: a turn for each name
# would take the processor from the workers a thousand times a second.
GATHER_SECONDS = 0.002
LOOK_PAUSES = 3  # the pause after a look because of a full FIFO, in times the look took
LOOK_PAUSE_MOST = 0.5
DIRECTORIES_SAID = 5
ADOPTION_SECONDS = 10.0
# A look at a million files on a slow disk takes less than this. If it takes longer, it is stuck.
STUCK_SECONDS = 600.0
QUIET_SECONDS = 60.0  # between two wake-ups of the thread while it has nothing to do


class Arrivals:
    """Hands what arrives in the spool to `workers`. From construction on the FIFO has a reader,
    which is how others know that a daemon runs. `wanted` is called when somebody asks how things
    stand, `expect` when somebody expects something."""

    def __init__(
        self,
        settings: Config,
        backlog: Backlog,
        settlement: Settlement,
        workers: Workers,
        wanted: Callable[[], None],
        expect: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._backlog = backlog
        self._settlement = settlement
        self._workers = workers
        self._wanted = wanted
        self._expect = expect
        self._window = Window(workers)
        self._directories: set[str] = set()
        self._fifo = open_wake(settings.spool_dir)
        # The kernel says whether it has room. How much lies in it does not tell: a packet of one
        # byte takes the room of 4096.
        self._room = select.poll()
        self._room.register(self._fifo, select.POLLOUT)
        self._asked, self._ask = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread: threads.Thread | None = None
        self._busy_since: float | None = None
        self._ask_by = 0.0
        self._missed = False  # True while pdq/ may hold names that are not known

    # --- from the main thread -------------------------------------------------------------------

    def start(self) -> None:
        """Takes the events that are there, and from now on those that come."""
        self._missed = not self._look()
        self.ask()

    def tick(self, now: float) -> None:
        """Called once in a while: asks for a look, unless the thread would find nothing to do.
        Waking the thread is most of what an idle daemon does."""
        if now >= self._ask_by or not self._is_quiet():
            self.ask()
            self._ask_by = now + QUIET_SECONDS

    def _is_quiet(self) -> bool:
        return (
            self._thread is not None
            and self._thread.is_alive()
            and not self._missed
            and not self._window.has_left_out
            and self._settlement.is_tidy
            and self._backlog.is_quiet()
        )

    def ask(self) -> None:
        """Asks for a look at pdq/, since there may be files of which no wake told."""
        if self._thread is None or not self._thread.is_alive():
            self._missed |= self._thread is not None  # the thread ended by a bug of ours
            self._thread = threads.start(self._serve, "Arrivals")  # None: there is a next time
        with contextlib.suppress(BlockingIOError):  # the pipe is full: a look was asked for already
            os.write(self._ask, b"\0")

    def is_stuck(self, now: float) -> bool:
        """Whether the thread's work takes so long that only a restart may help."""
        since = self._busy_since
        return since is not None and now - since > STUCK_SECONDS

    # --- in the thread of arrivals --------------------------------------------------------------

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._fifo, select.POLLIN)
        poll.register(self._asked, select.POLLIN)
        while True:
            self._busy_since = None
            ready = {fd for fd, _ in poll.poll()}
            self._busy_since = time.monotonic()
            try:
                if self._missed:
                    self._missed = not self._look()
                if self._fifo in ready:
                    self._woken()
                if self._asked in ready:
                    self._asked_for()
                threads.pause(GATHER_SECONDS)
            except (MemoryError, OSError) as error:
                # This may pass. Names from the FIFO may be lost, so the next turn looks at the
                # whole directory.
                if not is_shortage(error):
                    raise
                self._missed = True
                threads.pause(ENDURE_SECONDS)

    def _asked_for(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._asked, 4096)
        self._restore()
        self._restore_fifo()
        self._settlement.tidy()
        self._backlog.rest(ADOPTION_SECONDS)
        self._workers.say_rest()
        try:
            if not self._backlog.changed() and not self._window.has_left_out:
                return
        except OSError as error:
            self._say_blind(error)
        if (found := self._found()) is None:
            return
        # A look tells the order by the names alone, which is wrong if the clock was set back. The
        # FIFO tells it rightly: whoever wrote to it did so before the next event was linked.
        #   pd-send: links trigger, and writes its name to the FIFO; the clock is set back
        #   pd-send: links resolve, whose name is the earlier one now
        #   daemon: has found both, and must not send resolve before trigger
        if not self._missed:
            self._woken()
        self._workers.add([entry for entry in found if not self._workers.knows(entry[0])])

    def _look(self) -> bool:
        """Looks at the whole directory. Returns whether it could."""
        found = self._found()
        self._workers.add(found or [])
        return found is not None

    def _found(self) -> list[tuple[str, int]] | None:
        """The names in the directory that are new, and their owners, in queue order. None if it
        can't be looked at."""
        try:
            strange: set[str] = set()
            self._window.begin()
            for seen in self._backlog.look(self._workers.knows):
                if seen.is_directory:
                    strange.add(seen.name)
                else:
                    self._window.see(seen.name, seen.owner)
            found = self._window.admitted()
            self._leave(strange)
        except OSError as error:
            self._say_blind(error)
            return None
        return found

    def _say_blind(self, error: OSError) -> None:
        log.error("cannot look into %s/%s: %s", self._backlog.root, PENDING, error.strerror)

    def _restore(self) -> None:
        """Makes anew what somebody removes of the queue: without tmp/ no event comes in, without
        suc/ none is settled. `rm -r` takes one directory after the other, so each is looked for
        each time: pdq/ may be here again when tmp/ goes. Where the spool is root's, as the packages
        have it, only `pdagent check --repair` can do this."""
        gone = [path for path, _ in directories(self._settings) if not os.path.isdir(path)]
        if gone:
            with contextlib.suppress(CannotRun):
                make_directories(self._settings)
        for path in gone:
            if os.path.isdir(path):
                log.error("the directory %s was removed: made anew", path)

    def _restore_fifo(self) -> None:
        """Makes the FIFO anew if somebody removed it: no sender could wake the daemon."""
        path = wake_fifo(self._settings.spool_dir)
        if is_in_place(self._fifo, path):
            return
        try:
            fifo = open_wake(self._settings.spool_dir)
        except CannotRun:
            return  # such as without db/: a later look tries again
        # The number stays the same, for all who poll it. Names in the old FIFO are lost.
        os.dup2(fifo, self._fifo, inheritable=False)
        os.close(fifo)
        self._missed = True
        log.error("the FIFO %s was removed: made anew", path)

    def _leave(self, strange: set[str]) -> None:
        # A directory is never moved: in err/ its owner could go on writing into it.
        new = sorted(strange - self._directories)
        self._directories = strange
        for name in new[:DIRECTORIES_SAID]:
            log.warning(
                "%s in %s is a directory, and no event: it is left", masked_name(name), PENDING
            )
        if len(new) > DIRECTORIES_SAID:
            log.warning("%d more directories in %s are left", len(new) - DIRECTORIES_SAID, PENDING)

    def _woken(self) -> None:
        """Takes the names that senders wrote to the FIFO."""
        data, misses = self._read()
        if misses:
            self._look_for_missing()
        # Anyone may write anything. A line that is not the name of a pending event is dropped.
        arrived: dict[str, int] = {}
        wanted = False
        expects = misses
        for line in data.split(b"\n")[:-1]:
            name = os.fsdecode(line)
            if name == WAKE_LINE:
                expects = True
                continue
            if self._workers.knows(name):
                self._workers.finished(name)
                continue
            # Only this thread adds names. So a name that is not known, but whose file is there, is
            # new: the event can't have been settled in between.
            seen = self._backlog.seen(name) if name and "/" not in name else None
            if seen is None:
                # An empty line is somebody who asks how things stand (see queue.condition). A name
                # that is not there may be the first sign of a queue that the service can no longer
                # look into.
                wanted = True
            elif self._missed:
                # The disk failed in that look. Names that it would have found go first, so this one
                # is left to the next turn, which looks again:
                # daemon: cannot look into pdq/, where trigger lies
                # pd-send: links resolve, and writes its name to the FIFO
                # daemon: must not send resolve before trigger
                continue
            elif name not in arrived and self._is_welcome(seen):
                arrived[name] = seen.owner
        self._workers.add(list(arrived.items()))
        if wanted:
            self._wanted()
        if expects:
            self._expect()

    def _look_for_missing(self) -> None:
        """Finds the files of names that the FIFO did not take, or not whole."""
        with contextlib.suppress(OSError):  # anyone who writes to it may have changed its size
            fcntl.fcntl(self._fifo, fcntl.F_SETPIPE_SZ, WAKE_BYTES)
        # A sender that found no room had linked its file before, so this look sees the file, and
        # sees it before the names that came later.
        began = time.thread_time()
        self._missed = not self._look()
        took = time.thread_time() - began
        threads.pause(min(LOOK_PAUSE_MOST, took * LOOK_PAUSES))

    def _read(self) -> tuple[bytes, bool]:
        """What lies in the FIFO, and whether names may be missing from it. Anyone may write packets
        into it (O_DIRECT of pipe(2)), and one read returns one packet. Somebody may write as fast
        as this reads, so the number of reads is bounded."""
        data, misses = b"", False
        with contextlib.suppress(BlockingIOError):  # it is empty
            for _ in range(READS_MOST):
                misses = misses or not self._room.poll(0)
                part = os.read(self._fifo, WAKE_BYTES)
                # Somebody may have made the FIFO larger. Then a name may be cut in two here.
                misses = misses or len(part) == WAKE_BYTES
                data += part
                if len(data) >= WAKE_BYTES:
                    break
        return data, misses

    def _is_welcome(self, seen: Seen) -> bool:
        return (
            not seen.is_directory
            and key_of(seen.name) is not None
            and self._window.admits(seen.name, seen.owner)
        )
