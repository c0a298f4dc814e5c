"""History: what the log says about one event. The log has a line for each try, bounded and rotated,
so nothing else has to be written per event to know it later.

Only this module knows what such a line looks like: the daemon names the event in it by `of_event`,
and `read` takes the line apart.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pdagent import log
from pdagent.shown import masked_name, printable, redacted

LOGGER = "pdagent.delivery"
_EVENT = re.compile(r"(delivered|refused|throttled|failed|in error:) (\S+)(.*)")


@dataclass(frozen=True, slots=True)
class Told:
    """One line: when it was written (seconds since the epoch), what happened, the masked name of
    the event that it happened to, and the rest of the line."""

    at: float
    what: str
    name: str
    rest: str


def about(action: str, dedup_key: str | None) -> str:
    """What a line says of the event itself."""
    return printable(f"({action}, incident_key = {dedup_key})")


def of_event(name: str, action: str, dedup_key: str | None, key: str) -> str:
    """How a line names an event. The integration key is masked, even where the sender wrote it into
    the dedup key."""
    return redacted(f"{masked_name(name)} {about(action, dedup_key)}", key)


def read(line: str) -> Told | None:
    """What a line of the log tells of an event; None where it is about something else."""
    found = log.read(line)
    if found is None or found[1] != LOGGER:
        return None
    match = _EVENT.fullmatch(found[2])
    if match is None:
        return None
    return Told(found[0], match[1].removesuffix(":"), match[2].removesuffix(":"), match[3])


def from_log(log_dir: str, name: str, about: str) -> Iterator[tuple[float, str]]:
    """What happened to the event `name`, oldest first, as far back as the log goes: pairs of a time
    (seconds since the epoch) and a text. Each line says the same `about` the event, so the texts
    leave that out. Raises PermissionError."""
    wanted = masked_name(name)
    for path in log.files(log_dir):
        for line in _lines(path, wanted):
            told = read(line)
            if told is not None and told.name == wanted:
                rest = told.rest.removeprefix(f" {about}").lstrip(": ")
                yield told.at, f"{told.what}: {rest}"


def _lines(path: str, wanted: str) -> list[str]:
    try:
        with open(path, "rb", opener=_careful) as file:
            data = file.read()
    except PermissionError:
        raise
    except OSError:
        return []
    needle = wanted.encode()
    return [line.decode("utf-8", "replace") for line in data.split(b"\n") if needle in line]


def _careful(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
