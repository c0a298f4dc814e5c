"""The inside of the service: a process that has the service's user and groups, its mounts and its
network looks at what the service must read and reach.

Root may be able to read a file that the service can't, because of the file's mode or of the
service's sandbox. Only root can start such a process. Other users look with their own eyes.
"""

import contextlib
import grp
import json
import os
import pwd
import select
import signal
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from pdagent.check.finding import Finding, Level
from pdagent.check.host import Host
from pdagent.check.service import pid_of
from pdagent.config import Config
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, TEMPORARY

USER = "pdagent"
_NAMESPACES = ("net", "mnt")
_MOST_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Service:
    """Who the service is. `pid`: its process, None if it does not run."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    pid: int | None = None


def service(settings: Config, host: Host) -> Service | None:
    """Who the service is: the running daemon's user; if none runs, the user pdagent; if the queue
    is not pdagent's, the queue's owner. None: there is no such user."""
    pid = pid_of(settings, host)
    if pid is not None:
        found = _of_process(host.path(f"/proc/{pid}/status"), pid)
        if found is not None and found.uid != 0:
            return found
    try:
        user = pwd.getpwnam(USER)
        if _owners(settings) <= {0, user.pw_uid}:
            gid = _group(user.pw_gid)
            return Service(user.pw_uid, gid, tuple(os.getgrouplist(USER, gid)))
    except KeyError:
        pass
    owner = max(_owners(settings), default=0)
    return Service(owner, _group_of(settings, owner)) if owner else None


def _of_process(path: str, pid: int) -> Service | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            lines = dict(line.split(":", 1) for line in file if ":" in line)
        uid, gid = (int(lines[name].split()[1]) for name in ("Uid", "Gid"))
        return Service(uid, gid, tuple(int(each) for each in lines["Groups"].split()), pid)
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _group(primary: int) -> int:
    try:
        return grp.getgrnam(USER).gr_gid
    except KeyError:
        return primary


def _places(settings: Config) -> list[os.stat_result]:
    found = []
    for path in (
        f"{settings.data_dir}/db",
        *(f"{settings.spool_dir}/{name}" for name in (TEMPORARY, PENDING, DELIVERED, IN_ERROR)),
        settings.log_dir,
    ):
        try:
            found.append(os.lstat(path))
        except OSError:
            continue
    return [each for each in found if stat.S_ISDIR(each.st_mode)]


def _owners(settings: Config) -> set[int]:
    return {each.st_uid for each in _places(settings)}


def _group_of(settings: Config, owner: int) -> int:
    return next(each.st_gid for each in _places(settings) if each.st_uid == owner)


def become(service: Service) -> None:
    """Gives this process what the service has: its mounts, network, groups and user. It must be
    root's, and have one thread."""
    setns = getattr(os, "setns", None)  # Python 3.12
    opened = []
    if service.pid is not None and setns is not None:
        for name in _NAMESPACES:
            theirs = f"/proc/{service.pid}/ns/{name}"
            try:
                if not os.path.samefile(theirs, f"/proc/self/ns/{name}"):
                    opened.append(os.open(theirs, os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                continue  # the daemon has ended, or root in this container lacks the right
    for fd in opened:
        with contextlib.suppress(OSError):
            setns(fd, 0)  # type: ignore[misc]
    # From here on root must not import or open anything: the service may have changed the mounts.
    os.setgroups(service.groups)
    os.setresgid(service.gid, service.gid, service.gid)
    os.setresuid(service.uid, service.uid, service.uid)


class Inside:
    """Runs `look` in a process that becomes the service. The process starts at once, so no thread
    may have been started before."""

    def __init__(self, service: Service, look: Callable[[], Sequence[Finding]]) -> None:
        self._fd, sender = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()
        if self._pid:
            os.close(sender)
            return
        try:
            os.close(self._fd)
            become(service)
            _send(sender, json.dumps([_plain(each) for each in look()]).encode())
        finally:
            os._exit(0)

    def findings(self, deadline: float) -> list[Finding] | None:
        """What was found; None if the process has not answered by `deadline`, in monotonic
        seconds."""
        data = b""
        while select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            part = os.read(self._fd, 65_536)
            data += part
            if not part or len(data) > _MOST_BYTES:
                break
        os.close(self._fd)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        try:
            return [Finding(Level(each.pop("level")), **each) for each in json.loads(data)]
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def _plain(finding: Finding) -> dict[str, str]:
    return {**asdict(finding), "level": finding.level.value}


def _send(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
