"""What the daemon remembers beside the spool, in `db/`: the agent's id, the counters, why events
are in error, what is held, and the clock that clean-up goes by.

Each is written whole or not at all. A file that is empty or damaged (a crash of an old agent, a
full disk) is set aside under another name and said once; it never stops the daemon. Where the host
has no descriptor or memory left to read a file, the file is not to blame, and stays.
"""

import contextlib
import json
import logging
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from pdagent.queue import holds
from pdagent.queue.opening import SHORTAGES
from pdagent.queue.regular import read_regular
from pdagent.shown import masked_name
from pdagent.threads import importing

log = logging.getLogger("pdagent.state")

_USUAL_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KINDS_OF_KEY = ("routing", "service", "integration")
REASON_CHARS = 1000
# What is read of these files at most; the daemon writes less.
REASON_BYTES = 65_536
ID_BYTES = 4096
OBJECT_BYTES = 65_536
COUNT_MOST = 10**15  # no agent has had more events
MANY = 100  # names, from which on listing the directory is cheaper than looking for each


def write_whole(path: str, text: str, mode: int = 0o640, durable: bool = True) -> None:
    """Replaces the file. After a crash it holds the old text or the new one; if it is not
    `durable`, after a crash of the host perhaps neither. A file that root writes is given to the
    owner of its directory, the agent. Raises OSError."""
    temporary = f"{path}.tmp"
    fd = os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(fd, mode)  # whatever the umask is
        _hand_over(fd, os.path.dirname(path))
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        # crash here: the old text stays, and a .tmp that the next write takes over
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _hand_over(file: int | str, directory: str) -> None:
    """Gives what root has made to the directory's owner."""
    if os.geteuid() == 0:
        owner = os.stat(directory)
        with contextlib.suppress(PermissionError):  # root in a container may lack the right to
            os.chown(file, owner.st_uid, owner.st_gid)


