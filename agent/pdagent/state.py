"""What the daemon remembers beside the spool: `agent_id.txt`, and in `db/` the counters, why events
are in error, and the clock that clean-up goes by.

Each is written whole or not at all. A file that is empty or damaged (a crash of an old agent, a
full disk) is set aside under another name and said once; it never stops the daemon.
"""

import contextlib
import json
import logging
import os
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from pdagent.log import masked_name

log = logging.getLogger("pdagent.state")


def write_whole(path: str, text: str, mode: int = 0o640) -> None:
    """Replaces the file: after a crash it holds the old text or the new one. Raises OSError."""
    temporary = f"{path}.tmp"
    fd = os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(fd, mode)  # whatever the umask is
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # crash here: the old text stays, and a .tmp that the next write takes over
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _set_aside(path: str, why: str) -> None:
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


class State:
    """The files below `data_dir`. Methods that write return normally when the disk is full: events
    matter more than the memory of them, and the log says what was lost."""

    def __init__(self, data_dir: str) -> None:
        self._db = f"{data_dir}/db"
        self._reasons = f"{self._db}/reasons"
        self._agent_id = f"{data_dir}/agent_id.txt"

    def agent_id(self) -> str:
        """This host's id, made at the first call."""
        try:
            with open(self._agent_id, encoding="ascii") as file:
                return str(uuid.UUID(file.readline().strip()))
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            _set_aside(self._agent_id, str(error) or "empty")
        made = str(uuid.uuid4())
        self._write(self._agent_id, made + "\n", 0o644)  # every pd-send may quote it
        return made

    def read(self, name: str) -> dict[str, object]:
        """The JSON object `name` in db/, {} if there is none."""
        path = f"{self._db}/{name}"
        try:
            with open(path, encoding="utf-8") as file:
                value = json.load(file)
            if not isinstance(value, dict):
                raise ValueError("not an object")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            _set_aside(path, str(error))
            return {}
        return value

    def write(self, name: str, value: dict[str, object]) -> None:
        self._write(f"{self._db}/{name}", json.dumps(value, indent=4, sort_keys=True) + "\n")

    def keep_reason(self, event: str, reason: Reason) -> None:
        """Why the event of that file name is in error."""
        with contextlib.suppress(OSError):  # most often it is there; else the write will say why
            os.mkdir(self._reasons, 0o750)  # reasons can quote events, which are not everybody's
        text = {
            "at": reason.at,
            "attempts": reason.attempts,
            "reason": reason.reason,
            "status": reason.status,
        }
        path = self._reason_file(event)
        self._write(path, json.dumps(text) + "\n", said=f"{self._reasons}/{masked_name(event)}")

    def reason(self, event: str) -> Reason | None:
        try:
            with open(self._reason_file(event), encoding="utf-8") as file:
                value = json.load(file)
            return Reason(value["at"], value["status"], value["reason"], value["attempts"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def move_reason(self, event: str, new: str) -> None:
        """The event's file got another name."""
        with contextlib.suppress(OSError):
            os.replace(self._reason_file(event), self._reason_file(new))

    def drop_reason(self, event: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._reason_file(event))

    def _reason_file(self, event: str) -> str:
        name = os.fsencode(event)
        if len(name) > 200:  # a vandal's: the longest leave no room for a suffix
            from hashlib import sha256

            event = sha256(name).hexdigest()
        return f"{self._reasons}/{event}"

    def _write(self, path: str, text: str, mode: int = 0o640, said: str = "") -> None:
        try:
            write_whole(path, text, mode)
        except OSError as error:
            log.error("cannot write %s: %s", said or path, error.strerror)


class Counters:
    """How many events were delivered, and refused, since the agent first ran. Kept as the old agent
    kept them."""

    def __init__(self, state: State, wall: float) -> None:
        self._state = state
        kept = state.read("aggregates")
        self.delivered = _whole(kept.get("successful_events_count"))
        self.refused = _whole(kept.get("failed_events_count"))
        started = kept.get("started_on")
        self.started_on = started if isinstance(started, str) else iso(wall)
        self._saved = None if not kept else self._as_dict()

    def save(self) -> None:
        """Writes the counters if they have changed since."""
        if self._as_dict() != self._saved:
            self._saved = self._as_dict()
            self._state.write("aggregates", self._saved)

    def _as_dict(self) -> dict[str, object]:
        return {
            "failed_events_count": self.refused,
            "started_on": self.started_on,
            "successful_events_count": self.delivered,
        }


def iso(wall: float) -> str:
    """Seconds since the epoch as 2026-11-23T02:52:36Z."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
