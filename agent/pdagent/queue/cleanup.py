"""Clean-up: what has been settled long ago leaves the disk; what is pending never does.

An event's age is the time since it was settled. The ctime of its inode says when that was: a rename
sets it, and nobody can forge it. But ctime is wall-clock time, and wall clocks are stepped. So ages
count only from the moment since when the clock is known to have run steadily. After a step in
either direction, seen against the monotonic clock or against the time of the last clean-up, all
ages begin anew. That costs disk space for a while. To trust the clock could remove what somebody
still needs.
"""

import contextlib
import heapq
import logging
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from pdagent.queue.backlog import remove
from pdagent.queue.budget import Disk, disk_of
from pdagent.queue.numbers import is_number
from pdagent.queue.state import State
from pdagent.shown import masked_name
from pdagent.spool import DELIVERED, IN_ERROR, JOBS, PENDING, TEMPORARY

log = logging.getLogger("pdagent.cleanup")

# A difference beyond this is a step of the clock. An hour of slewing makes less, and clean-up
# thresholds are days.
STEP_SECONDS = 300.0
# If the last clean-up was longer ago than this, the machine may have been off, or the clock may
# have been stepped. Nobody can tell which.
ABSENCE_SECONDS = 86_400.0
BATCH = 1000
# The file of a job that is not well is kept for this long, since even a rare job runs again sooner.
# Anyone may put files there, so only the newest JOBS_MOST of each user are kept.
JOB_SECONDS = 400 * 86_400.0
JOBS_MOST = 10_000
STUCK_SAID = 5  # how many of the entries that can't be removed, or looked at, the log names

TIME_MOST = 1e12  # seconds; no clock shows more

Entry = tuple[str, float, int]  # name, since when it is there, bytes of disk that it takes up


def _since(entry: Entry) -> float:
    return entry[1]


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


