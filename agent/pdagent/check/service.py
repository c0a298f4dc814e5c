"""The service: whether the daemon runs and answers, whether it starts with the host, and what its
environment says about proxies.

Anyone may write to the FIFO by which senders wake the daemon, so any user can find out. It can't be
opened for writing while nobody reads it. An empty line in it does no harm, and the daemon's main
loop reads it soon.
"""

import array
import contextlib
import errno
import fcntl
import os
import termios
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass

from pdagent.check.finding import Finding, days, failed, ok, unknown, warning
from pdagent.check.host import ANSWER_SECONDS, Host
from pdagent.config import Config
from pdagent.queue import condition
from pdagent.queue.condition import Condition
from pdagent.queue.layout import lock_file
from pdagent.queue.regular import read_regular
from pdagent.spool import open_fifo, wake_fifo
from pdagent.wire.environment import FILE_BYTES, FILES, VARIABLES, oddities, parse

SUBJECT = "daemon"
BOOT = "boot"
_REMEDIES = {
    "disabled": "systemctl enable pdagent",
    "masked": "systemctl unmask pdagent && systemctl enable --now pdagent",
}


def daemon(settings: Config, host: Host) -> Iterator[Finding]:
    """Whether somebody serves the spool."""
    path = wake_fifo(settings.spool_dir)
    try:
        fd = open_fifo(path)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EISDIR):
            text = f"{path} is not a FIFO, so no pd-send can wake the daemon"
            remove = f"rm {path}" if error.errno == errno.EINVAL else f"mv {path} {path}.damaged"
            yield failed(SUBJECT, text, f"{remove} && {host.service('restart')}")
            return
        if error.errno in (errno.ENXIO, errno.ENOENT, errno.ELOOP):
            yield _nobody_reads(settings, host, path)
            return
        raise
    try:
        if not _answers(fd, host):
            text = f"pdagentd runs, but has not answered for {ANSWER_SECONDS:.0f} s"
            yield failed(
                SUBJECT, text, f"{host.service('restart')}; please report what its log has"
            )
        else:
            yield from _running(settings, host)
    finally:
        os.close(fd)


def _nobody_reads(settings: Config, host: Host, path: str) -> Finding:
    if pid_of(settings, host) is not None:
        text = f"pdagentd runs, but does not read {path}: events leave late, or not at all"
        return failed(SUBJECT, text, host.service("restart"))
    text = "pdagentd does not run; events wait in the queue"
    if _is_enabled(host) == "masked":
        return failed(SUBJECT, text, _REMEDIES["masked"])
    # It says restart, not start: a daemon may run that has lost its lock and its FIFO.
    remedy = f"{host.service('restart')}. If it ends again, the log in {settings.log_dir} says why."
    return failed(SUBJECT, text, remedy)


def _answers(fd: int, host: Host) -> bool:
    with contextlib.suppress(BlockingIOError):  # it is full; then see whether it gets emptied
        os.write(fd, b"\n")
    deadline = host.monotonic() + ANSWER_SECONDS
    while _unread(fd):
        if host.monotonic() >= deadline:
            return False
        host.sleep(0.01)
    return True


