"""The agent's directories: whether they are there, whose they are, who may use them, and how much
room is left on their disk."""

import contextlib
import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator

from pdagent import log
from pdagent.check.configuration import REPAIR
from pdagent.check.finding import Finding, failed, ok, warning
from pdagent.check.inside import USER, Service
from pdagent.config import Config
from pdagent.queue import layout
from pdagent.queue.budget import Disk, disk_of, is_full
from pdagent.queue.layout import DROP_MODE, PRIVATE_MODE, lock_file
from pdagent.settings import DEFAULTS
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, TEMPORARY, wake_fifo

DIRECTORIES = "directories"
DISK = "disk"
DATA_DIR = "/var/lib/pdagent"  # where the package has it
OWN = "Let data_dir and log_dir name directories of the agent's own."
OWN_LOG = "Let log_dir name a directory of the agent's own."
_REINSTALL = "Install the package again."
_GROUP = (
    f"groupadd --system {USER} && usermod -g {USER} {USER} && {REPAIR} && systemctl restart pdagent"
)


def directories(settings: Config, service: Service | None) -> Iterator[Finding]:
    """Whether the directories exist and have the right owner and mode. `service` is who they should
    belong to."""
    good = True
    for finding in (
        *_user(settings),
        *_closed(settings),
        *_wrong(settings, service),
        *_lesser(settings, service),
        *_foreign(settings, service),
        *_wake(settings),
        *_apart(settings),
        *_without_links(settings),
        *_in_memory(settings),
    ):
        good = False
        yield finding
    if good:
        yield ok(DIRECTORIES, f"{settings.data_dir}, {settings.log_dir}")


def _user(settings: Config) -> Iterator[Finding]:
    """Whether the user and the group are there that the unit names. Without them systemd can't
    start the service (216/GROUP)."""
    if settings.data_dir != DATA_DIR:
        return
    try:
        pwd.getpwnam(USER)
        grp.getgrnam(USER)
    except KeyError as error:
        what = "group" if "group" in str(error) or "getgrnam" in str(error) else "user"
        text = f"there is no {what} {USER}, so the service cannot start"
        yield failed(DIRECTORIES, text, _GROUP if what == "group" else _REINSTALL)


def _closed(settings: Config) -> Iterator[Finding]:
    """The directories above the agent's that not every user may pass through. An administrator may
    mean that. The daemon itself says what it can't reach."""
    data = os.path.realpath(settings.data_dir)  # which `_wrong` looks at
    ways = (os.path.abspath(settings.data_dir), data, os.path.realpath(settings.spool_dir))
    for path in sorted({os.path.realpath(each) for way in ways for each in _above(way)} - {data}):
        with contextlib.suppress(OSError):  # `_wrong` says what can't be looked at
            mode = stat.S_IMODE(os.stat(path).st_mode)
            if not mode & stat.S_IXOTH:
                text = f"{path} has mode {mode:o}: not every user can send through the queue"
                yield warning(DIRECTORIES, text, f"chmod a+x {path}")


def _above(path: str) -> Iterator[str]:
    while path.strip("/"):
        path = os.path.dirname(path)
        yield path


def _wrong(settings: Config, service: Service | None) -> Iterator[Finding]:
    # These two are root's in the package, so that root can safely write below them.
    above = [(settings.data_dir, None), (settings.spool_dir, None)]
    ours = [each for each in layout.directories(settings) if not layout.is_lesser(each[0])]
    yield from _wrong_ones([*above, *ours, (settings.log_dir, None)], settings, service)


def _lesser(settings: Config, service: Service | None) -> Iterator[Finding]:
    """Without these pages go out all the same."""
    lesser = [each for each in layout.directories(settings) if layout.is_lesser(each[0])]
    if os.path.isdir(settings.spool_dir):
        for found in _wrong_ones(lesser, settings, service):
            yield warning(found.subject, found.text, found.remedy)