class Cleanup:
    """Cleans the spool at `root`. `wall` and `monotonic` give seconds."""

    def __init__(
        self,
        root: str,
        state: State,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        disk: Callable[[str], Disk] = disk_of,
    ) -> None:
        self._root = root
        self._state = state
        self._wall = wall
        self._monotonic = monotonic
        self._disk = disk
        self._seen: tuple[float, float] | None = None

    def sweep(self, threshold: float) -> None:
        """Removes what was settled, or left in tmp/, more than `threshold` seconds ago."""
        now, running = self._wall(), self._monotonic()
        try:
            steady_since = self._steady_since(now, running)
        except OSError as error:
            log.error("Cleanup: cannot read since when the clock is steady: %s", error.strerror)
            return

        def old(changed: float, threshold: float = threshold) -> bool:
            wall = self._wall()
            if abs((wall - now) - (self._monotonic() - running)) > STEP_SECONDS:
                return False  # the clock was stepped meanwhile, and the next sweep finds that out
            # A time before the clock ran steadily says only that the file was there by then. So
            # does one to come, unless it is of a moment ago and the clock was set back a little.
            since = changed if steady_since <= changed <= wall + STEP_SECONDS else steady_since
            return now - since > threshold

        for directory in (DELIVERED, IN_ERROR, TEMPORARY):
            # Each goes as it is found: the names of all that somebody has left in tmp/, or that was
            # set aside, could fill the memory.
            entries = self._entries(f"{self._root}/{directory}")
            removed = self._remove_all(directory, (n for n, changed, _ in entries if old(changed)))
            if removed:
                log.info("Cleanup: removed %d files from %s", removed, directory)
        # Reasons without an event. One is left over where a crash came after a reason was written
        # and before its event was moved, and the event was delivered later on; or where a crash
        # came between the removals of an event and of its reason.
        reasons = self._state.reasons
        places = [f"{self._root}/{directory}" for directory in (IN_ERROR, PENDING)]
        entries = self._entries(reasons) if os.path.isdir(reasons) else iter(())
        for name, changed, _ in entries:
            if old(changed) and not any(os.path.lexists(f"{place}/{name}") for place in places):
                _unlink(f"{reasons}/{name}")
        self._sweep_jobs(lambda changed: old(changed, JOB_SECONDS))

    def _sweep_jobs(self, old: Callable[[float], bool]) -> None:
        owners: Counter[int] = Counter()
        for path, changed, owner in self._jobs():
            if old(changed):
                _unlink(path)
            else:
                owners[owner] += 1
        # The second look needs memory for the files that stay, not for all that somebody has made.
        crowds: dict[int, list[tuple[float, str]]] = {
            owner: [] for owner, number in owners.items() if number > JOBS_MOST
        }
        for path, changed, owner in self._jobs() if crowds else ():
            newest = crowds.get(owner)
            if newest is None:
                continue
            if len(newest) < JOBS_MOST:
                heapq.heappush(newest, (changed, path))
            else:
                _unlink(heapq.heappushpop(newest, (changed, path))[1])
        for owner in crowds:
            log.warning("Cleanup: user %d had too many files in %s: the oldest went", owner, JOBS)

    def _jobs(self) -> Iterator[tuple[str, float, int]]:
        """What is in jobs/: path, ctime in seconds since the epoch, and owner. Directories are left
        out, since no job makes any."""
        place = f"{self._root}/{JOBS}"
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if not stat.S_ISDIR(status.st_mode):
                        yield entry.path, status.st_ctime, status.st_uid

    def disk_is_scarce(self) -> bool:
        """Whether delivered events had better make room."""
        try:
            return self._disk(self._root).scarce
        except OSError:  # the spool is gone; others say so
            return False

    def trim(self, most: int, most_bytes: int) -> None:
        """Removes delivered events, the oldest first, until `most` are left that take up no more
        than `most_bytes` of disk."""
        number = size = 0
        # They are counted first: a list of 10,000 of them takes two megabytes.
        for _, _, room in self._entries(f"{self._root}/{DELIVERED}"):
            number += 1
            size += room
        if number <= most and size <= most_bytes:
            return
        size, excess = 0, []
        newest_first = sorted(self._entries(f"{self._root}/{DELIVERED}"), key=_since, reverse=True)
        for number, (name, _, room) in enumerate(newest_first):
            size += room
            if number >= most or size > most_bytes:
                excess.append(name)
        if removed := self._remove_all(DELIVERED, excess):
            log.info("Cleanup: removed the %d oldest of too many delivered events", removed)

    def relieve(self) -> None:
        """While the disk is short, removes delivered events, the oldest first."""
        delivered = self._entries(f"{self._root}/{DELIVERED}")
        oldest = [name for name, _, _ in sorted(delivered, key=_since)]
        removed = 0
        for start in range(0, len(oldest), BATCH):
            if not self.disk_is_scarce():
                break
            removed += self._remove_all(DELIVERED, oldest[start : start + BATCH])
        if removed:
            log.warning(
                "Cleanup: the disk is short: removed the %d oldest delivered events", removed
            )

    def _steady_since(self, now: float, running: float) -> float:
        """Since when wall-clock times can be trusted. This is remembered across restarts."""
        kept = self._state.read("clock")
        since, seen = kept.get("steady_since"), kept.get("seen")
        if not (is_number(since, TIME_MOST) and is_number(seen, TIME_MOST)):
            since = now  # a first start: nobody knows what this clock did before
        elif self._seen is not None:
            last_wall, last_running = self._seen
            if abs((now - last_wall) - (running - last_running)) > STEP_SECONDS:
                log.warning("Cleanup: the clock was stepped; ages count from now on")
                since = now
        elif not -STEP_SECONDS <= now - seen <= ABSENCE_SECONDS:
            since = now
        self._seen = (now, running)
        self._state.write("clock", {"seen": now, "steady_since": since})
        return since

    def _entries(self, directory: str) -> Iterator[Entry]:
        unseen = 0
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    except OSError as error:  # the disk fails here, and others can go
                        unseen += 1
                        if unseen <= STUCK_SAID:
                            why = error.strerror
                            log.error(
                                "Cleanup: cannot look at %s: %s", masked_name(entry.name), why
                            )
                        continue
                    yield entry.name, status.st_ctime, status.st_blocks * 512
        except OSError as error:
            log.error("Cleanup: cannot look into %s: %s", directory, error.strerror)

    def _remove_all(self, directory: str, names: Iterable[str]) -> int:
        """Removes entries, and returns how many. The log names a few that it can't remove: anyone
        can leave thousands of directories in tmp/."""
        removed = stuck = 0
        for name in names:
            try:
                remove(f"{self._root}/{directory}/{name}")
            except OSError as error:
                stuck += 1
                if stuck <= STUCK_SAID:
                    why = error.strerror
                    log.error("Cleanup: cannot remove %s: %s", masked_name(name), why)
                continue
            removed += 1
            if directory == IN_ERROR:
                self._state.drop_reason(name)
        if stuck > STUCK_SAID:
            more = stuck - STUCK_SAID
            log.error("Cleanup: cannot remove %d more entries of %s", more, directory)
        return removed
