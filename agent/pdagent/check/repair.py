"""Repair: root gives the agent's files the owners and modes that the package gave them, after an
accident with chown or chmod. To do it twice changes nothing.

User pdagent owns these directories, and other users write into two of them. So root must not be led
astray by what they put there. Each directory is opened from its parent's descriptor, without
following links. Each entry is changed through the descriptor of what was looked at. A file that has
another name somewhere is left alone, since it may be somebody else's.
"""

import array
import errno
import fcntl
import os
import stat
from collections.abc import Iterator

from pdagent.check.configuration import files
from pdagent.check.directories import OWN, OWN_LOG, is_shared
from pdagent.check.finding import Finding, failed, ok
from pdagent.check.inside import Service
from pdagent.config import Config
from pdagent.queue.layout import directories
from pdagent.queue.names import key_of
from pdagent.settings import CREDENTIALS
from pdagent.shown import masked_name

SUBJECT = "repair"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS_MOST = 20
_GET_FLAGS, _SEALS = 0x8008_6601, 0x10 | 0x20  # FS_IOC_GETFLAGS; FS_IMMUTABLE_FL, FS_APPEND_FL
_SHOWN_MOST = 20
_WAKE, _LOCK = "wake", "daemon.lock"  # in db/
_REMOVE = "See what it is, and remove it. Then repair again."


class Refused(Exception):
    """Something was left as it is; the text says what and why, `remedy` what to do."""

    def __init__(self, text: str, remedy: str = _REMOVE) -> None:
        super().__init__(text)
        self.remedy = remedy


def repaired(path: str, settings: Config, service: Service | None) -> Iterator[Finding]:
    """Puts everything right, and says what was changed and what was left alone. `path` is the
    configuration's."""
    if service is None:
        yield failed(SUBJECT, "there is no user pdagent", "Install the package again.")
        return
    changed = refused = 0
    for outcome in _all(path, settings, service):
        if isinstance(outcome, Refused):
            refused += 1
            if refused <= _SHOWN_MOST:  # anyone may leave such files in the queue
                yield failed(SUBJECT, str(outcome), outcome.remedy)
        elif outcome:
            changed += 1
            if changed <= _SHOWN_MOST:
                yield ok(SUBJECT, outcome)
    if changed > _SHOWN_MOST:
        yield ok(SUBJECT, f"and {changed - _SHOWN_MOST} more")
    if refused > _SHOWN_MOST:
        yield failed(SUBJECT, f"{refused - _SHOWN_MOST} more were left alone", _REMOVE)
    if not changed and not refused:
        yield ok(SUBJECT, "owners and modes were as they should be")


def _all(path: str, settings: Config, service: Service) -> Iterator[str | Refused]:
    for place in (settings.data_dir, settings.spool_dir):
        try:
            with _Opened(place, service, None, 0o711, above=True) as (_, said):
                yield said
        except Refused as refusal:
            yield refusal
    for place, mode in (*directories(settings), (settings.log_dir, None)):
        try:
            if place == settings.log_dir and is_shared(place):
                raise Refused(f"{place} was left alone: it holds other files, too", OWN_LOG)
            # Every pd-send has to pass through the others, as on its way to db/wake.
            needed = 0o700 if place == settings.log_dir else 0o711
            with _Opened(place, service, mode, needed) as (fd, said):
                yield said
                if place != settings.log_dir and _is_sealed(fd):
                    yield Refused(
                        f"{place} was left alone: its attributes forbid changes", _seal(place)
                    )
                yield from _entries(fd, place, service, theirs=mode is not None)
                if place == f"{settings.data_dir}/db":
                    yield from _reasons(fd, f"{place}/reasons", service)
        except Refused as refusal:
            yield refusal
    secret = bool(settings.keys or settings.listen_token or "@" in settings.proxy_url)
    mode = 0o640 if secret else 0o644
    configuration = [(file, mode) for file in (*files(path), f"{path}.d")]
    secrets = (settings.keys_file, settings.events_token_file, settings.listen_tokens_file)
    for file, mode in (*configuration, *((file, 0o640) for file in secrets)):
        if file and not file.startswith(CREDENTIALS):  # which is systemd's
            try:
                yield _readable(file, service, mode)
            except Refused as refusal:
                yield refusal