def _foreign(settings: Config, service: Service | None) -> Iterator[Finding]:
    """What the daemon must own to start. Data that was brought from another host, or has survived
    its user, may have another number."""
    if service is not None:
        for path in (lock_file(settings.spool_dir), wake_fifo(settings.spool_dir)):
            with contextlib.suppress(OSError):  # the daemon makes what is missing
                owner = os.lstat(path).st_uid
                if owner != service.uid:
                    text = f"{path} is not the agent's: its owner is user {owner}"
                    yield failed(DIRECTORIES, f"{text}, so the service cannot start", REPAIR)


def _wake(settings: Config) -> Iterator[Finding]:
    """Whether every user can wake the daemon."""
    path = wake_fifo(settings.spool_dir)
    with contextlib.suppress(OSError):  # the lines daemon and directories say so
        mode = os.stat(path, follow_symlinks=False).st_mode
        if stat.S_ISFIFO(mode) and not mode & stat.S_IWOTH:
            says = f"{path} has mode {stat.S_IMODE(mode):o}: not every user wakes the daemon"
            late = f"their events leave up to {settings.send_interval_secs} s late"
            yield warning(DIRECTORIES, f"{says}; {late}", REPAIR)


# Where an event goes: it gets its name in pdq/ by link(2), and from there it is renamed.
_MOVES = ((TEMPORARY, PENDING), (PENDING, DELIVERED), (PENDING, IN_ERROR))


def _apart(settings: Config) -> Iterator[Finding]:
    """Directories of the queue that are mounts of their own. To rename what is not there says so:
    rename(2) looks at the mounts first, those of one file system too."""
    root, name = settings.spool_dir, _new_name()
    for source, target in _MOVES:
        try:
            os.rename(f"{root}/{source}/{name}", f"{root}/{target}/{name}")
        except OSError as error:
            if error.errno == errno.EXDEV:
                text = f"{root}/{source} and {root}/{target} are two mounts: no event gets across"
                remedy = f"Let all of {root} be one file system, mounted at {root} or above it."
                yield failed(DIRECTORIES, text, remedy)


def _without_links(settings: Config) -> Iterator[Finding]:
    """Whether the file system has hard links. Only who tries one knows."""
    place = f"{settings.spool_dir}/{TEMPORARY}"
    path = f"{place}/{_new_name()}"
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError:
        return  # the other lines say why
    try:
        os.link(path, path + "-2")
        os.unlink(path + "-2")
    except OSError as error:
        text = f"{place} takes no hard link ({error.strerror}): no event gets into the queue"
        remedy = (
            "Let the queue be on a file system with hard links, such as ext4 or XFS. Until then "
            "each pd-send has to reach PagerDuty itself."
        )
        yield failed(DIRECTORIES, text, remedy)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _in_memory(settings: Config) -> Iterator[Finding]:
    """Whether the queue is in the host's memory. There fsync(2) succeeds and keeps nothing."""
    with contextlib.suppress(OSError):  # the other lines say what is not there
        device = os.stat(f"{settings.spool_dir}/{PENDING}").st_dev
        number = f"{os.major(device)}:{os.minor(device)}"
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:  # proc(5)
            kinds = {
                kind.partition(" ")[0]
                for line in mounts
                for place, _, kind in [line.partition(" - ")]
                if place.split()[2] == number
            }
        if kinds & {"tmpfs", "ramfs"}:
            text = f"{settings.spool_dir} is in memory ({kinds.pop()})"
            text += ": events that wait are lost when this host goes down"
            yield warning(DIRECTORIES, text, "Let data_dir be on a disk.")


def _new_name() -> str:
    return f"check-{os.getpid()}-{os.urandom(8).hex()}"


