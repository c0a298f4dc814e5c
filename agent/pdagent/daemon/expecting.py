"""Expecting: the daemon takes over what users expect, and pages for what was not renewed in time.

Any user may put thousands of files into `expect/`, and let as many expectations lapse at once. So a
thread of its own does this, in rounds, with some files of each user in each round. The main thread
compares one number. Many files of one user delay that user only: a lapse waits until all files of
its owner have been read that were there when it was due, since one of them may renew it.

At the start the files that are there are taken before any event is sent: a renewal's resolve goes
before what was accepted later.
"""

import contextlib
import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator

from pdagent import threads
from pdagent.config import Config
from pdagent.daemon.denials import SECONDS as DENIED_SECONDS
from pdagent.daemon.denials import Denials
from pdagent.daemon.outbox import Outbox
from pdagent.daemon.shortage import ENDURE_SECONDS, is_shortage
from pdagent.queue.backlog import Backlog
from pdagent.queue.elapsed import Moment, present
from pdagent.queue.expectation import Expectation, owner_of
from pdagent.queue.expected import Expected, Taken
from pdagent.queue.layout import EXPECT, EXPECTED
from pdagent.queue.opening import Unreadable
from pdagent.queue.origins import Origins
from pdagent.queue.pending import Hostile, Incomplete
from pdagent.queue.state import Reason, State, iso
from pdagent.schedule.deadlines import Deadlines
from pdagent.serve.tally import Tally
from pdagent.shown import masked, masked_name, printable
from pdagent.spool import SpoolError

log = logging.getLogger("pdagent.expectations")

ROUND_MOST = 20  # of each user's files, and of each user's lapses, in one round
START_SECONDS = 5.0  # for what lies there at the start; the rest is done while events are sent
AGAIN_SECONDS = 10.0  # after something that may work later
SOON_SECONDS = 1.0  # how long a script that writes straight into expect/ has
PATIENCE_SECONDS = 300.0  # with a file that can't be read
STAMP_NS = 100_000_000  # a directory's stamp that is further than this from the clock is old
LOOK_PAUSES = 3  # the pause after a look that another one follows at once, in times it took
LOOK_PAUSE_MOST = 0.5

Nudge = Callable[[], None]