class _Opened:
    """A directory of the agent's, made if it is missing, with its owner and mode put right. If
    `mode` is None, any mode will do that has the bits `needed`. `above`: the directory is root's,
    and holds directories of the agent's."""

    def __init__(
        self, path: str, service: Service, mode: int | None, needed: int, above: bool = False
    ) -> None:
        self._said = ""
        parent = _walk(os.path.dirname(path))
        name = os.path.basename(path)
        try:
            try:
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            except FileNotFoundError:
                os.mkdir(name, 0o700, dir_fd=parent)
                self._said = f"made {path}"
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode) and _is_roots(found, parent):
                self._fd = _walk(path)
            else:
                self._fd = os.open(name, _DIRECTORY, dir_fd=parent)
        except OSError as error:
            why = "it is a link" if os.path.islink(path) else error.strerror
            raise Refused(f"{path} was left alone: {why}") from error
        finally:
            os.close(parent)
        found = os.fstat(self._fd)
        if mode is None and found.st_mode & stat.S_ISVTX:
            os.close(self._fd)
            raise Refused(f"{path} was left alone: it is everybody's, such as /tmp", OWN)
        uid, gid = service.uid, service.gid
        if above:
            uid, gid = (found.st_uid, found.st_gid) if found.st_uid in (0, uid) else (0, 0)
        if mode is None:
            # An administrator may have made the mode stricter for others. Then it stays.
            sound = found.st_mode & needed == needed and not found.st_mode & 0o022
            mode = stat.S_IMODE(found.st_mode) if sound else 0o755
        try:
            said = _set(self._fd, found, uid, gid, mode, path)
        except Refused:
            os.close(self._fd)
            raise
        self._said = self._said or said

    def __enter__(self) -> tuple[int, str]:
        return self._fd, self._said

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _is_roots(link: os.stat_result, parent: int) -> bool:
    """Whether nobody but root can have made this link, or can replace it."""
    above = os.fstat(parent)
    return link.st_uid == 0 and above.st_uid == 0 and not above.st_mode & 0o022