def _unread(fd: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def _running(settings: Config, host: Host) -> Iterator[Finding]:
    pid = pid_of(settings, host)
    if pid is None:
        yield ok(SUBJECT, "runs, and answers")
        return
    try:
        program = os.readlink(host.path(f"/proc/{pid}/exe"))
    except OSError:
        program = ""
    if program.endswith(" (deleted)"):
        text = "runs, and answers, but from a program that has been replaced since"
        yield warning(SUBJECT, text, host.service("restart"))
        return
    try:
        since = host.now() - os.stat(host.path(f"/proc/{pid}")).st_mtime
        yield ok(SUBJECT, f"runs as process {pid} for {days(max(0.0, since))}, and answers")
    except OSError:
        yield ok(SUBJECT, f"runs as process {pid}, and answers")


def pid_of(settings: Config, host: Host) -> int | None:
    """The process that serves the spool; None: there is none, or this user may not know.

    The lock itself is not tried: a daemon that starts just then would find it taken.
    """
    try:
        # User pdagent may have put a link or a FIFO in its place, and this may be root.
        pid = int(read_regular(lock_file(settings.spool_dir), 32))
    except (OSError, ValueError):
        # db/ was removed, or data_dir was changed and the daemon serves the old one.
        told = condition.read(settings)
        if told is None:
            return None
        pid = told.pid
    try:
        with open(host.path(f"/proc/{pid}/cmdline"), "rb") as file:
            return pid if b"pdagentd" in file.read(4096) else None
    except OSError:
        return None


def fresh_condition(
    settings: Config, host: Host, asked: float, is_fresh: Callable[[Condition], bool]
) -> Condition | None:
    """What the daemon tells once it was asked, at `asked` in monotonic seconds; None if it tells
    nothing in time. `is_fresh` tells that from what it told before. What was told in the future was
    told before the host was started: a run_dir that lasts may keep it."""
    while host.monotonic() < asked + ANSWER_SECONDS:
        found = condition.read(settings)
        if found is not None and is_fresh(found) and found.told <= host.monotonic():
            return found
        host.sleep(0.02)
    return None


def boot(host: Host) -> Iterator[Finding]:
    """Whether the service starts with the host. Only systemd is asked."""
    if not host.has_systemd:
        return
    said = _is_enabled(host)
    if said is None:
        yield unknown(BOOT, "systemctl does not answer")
    elif said in _REMEDIES:
        text = f"the service is {said}: it does not start with the host"
        yield warning(BOOT, text, _REMEDIES[said])
    elif said.startswith("enabled"):
        yield ok(BOOT, "the service starts with the host")


def _is_enabled(host: Host) -> str | None:
    return host.ask(["systemctl", "is-enabled", "pdagent"]) if host.has_systemd else None


@dataclass(frozen=True, slots=True)
class Environment:
    """The `values` of VARIABLES, and where they are from. `hidden`: a file that this user may not
    read, so that the values are the caller's own. `stale`: a file that has changed since the daemon
    was started. `odd`: what is wrong with lines of these files."""

    values: Mapping[str, str]
    source: str
    hidden: str = ""
    stale: str = ""
    odd: tuple[str, ...] = ()

    def apply(self, environment: MutableMapping[str, str]) -> None:
        """Gives this process's environment the daemon's proxies and CA file."""
        for name in VARIABLES:
            environment.pop(name, None)
        environment.update(self.values)


def environment(settings: Config, host: Host, own: Mapping[str, str]) -> Environment:
    """The service's environment, as far as can be seen."""
    files: dict[str, str] = {}
    hidden = ""
    present = []
    odd: list[str] = []
    for path in FILES:
        try:
            with open(host.path(path), encoding="utf-8", errors="replace") as file:
                text = file.read(FILE_BYTES)
        except FileNotFoundError:
            continue
        except OSError:
            hidden = path
            continue
        files.update(parse(text))
        odd += [f"{path}, line {number}: {why}" for number, why in oddities(text)]
        present.append(path)
    running = _running_environment(settings, host)
    if running is not None:
        stale = [name for name, value in files.items() if running.get(name) != value]
        newer = present[-1] if stale else ""
        return Environment(running, "the running daemon", stale=newer, odd=tuple(odd))
    if hidden or not present:
        return Environment(_of_interest(own), "your environment", hidden, odd=tuple(odd))
    return Environment(files, present[-1], odd=tuple(odd))


def _running_environment(settings: Config, host: Host) -> dict[str, str] | None:
    pid = pid_of(settings, host)
    if pid is None:
        return None
    try:
        with open(host.path(f"/proc/{pid}/environ"), "rb") as file:
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return None
    return _of_interest(dict(line.split("=", 1) for line in text.split("\0") if "=" in line))


def _of_interest(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name in VARIABLES}