class Expecting:
    """Keeps the expectations of the spool at `settings.spool_dir`. `nudge` wakes the main loop."""

    def __init__(
        self, settings: Config, state: State, tally: Tally, origins: Origins, nudge: Nudge
    ) -> None:
        self._root = root = settings.spool_dir
        self._backlog = Backlog(root)
        self._state = state
        self._tally = tally
        self._nudge = nudge
        self._outbox = outbox = Outbox(settings, origins)
        self._expected = Expected(root, outbox.page, outbox.enqueue)
        self._deadlines = Deadlines()
        self._new: dict[int, deque[str]] = {}  # names in expect/ that were looked at, by user
        self._due: dict[int, deque[str]] = {}  # identities that are due, by user
        self._behind: set[int] = set()  # users who have more files than were looked at or read
        self._unread: dict[str, float] = {}  # files that can't be read, since when
        self._denials = Denials()
        self._look_at = 0.0  # in monotonic seconds: when files that come meanwhile are looked for
        self._seen_mtime = -1
        self._loaded = False
        self._wanted = True
        self._busy = False
        self._again = math.inf  # in monotonic seconds: something is to be tried again
        self._said: set[str] = set()  # what goes wrong, said once

    # --- from the main thread -------------------------------------------------------------------

    def start(self) -> None:
        """Takes over what is there, before any event is sent."""
        deadline = time.monotonic() + START_SECONDS
        try:
            self._look()
            while any(self._new.values()) and time.monotonic() < deadline:
                self._take_some()
            self._count()
            # What is due, or left, is the thread's.
            self._wanted = self._wanted or bool(self._due) or any(self._new.values())
        except (MemoryError, OSError) as error:
            if not is_shortage(error):
                raise
            self._wanted = True

    def configure(self, settings: Config) -> None:
        """Takes up a new configuration."""
        self._outbox.configure(settings)

    def want(self) -> None:
        """There may be something new. Any thread may call this."""
        self._wanted = True

    def tick(self) -> None:
        """Called once in a while: looks whether there is something new that no wake has told of."""
        with contextlib.suppress(OSError):
            if os.stat(f"{self._root}/{EXPECT}").st_mtime_ns != self._seen_mtime:
                self.want()

    def tend(self, now: float) -> float:
        """Lets the thread do what there is to do. Returns when to call again, in monotonic
        seconds."""
        if self._busy:
            return math.inf  # the thread nudges when it is done
        left = self._deadlines.next(present())
        due = min(self._again, math.inf if left is None else now + left)
        if not self._wanted and due > now:
            return due
        self._busy, self._again = True, math.inf
        if threads.start(self._run, "Expectations") is None:  # a later turn tries again
            self._busy = False
            self._again = now + AGAIN_SECONDS
            return self._again
        return math.inf

    # --- in a thread of its own -----------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._wanted = True
            while self._round():
                pass
            if self._again == math.inf:
                self._said.clear()
        except (MemoryError, OSError) as error:
            if not is_shortage(error):
                raise
            self._wanted = True
            threads.pause(ENDURE_SECONDS)
        finally:
            self._busy = False
            self._nudge()

    def _round(self) -> bool:
        """Some of each user's files, then some of each user's lapses. Returns whether there is
        more to do at once."""
        # While one user's thousands are taken, others' files and deadlines are looked at, too.
        if (self._wanted and not any(self._new.values())) or time.monotonic() > self._look_at:
            began = time.thread_time()
            self._look()
            took = time.thread_time() - began
            self._look_at = time.monotonic() + max(SOON_SECONDS, took * LOOK_PAUSES)
            if self._wanted:  # somebody has so many files that looks must not follow each other
                threads.pause(min(LOOK_PAUSE_MOST, took * LOOK_PAUSES))
        self._take_some()
        more = self._lapse_some()
        self._count()
        return more or self._wanted or any(self._new.values())

    def _count(self) -> None:
        self._tally.lapsed = self._expected.lapsed
        self._tally.waiting = len(self._expected) - self._expected.lapsed

    def _look(self) -> None:
        # This comes before the look. What comes during the look is seen, or asks for another one.
        self._wanted = False
        if not self._loaded:
            with self._watched(f"cannot look into {self._root}/{EXPECTED}"):
                self._load()
                self._loaded = True
        if not self._loaded:
            return  # a renewal may have something to resolve that is not known
        now = present()
        with self._watched(f"cannot look into {self._root}/{EXPECT}"):
            changed = os.stat(f"{self._root}/{EXPECT}").st_mtime_ns
            found = self._expected.look(anew=not any(self._new.values()))
            self._behind = found.more
            self._try_again(self._denials.begin(time.monotonic()))
            self._new = self._denials.others(found.names)
            there = {name for names in found.names.values() for name in names}
            self._unread = {n: since for n, since in self._unread.items() if n in there}
            # The kernel's stamps lag behind: the next file may get the very same one.
            is_old = abs(time.time_ns() - changed) > STAMP_NS
            self._seen_mtime = changed if is_old and not found.newer else -1
            self._wanted = self._wanted or bool(self._behind)
        # A renewal that was accepted in time was there when the look began.
        for identity in self._deadlines.take(now):
            self._due.setdefault(owner_of(identity) or 0, deque()).append(identity)

    def _take_some(self) -> None:
        for owner, names in self._new.items():
            for _ in range(min(ROUND_MOST, len(names))):
                self._take(owner, names.popleft())

    def _take(self, owner: int, name: str) -> None:
        now = present()
        try:
            taken = self._expected.take(name, now)
        except Incomplete as error:
            self._put_off(owner, name, SOON_SECONDS, SOON_SECONDS, str(error))
        except Unreadable as error:  # no lapse waits for it
            if self._denials.wait(owner, name, time.monotonic()):
                self._try_again(DENIED_SECONDS)
                self._say(f"files in {EXPECT} can't be read", error.problem)
            else:
                self._set_aside(name, str(error))
        except Hostile as error:
            self._set_aside(name, str(error))
        except SpoolError as error:
            # It renews what has lapsed already, or is one too many. No lapse waits for either.
            self._try_again(AGAIN_SECONDS)
            self._say("an expectation waits", str(error))
        except FileNotFoundError:
            pass
        except OSError as error:
            if is_shortage(error):
                self._new[owner].appendleft(name)
                raise
            why = f"it can't be read: {error.strerror}"
            self._put_off(owner, name, AGAIN_SECONDS, PATIENCE_SECONDS, why)
        else:
            if taken is not None:
                self._unread.pop(name, None)
                self._note(owner, *taken, now)

    def _note(
        self, owner: int, identity: str, found: Expectation, taken: Taken, now: Moment
    ) -> None:
        if identity in self._due.get(owner, ()):  # renewed in time after all
            self._due[owner].remove(identity)
        about = _about(owner, found)
        if taken is Taken.KEPT:
            self._deadlines.set(identity, found.since, found.term, now)
            log.debug("expected: %s", about)
            return
        self._deadlines.drop(identity)
        if taken is Taken.CANCELLED:
            log.info("no longer expected: %s", about)
        else:
            log.error("not watched, since there are too many, and paged: %s", about)

    def _put_off(self, owner: int, name: str, pause: float, patience: float, why: str) -> None:
        now = time.monotonic()
        if now - self._unread.setdefault(name, now) >= patience:
            self._set_aside(name, why)
            return
        self._behind.add(owner)
        self._try_again(pause)

    def _set_aside(self, name: str, why: str) -> None:
        self._unread.pop(name, None)
        log.warning("%s in %s is set aside: %s", masked_name(name), EXPECT, printable(why))
        there = self._backlog.name_in_error(name)
        self._state.keep_reason(there, Reason(iso(time.time()), None, why, 0), durable=False)
        with contextlib.suppress(OSError):  # gone, or tried again after a later look
            moved = self._backlog.settle_in_error(name, EXPECT, there)
            if moved != there:
                self._state.move_reason(there, moved)

    # --- lapses ---------------------------------------------------------------------------------

    def _lapse_some(self) -> bool:
        """Lets some of each user's that are due lapse. Returns whether there are more."""
        more = False
        for owner, identities in list(self._due.items()):
            if owner in self._behind or self._new.get(owner):
                continue  # what is left of this user's files may renew them
            for _ in range(min(ROUND_MOST, len(identities))):
                if not self._lapse(identities.popleft()):
                    break
            else:
                more = more or bool(identities)
            if not identities:
                del self._due[owner]
        if self._due:
            self._try_again(AGAIN_SECONDS)
        return more

    def _lapse(self, identity: str) -> bool:
        """Returns False where it has to be tried again."""
        now = present()
        try:
            found = self._expected.lapse(identity, now)
        except Unreadable as error:
            self._deadlines.set(identity, now, DENIED_SECONDS, now)
            self._try_again(DENIED_SECONDS)
            self._say(f"files in {EXPECTED} can't be read", error.problem)
        except Hostile as error:
            log.error("expectation %s is dropped: %s", identity, printable(str(error)))
            with contextlib.suppress(OSError):
                self._expected.forget(identity)
        except (SpoolError, OSError) as error:
            self._due[owner_of(identity) or 0].append(identity)
            if not isinstance(error, SpoolError) and is_shortage(error):
                raise
            self._say("a lapse can't be paged yet", str(error))
            return False
        else:
            if found is None:
                return True
            if self._expected.is_lapsed(identity):
                self._tally.count_lapse()
                log.warning("lapsed, and paged: %s", _about(owner_of(identity), found))
            else:
                self._deadlines.set(identity, found.since, found.term, now)
        return True

    # --- what goes wrong ------------------------------------------------------------------------

    def _load(self) -> None:
        now = present()
        for identity in self._expected.load():
            self._set_up(identity, now)

    def _set_up(self, identity: str, now: Moment) -> None:
        if self._expected.is_lapsed(identity):
            return
        try:
            found = self._expected.read(identity)
        except (Hostile, OSError):
            found = None
        if found is None:  # `_lapse` says why
            self._due.setdefault(owner_of(identity) or 0, deque()).append(identity)
        else:
            self._deadlines.set(identity, found.since, found.term, now)

    @contextlib.contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        """Errors of the disk within are said, and it is tried again later."""
        try:
            yield
        except OSError as error:
            if is_shortage(error):
                raise
            self._try_again(AGAIN_SECONDS)
            self._say(what, error.strerror or "")

    def _say(self, what: str, why: str) -> None:
        if what not in self._said:
            self._said.add(what)
            log.error("%s: %s; trying again", what, printable(why))

    def _try_again(self, seconds: float) -> None:
        self._again = min(self._again, time.monotonic() + seconds)


def _about(owner: int | None, found: Expectation) -> str:
    return f"user {owner}, key {masked(found.key)}, {printable(found.dedup_key)}"
