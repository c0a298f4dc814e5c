"""The agent's directories: there, its own, and open to whom they should be. And the room there is
on their disk."""

import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator

from pdagent.check.finding import Finding, failed, ok, warning
from pdagent.config import Config
from pdagent.queue.budget import Disk
from pdagent.queue.cleanup import disk_of
from pdagent.queue.layout import DROP_MODE, PRIVATE_MODE
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, TEMPORARY

DIRECTORIES = "directories"
DISK = "disk"
ROOM_BYTES = 1_048_576  # less holds no burst of events
ROOM_FILES = 100
_USER = "pdagent"
_REINSTALL = "Install the package again, or start pdagentd: it makes what is missing."


def directories(settings: Config) -> Iterator[Finding]:
    """Existence, owner and modes."""
    root = settings.spool_dir
    good = True
    for finding in _wrong(settings.data_dir, root, settings.log_dir):
        good = False
        yield finding
    if good:
        yield ok(DIRECTORIES, f"{settings.data_dir}, {settings.log_dir}")


def _wrong(data_dir: str, root: str, log_dir: str) -> Iterator[Finding]:
    try:
        owner = os.stat(f"{data_dir}/db").st_uid
    except FileNotFoundError:
        yield failed(DIRECTORIES, f"{data_dir}/db does not exist", _REINSTALL)
        return
    group = _group_of(owner)
    if group is None:
        remedy = f"groupadd --system {_USER}, then install the package again"
        yield failed(DIRECTORIES, f"there is no group {_USER}", remedy)
        return
    wanted: list[tuple[str, int | None]] = [
        (log_dir, None),
        *((f"{root}/{name}", DROP_MODE) for name in (TEMPORARY, PENDING)),
        *((f"{root}/{name}", PRIVATE_MODE) for name in (DELIVERED, IN_ERROR)),
    ]
    for path, mode in wanted:
        try:
            found = os.stat(path)  # of what a link leads to: directories move to larger disks
        except FileNotFoundError:
            yield failed(DIRECTORIES, f"{path} does not exist", _REINSTALL)
            continue
        if not stat.S_ISDIR(found.st_mode):
            yield failed(DIRECTORIES, f"{path} is not a directory", f"Remove it. {_REINSTALL}")
        elif found.st_uid != owner:
            text = f"{path} is not the agent's: its owner is {found.st_uid}"
            yield failed(DIRECTORIES, text, f"chown pdagent:pdagent {path}")
        elif mode is not None and found.st_gid != group:
            text = (
                f"{path} is of another group ({found.st_gid}): pdagentd can't read what users add"
            )
            remedy = f"chown {_USER}:{_USER} {path}; chmod {mode:o} {path}"
            yield failed(DIRECTORIES, text, remedy)
        elif mode is not None:
            yield from _wrong_mode(path, stat.S_IMODE(found.st_mode), mode)


def _group_of(owner: int) -> int | None:
    """The group that an agent of this user runs in, None if the package's has none."""
    try:
        user = pwd.getpwuid(owner)
    except KeyError:
        return os.getegid()
    try:
        return grp.getgrnam(user.pw_name).gr_gid
    except KeyError:
        return None if user.pw_name == _USER else user.pw_gid


def _wrong_mode(path: str, found: int, wanted: int) -> Iterator[Finding]:
    if found == wanted:
        return
    remedy = f"chmod {wanted:o} {path}"
    says = f"{path} has mode {found:o}"
    if wanted == PRIVATE_MODE:
        if found & 0o027:
            yield warning(DIRECTORIES, f"{says}: others can look at events", remedy)
        return
    if found & 0o033 != 0o033:
        yield failed(DIRECTORIES, f"{says}: not every user can send", remedy)
    elif found & 0o044:
        yield warning(DIRECTORIES, f"{says}: others can see whose events are there", remedy)
    elif not found & stat.S_ISVTX:
        yield warning(DIRECTORIES, f"{says}: users can remove each other's events", remedy)
    elif not found & stat.S_ISGID:
        yield failed(DIRECTORIES, f"{says}: pdagentd can't read what users add", remedy)


def disk(settings: Config, look: Callable[[str], Disk] = disk_of) -> Iterator[Finding]:
    """Bytes and inodes that are left for events."""
    path = settings.spool_dir
    try:
        found = look(path)
    except FileNotFoundError:
        return  # `directories` says so
    text = f"{_size(found.free)} free of {_size(found.total)}"
    if found.total_files:
        text += f", {found.free_files:,} inodes of {found.total_files:,}"
    remedy = f"Free some space where {path} is: without, each pd-send delivers by itself."
    if found.free < ROOM_BYTES or (found.total_files and found.free_files < ROOM_FILES):
        yield failed(DISK, f"full: {text}", remedy)
    elif found.scarce:
        yield warning(DISK, f"nearly full: {text}", remedy)
    else:
        yield ok(DISK, text)


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