def _walk(path: str) -> int:
    """Opens a directory, and follows root's links only. Raises Refused."""
    parts = [part for part in path.split("/") if part]
    fd = os.open("/", _DIRECTORY)
    links = 0
    try:
        while parts:
            name = parts.pop(0)
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                links += 1
                if not _is_roots(found, fd) or links > _LINKS_MOST:
                    raise Refused(f"{path} was left alone: {name} in it is somebody's link")
                target = os.readlink(name, dir_fd=fd)
                parts = [part for part in target.split("/") if part] + parts
                inner = os.open("/" if target.startswith("/") else ".", _DIRECTORY, dir_fd=fd)
            else:
                inner = os.open(name, _DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = inner
    except OSError as error:
        os.close(fd)
        raise Refused(f"{path} was left alone: {error.strerror}") from error
    except Refused:
        os.close(fd)
        raise
    return fd


def _set(fd: int, found: os.stat_result, uid: int, gid: int, mode: int, shown: str) -> str:
    """Sets owner, group and mode of what `fd` is open on. Returns what was changed; empty:
    nothing. Raises Refused."""
    said = []
    same = f"/proc/self/fd/{fd}"  # the file that was looked at, whatever its name leads to by now
    try:
        if (found.st_uid, found.st_gid) != (uid, gid):
            os.chown(same, uid, gid)
            said.append(f"owner {found.st_uid}:{found.st_gid} to {uid}:{gid}")
        # The chown may have taken bits of the mode away.
        if said or stat.S_IMODE(found.st_mode) != mode:
            os.chmod(same, mode)
    except OSError as error:
        text = f"{shown} was left alone: {error.strerror}"
        if error.errno == errno.EPERM:  # this is root, so the file says so
            raise Refused(text, _seal(shown)) from error
        raise Refused(text) from error
    if stat.S_IMODE(found.st_mode) != mode:
        said.append(f"mode {stat.S_IMODE(found.st_mode):o} to {mode:o}")
    return f"{shown}: {', '.join(said)}" if said else ""


def _seal(path: str) -> str:
    """What a person does where chattr(1) has put owner and mode of a file beyond root."""
    return f"lsattr -d {path} shows an i or an a: chattr -ia {path}. Then repair again."


def _is_sealed(directory: int) -> bool:
    """Whether names may not come and go in it, whatever its owner and mode are."""
    flags = array.array("L", [0])
    try:
        fcntl.ioctl(directory, _GET_FLAGS, flags)
    except OSError:  # such a file system has no attributes
        return False
    return bool(flags[0] & _SEALS)


def _entries(fd: int, place: str, service: Service, theirs: bool) -> Iterator[str | Refused]:
    """Repairs the files in a directory. `theirs`: they are events, which belong to their
    senders."""
    for name in os.listdir(fd):
        # An event's name holds its integration key.
        shown = f"{place}/{name if key_of(name) is None else masked_name(name)}"
        try:
            entry = os.open(name, _LOOK, dir_fd=fd)
        except OSError:
            continue  # it is gone
        try:
            found = os.fstat(entry)
            if not theirs and name in (_WAKE, _LOCK) and _is_odd(name, found):
                os.unlink(name, dir_fd=fd)  # the daemon makes it anew
                yield f"removed {shown}, which was something else"
            else:
                yield _entry(entry, found, name, shown, service, theirs)
        except OSError as error:
            yield Refused(f"{shown} was left alone: {error.strerror}")
        except Refused as refusal:
            yield refusal
        finally:
            os.close(entry)


def _reasons(db: int, place: str, service: Service) -> Iterator[str | Refused]:
    try:
        fd = os.open("reasons", _DIRECTORY, dir_fd=db)
    except FileNotFoundError:
        return
    except OSError as error:
        yield Refused(f"{place} was left alone: {error.strerror}")
        return
    try:
        yield _set(fd, os.fstat(fd), service.uid, service.gid, 0o750, place)
        yield from _entries(fd, place, service, theirs=False)
    except Refused as refusal:
        yield refusal
    finally:
        os.close(fd)


def _is_odd(name: str, found: os.stat_result) -> bool:
    return not (stat.S_ISFIFO if name == _WAKE else stat.S_ISREG)(found.st_mode)


def _entry(
    fd: int, found: os.stat_result, name: str, shown: str, service: Service, theirs: bool
) -> str:
    uid, gid = service.uid, service.gid
    if name == _WAKE and not theirs:
        return _set(fd, found, uid, gid, 0o622, shown)
    if not stat.S_ISREG(found.st_mode):
        return ""
    if theirs:
        right = found.st_gid == gid and found.st_mode & 0o040
        uid, wanted = found.st_uid, stat.S_IMODE(found.st_mode) & 0o777 | 0o440
    else:
        wanted = 0o644 if name == "agent_id.txt" else 0o640
        right = (found.st_uid, found.st_gid) == (uid, gid)
        right = right and not (found.st_mode ^ wanted) & 0o733
    if right:
        return ""
    if found.st_nlink > 1:
        why = "it has another name, and may be somebody else's file"
        raise Refused(f"{shown} was left alone: {why}")
    return _set(fd, found, uid, gid, wanted, shown)


def _readable(path: str, service: Service, mode: int) -> str:
    """Gives a file or directory of root's this mode, if the service has to read it and can't. Who
    may read a directory may enter it, too."""
    try:
        parent = _walk(os.path.dirname(path))
        try:
            fd = os.open(os.path.basename(path), _LOOK, dir_fd=parent)
        finally:
            os.close(parent)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise Refused(f"{path} was left alone: {error.strerror}") from error
    try:
        found = os.fstat(fd)
        in_group = found.st_gid == service.gid and found.st_mode & 0o040
        if in_group or found.st_mode & 0o004 or found.st_uid == service.uid:
            return ""
        is_directory = stat.S_ISDIR(found.st_mode)
        is_plain = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
        if not (is_directory or is_plain) or found.st_uid != 0:
            raise Refused(f"{path} was left alone: it is not a file of root's")
        if is_directory:
            mode |= (mode & 0o444) >> 2 | 0o200
        return _set(fd, found, 0, 0 if mode & 0o004 else service.gid, mode, path)
    finally:
        os.close(fd)
