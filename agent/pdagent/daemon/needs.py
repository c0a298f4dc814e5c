"""Needs: what the service must be able to read and write. The service itself tries.

Only a process that has the service's user and sandbox knows what they allow. A file on a server
that is away may keep a look waiting for ever, so a thread of its own looks (see `bulletin`).
"""

import os
from collections.abc import Iterator, Mapping

from pdagent import config, log
from pdagent.config import Config
from pdagent.queue.budget import disk_of, is_full
from pdagent.queue.layout import EXPECT, EXPECTED, frozen
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, TEMPORARY

KINDS = (
    *("configuration", "keys", "authorities", "queue", "log", "disk"),
    *("endpoint", "metrics", "rejected"),
)
_OPEN = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

Need = tuple[str, str, str]  # kind, path, what is wrong with it


def unmet(path: str, settings: Config, environment: Mapping[str, str]) -> Iterator[Need]:
    """What can't be had now. `path` is the configuration's."""
    try:
        files = [("configuration", file) for file in config.files(path)]
    except OSError as error:
        yield "configuration", f"{path}.d", error.strerror or str(error)
        files = [("configuration", path)]
    files.append(("keys", settings.keys_file))
    files.append(("authorities", settings.ca_file or environment.get("SSL_CERT_FILE", "")))
    for kind, file in files:
        if file and (why := _unopenable(file, os.O_RDONLY)):
            yield kind, file, why
    yield from _queue(settings)
    log_file = log.files(settings.log_dir)[-1]
    is_there = os.path.lexists(log_file)
    if why := _unopenable(log_file, os.O_WRONLY) if is_there else _unusable(settings.log_dir):
        yield "log", log_file, why
    yield from _full(settings.spool_dir, settings.log_dir)


def _queue(settings: Config) -> Iterator[Need]:
    root = settings.spool_dir
    if why := frozen(root):
        yield "queue", root, why
        return
    places = [f"{root}/{each}" for each in (TEMPORARY, PENDING, DELIVERED, IN_ERROR)]
    for place in (*places, f"{root}/{EXPECT}", f"{root}/{EXPECTED}", f"{settings.data_dir}/db"):
        if why := _unusable(place):
            yield "queue", place, why
    reasons = f"{settings.data_dir}/db/reasons"  # the first event in error brings it
    if os.path.lexists(reasons) and (why := _unusable(reasons)):
        yield "queue", reasons, why


def _full(*places: str) -> Iterator[Need]:
    """The disks that are full, each once."""
    devices: set[int] = set()
    for place in places:
        try:
            device = os.stat(place).st_dev
            if device not in devices and is_full(disk_of(place)):
                devices.add(device)
                yield "disk", place, "no space left"
        except OSError:
            pass  # `unmet` has told that the place can't be used


def _unopenable(path: str, how: int) -> str:
    try:
        os.close(os.open(path, how | _OPEN))
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def _unusable(directory: str) -> str:
    if os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return ""
    return "Permission denied" if os.path.isdir(directory) else "No such directory"