def _wrong_ones(
    directories: list[tuple[str, int | None]], settings: Config, service: Service | None
) -> Iterator[Finding]:
    above = (settings.data_dir, settings.spool_dir)
    for path, mode in directories:
        try:
            found = os.stat(path)  # a link is followed: people move directories to larger disks
        except FileNotFoundError:
            yield failed(DIRECTORIES, f"{path} does not exist", REPAIR)
            if path == settings.data_dir:
                return
            continue
        except NotADirectoryError:
            continue  # the finding about its parent has said so
        except PermissionError:
            # Every pd-send passes through the directories of events, whoever runs it.
            text = f"this user may not look at {path}: not every user can send"
            yield failed(DIRECTORIES, text, REPAIR)
            return
        owners = () if service is None else (service.uid, *((0,) if path in above else ()))
        if not stat.S_ISDIR(found.st_mode):
            # The host may need what is no file, such as the /dev/null of log_dir = /dev/null.
            remedy = f"rm {path} && {REPAIR}"
            if not stat.S_ISREG(found.st_mode):
                remedy = "Let data_dir, log_dir and run_dir name directories of the agent's."
            yield failed(DIRECTORIES, f"{path} is not a directory", remedy)
        elif owners and found.st_uid not in owners:
            text = f"{path} is not the agent's: its owner is user {found.st_uid}"
            shared = path == settings.log_dir and is_shared(path)
            yield failed(DIRECTORIES, text, OWN_LOG if shared else REPAIR)
        elif mode is not None:
            yield from _wrong_mode(path, found, mode, service)
        elif not found.st_mode & stat.S_IXOTH and path != settings.log_dir:
            text = f"{path} has mode {stat.S_IMODE(found.st_mode):o}: not every user can send"
            yield failed(DIRECTORIES, text, REPAIR)


def is_shared(log_dir: str) -> bool:
    """Whether others keep files in the directory of the log, as in /var/log itself. Then it must
    not become the agent's, and nor must they. The package's own directory never is."""
    if log_dir == DEFAULTS["log_dir"]:
        return False
    try:
        return any(not name.startswith(log.NAME) for name in os.listdir(log_dir))
    except OSError:
        return False


def _wrong_mode(
    path: str, status: os.stat_result, wanted: int, service: Service | None
) -> Iterator[Finding]:
    found = stat.S_IMODE(status.st_mode)
    if service is not None and wanted == DROP_MODE and status.st_gid != service.gid:
        text = f"{path} has group {status.st_gid}: pdagentd can't read what users add"
        yield failed(DIRECTORIES, text, REPAIR)
    if found == wanted:
        return
    says = f"{path} has mode {found:o}"
    if wanted == PRIVATE_MODE:
        if found & 0o027:
            yield warning(DIRECTORIES, f"{says}: others can look at events", REPAIR)
        elif found & 0o700 != 0o700:
            yield failed(DIRECTORIES, f"{says}: pdagentd can't use it", REPAIR)
        return
    if found & 0o033 != 0o033:
        yield failed(DIRECTORIES, f"{says}: not every user can send", REPAIR)
    elif found & 0o044:
        yield warning(DIRECTORIES, f"{says}: others can see whose events are there", REPAIR)
    elif not found & stat.S_ISVTX:
        yield warning(DIRECTORIES, f"{says}: users can remove each other's events", REPAIR)
    elif found & 0o700 != 0o700 or not found & stat.S_ISGID:
        yield failed(DIRECTORIES, f"{says}: pdagentd can't read what users add", REPAIR)


def disk(settings: Config, look: Callable[[str], Disk] = disk_of) -> Iterator[Finding]:
    """How many bytes and inodes are left for events."""
    path = settings.spool_dir
    try:
        found = look(path)
    except FileNotFoundError:
        return  # the line directories says so
    text = f"{_size(found.free)} free of {_size(found.total)}"
    if found.total_files:
        text += f", {found.free_files:,} inodes of {found.total_files:,}"
    remedy = (
        f"Free some space where {path} is. A full queue takes no event, and each pd-send has to "
        "reach PagerDuty itself."
    )
    if is_full(found):
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