def _set_aside(path: str, error: Exception) -> None:
    if isinstance(error, OSError) and error.errno in SHORTAGES:
        raise error
    why = str(error) or "empty"
    with contextlib.suppress(OSError):
        os.replace(path, path + ".damaged")
    log.warning("%s is damaged (%s): kept as %s.damaged, starting anew", path, why, path)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an event is in error. `status` is None where no answer came."""

    at: str
    status: int | None
    reason: str
    attempts: int

    @property
    def is_about_key(self) -> bool:
        """Whether PagerDuty refused the integration key, whatever the event is."""
        words = self.reason.lower().replace("_", " ")
        return self.status is not None and any(f"{kind} key" in words for kind in _KINDS_OF_KEY)


class State:
    """The files below `data_dir`. Methods that write return normally when the disk is full, since
    events matter more than the memory of them. What they return says whether they wrote; the log
    says why not."""

    def __init__(self, data_dir: str) -> None:
        self._db = f"{data_dir}/db"
        self.reasons = f"{self._db}/reasons"  # a file for each event in error, of the same name
        self._holds = holds.path(data_dir)
        self._agent_id = f"{self._db}/agent_id.txt"
        self._old_agent_id = f"{data_dir}/agent_id.txt"

    def agent_id(self) -> str:
        """This host's id, made at the first call. Up to 1.7.4 it lay one directory higher. Raises
        OSError where the host is short of something."""
        for path in (self._agent_id, self._old_agent_id):
            try:
                text = read_regular(path, ID_BYTES).decode("ascii")
                return _uuid(text.partition("\n")[0].strip())
            except FileNotFoundError:
                pass
            except (OSError, ValueError) as error:
                _set_aside(path, error)
        with importing:
            import uuid  # an idle daemon does without

        made = str(uuid.uuid4())
        self._write(self._agent_id, made + "\n", 0o644)  # every pd-send may quote it
        return made

    def read(self, name: str) -> dict[str, object]:
        """The JSON object `name` in db/, {} if there is none. Raises OSError where the host is
        short of something."""
        path = f"{self._db}/{name}"
        try:
            value = json.loads(read_regular(path, OBJECT_BYTES).decode("utf-8"))
            if not isinstance(value, dict):
                raise ValueError("not an object")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            _set_aside(path, error)
            return {}
        return value

    def write(self, name: str, value: dict[str, object]) -> bool:
        """Writes a JSON object as `name` in db/."""
        text = json.dumps(value, indent=4, sort_keys=True) + "\n"
        return self._write(f"{self._db}/{name}", text)

    def keep_reason(self, event: str, reason: Reason, durable: bool = True) -> bool:
        """Writes why the event of that file name is in error. For a file that was never accepted it
        need not be `durable`."""
        try:
            self.write_reason(event, reason, durable)
        except OSError as error:
            said = f"{self.reasons}/{masked_name(event)}"
            log.error("cannot write %s: %s", said, error.strerror)
            return False
        return True

    def write_reason(self, event: str, reason: Reason, durable: bool = True) -> None:
        """As `keep_reason`. Raises OSError."""
        # Most often the directory is there. If it can't be made, the write below says why.
        with contextlib.suppress(OSError):
            os.mkdir(self.reasons, 0o750)  # reasons can quote events, which not everybody may read
            _hand_over(self.reasons, self._db)
        text = {
            "at": reason.at,
            "attempts": reason.attempts,
            "reason": reason.reason[:REASON_CHARS],
            "status": reason.status,
        }
        write_whole(self._reason_file(event), json.dumps(text) + "\n", durable=durable)

    def reason(self, event: str) -> Reason | None:
        """Why the event of that file name is in error; None if no reason is kept, or if this user
        may not read it."""
        try:
            # Root reads here too: see `regular`.
            value = json.loads(read_regular(self._reason_file(event), REASON_BYTES).decode("utf-8"))
            return _reason(value["at"], value["status"], value["reason"], value["attempts"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def move_reason(self, event: str, new: str) -> None:
        """The event's file got another name."""
        with contextlib.suppress(OSError):
            os.replace(self._reason_file(event), self._reason_file(new))

    def drop_reason(self, event: str) -> None:
        """The event of that file name has no reason any more."""
        with contextlib.suppress(OSError):
            os.unlink(self._reason_file(event))

    def with_reason(self, events: list[str]) -> set[str]:
        """Those of the events that a reason is kept for."""
        if len(events) < MANY:
            return {event for event in events if os.path.lexists(self._reason_file(event))}
        try:
            kept = set(os.listdir(self.reasons))
        except OSError:
            return set()
        return {event for event in events if os.path.basename(self._reason_file(event)) in kept}

    def tell_holds(self, held: holds.Held) -> None:
        """Writes what is held, for people. If that fails, the old text is removed, so that nobody
        takes it for the new one."""
        try:
            write_whole(self._holds, held.dumps(), durable=False)
        except OSError as error:
            log.debug("cannot write %s: %s", self._holds, error.strerror)
            self.withdraw_holds()

    def withdraw_holds(self) -> None:
        """Removes what was told of holds. What an earlier daemon told is not true of this one."""
        with contextlib.suppress(OSError):
            os.unlink(self._holds)

    def _reason_file(self, event: str) -> str:
        name = os.fsencode(event)
        if len(name) > 200:  # with ".tmp" behind it, a longer name may be too long for a file
            with importing:
                from hashlib import sha256

            event = sha256(name).hexdigest()
        return f"{self.reasons}/{event}"

    def _write(self, path: str, text: str, mode: int = 0o640) -> bool:
        try:
            write_whole(path, text, mode)
        except OSError as error:
            log.error("cannot write %s: %s", path, error.strerror)
            return False
        return True


class Counters:
    """How many events were delivered, and how many were refused, since the agent first ran. The
    file is the old agent's."""

    def __init__(self, state: State, wall: float) -> None:
        self._state = state
        kept = state.read("aggregates")
        self.delivered = _whole(kept.get("successful_events_count"))
        self.refused = _whole(kept.get("failed_events_count"))
        started = kept.get("started_on")
        self.started_on = started if isinstance(started, str) else iso(wall)
        self._saved = None if not kept else self._as_dict()

    def save(self) -> None:
        """Writes the counters if they have changed since they were last written."""
        now = self._as_dict()
        if now != self._saved and self._state.write("aggregates", now):
            self._saved = now

    def _as_dict(self) -> dict[str, object]:
        return {
            "failed_events_count": self.refused,
            "started_on": self.started_on,
            "successful_events_count": self.delivered,
        }


def _uuid(text: str) -> str:
    """The id as it is usually written. Raises ValueError."""
    if _USUAL_ID.fullmatch(text):
        return text
    with importing:
        import uuid

    return str(uuid.UUID(text))


def iso(wall: float) -> str:
    """Seconds since the epoch as 2026-11-23T02:52:36Z."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(text: str) -> float:
    """What `iso` was made of. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()


def _reason(at: object, status: object, reason: object, attempts: object) -> Reason:
    """What a file of a reason says. Raises ValueError."""
    if not isinstance(at, str) or not isinstance(reason, str) or not isinstance(attempts, int):
        raise ValueError("a field is of another type")
    if not isinstance(status, int | None):
        raise ValueError("the status is no number")
    return Reason(at, status, reason, attempts)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 <= value < COUNT_MOST else 0
