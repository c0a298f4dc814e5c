"""The configuration: `/etc/pdagent.conf` with its sections [Main] and [Keys], and then its pieces,
the files `*.conf` in `/etc/pdagent.conf.d`, in the order of their names. A later setting wins.

Every `pd-send` reads it, so this module imports built-in modules only, and no configparser. A
problem never raises: the caller gets usable values and a list of what is wrong, and decides what
that means. `%` is a character like any other, though the old agent interpolated.
"""

import errno
import posix

from pdagent import api
from pdagent.lines import KEYS_SECTION, Problem, as_line, parse
from pdagent.settings import DEFAULTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.settings import Value

DEFAULT_PATH = "/etc/pdagent.conf"
DEFAULT_KEY = "@default"  # the key that is used if none is given
PIECES_MOST = 100
PIECE_BYTES = 65_536
FILE_BYTES = 1_048_576
_READ_BYTES = 8192  # few, since Python allocates all of them before it reads


class Config:
    """The values of all settings, typed. By custom nobody changes them after `load`.

    `keys`: the integration keys by name; None if some could not be read.
    `knows_spool`: False if a problem may hide the setting data_dir, so that the spool may be
    elsewhere.
    """

    send_interval_secs: int
    cleanup_interval_secs: int
    cleanup_threshold_secs: int
    max_delivered_events: int
    max_delivered_bytes: int
    pending_warning: int
    backoff_interval_secs: int
    retry_limit_for_possible_errors: int
    source_address: str
    events_api: str
    integrations_events_api: str
    service_region: str
    events_url: str
    events_token_file: str
    events_client_cert: str
    events_client_key: str
    proxy_url: str
    ca_file: str
    keys_file: str
    listen: str
    listen_token: str
    listen_tokens_file: str
    listen_cert: str
    listen_key: str
    listen_client_ca: str
    listen_pending_most: int
    listen_pending_per_sender: int
    max_connections: int
    max_per_key: int
    direct_delivery: bool
    heartbeat: bool
    heartbeat_url: str
    metrics_listen: str
    metrics_remote: bool
    metrics_file: str
    data_dir: str
    log_dir: str
    run_dir: str

    def __init__(
        self,
        values: "dict[str, Value]",
        keys: "dict[str, str] | None" = None,
        knows_spool: bool = True,
    ) -> None:
        self.keys: dict[str, str] | None = keys
        self.knows_spool = knows_spool
        self.__dict__.update(DEFAULTS)
        self.__dict__.update(values)

    @property
    def spool_dir(self) -> str:
        """The directory of the queue."""
        return self.data_dir + "/outqueue"

    @property
    def base_urls(self) -> "tuple[str, ...]":
        """The destinations: one, or several relays."""
        return tuple(self.events_url.split()) or (api.BASE_URLS[self.service_region],)

    @property
    def base_url(self) -> str:
        """The only destination, or the first."""
        return self.base_urls[0]

    @property
    def relays(self) -> "tuple[str, ...]":
        """The destinations if there are several; else "", which stands for the only one."""
        return self.base_urls if len(self.base_urls) > 1 else ("",)

    def toward(self, relay: str) -> "Config":
        """The same, with one of the `relays` for its only destination."""
        if not relay:
            return self
        made = Config({}, self.keys, self.knows_spool)
        made.__dict__.update(self.__dict__)
        made.events_url = relay
        return made

    @property
    def shown_url(self) -> str:
        """`base_urls` for a person."""
        return ", ".join([shown_url(url) for url in self.base_urls])


def shown_url(url: str) -> str:
    """A URL for a person. What stands before an "@" may hold a password."""
    scheme, separator, rest = url.partition("://")
    user, _, place = rest.rpartition("@")
    return f"{scheme}{separator}***@{place}" if user else url


def told_to_senders(problems: list[Problem]) -> list[Problem]:
    """What a command that sends has to tell about the configuration."""
    return [problem for problem in problems if problem.for_senders]


def path_from(option: str | None) -> str:
    """The file to read: --config, else PDAGENT_CONF, else the usual place."""
    named = option or posix.environ.get(b"PDAGENT_CONF", b"").decode("utf-8", "surrogateescape")
    return named or DEFAULT_PATH


def load(path: str) -> tuple[Config, list[Problem]]:
    """The configuration in the file `path` and its pieces. What could not be read has its
    default."""
    keys: dict[str, str] = {}
    values: dict[str, Value] = {}
    knows_spool = False
    try:
        values, problems = parse(_read(path)[0], path, keys)
        knows_spool = "data_dir" in values or not [p for p in problems if p.hides_settings]
    except (OSError, ValueError) as error:
        problems = [_unreadable("config file", path, error)]
    try:
        names = _pieces(posix.listdir(path + ".d"))
    except ValueError:  # a NUL in the path is a problem already, see above
        names = []
    except OSError as error:
        names = []
        if not isinstance(error, FileNotFoundError) or _is_there(path + ".d"):
            knows_spool = False
            problems.append(_unreadable("config directory", path + ".d", error))
    if len(names) > PIECES_MOST:
        said = f"{path}.d: more than {PIECES_MOST} files; the rest of them is not read"
        problems.append(Problem(said, True))
    for name in names[:PIECES_MOST]:
        found, wrong = _piece(f"{path}.d/{name}", keys)
        values.update(found)
        problems += wrong
        if "data_dir" in found:
            knows_spool = True
        elif [problem for problem in wrong if problem.hides_settings]:
            knows_spool = False
    knows_spool = knows_spool and len(names) <= PIECES_MOST
    # A line that can't be understood may hold the key that somebody asks for.
    whole = not [problem for problem in problems if problem.fatal]
    return Config(values, keys if whole else None, knows_spool), problems


def files(path: str) -> list[str]:
    """The file `path` and its pieces, as `load` reads them. Raises OSError."""
    try:
        names = _pieces(posix.listdir(path + ".d"))
    except FileNotFoundError:
        names = []
    return [path, *[f"{path}.d/{name}" for name in names[:PIECES_MOST]]]


def load_piece(path: str) -> list[Problem]:
    """What is wrong with a file that is to become a piece."""
    return _piece(path, {}, in_place=False)[1]


def _pieces(names: list[str]) -> list[str]:
    # If a name begins with a dot, an editor or a tool is not done with the file yet.
    return sorted(name for name in names if name.endswith(".conf") and name[0] != ".")


def _piece(
    path: str, keys: "dict[str, str]", in_place: bool = True
) -> "tuple[dict[str, Value], list[Problem]]":
    try:
        text, mode = _read(path, PIECE_BYTES)
    except (OSError, ValueError) as error:
        if in_place and isinstance(error, FileNotFoundError) and not _is_there(path):
            return {}, []  # it was removed after the directory was read
        # If this user may not read it, there is no data_dir in it: see below.
        return {}, [_unreadable("config file", path, error)]
    if mode & 0o170000 != 0o100000:
        return {}, [Problem(f"{as_line(path)} is not a regular file", True)]
    values, problems = parse(text, path, keys, None)
    # Some users may not read a piece because it holds secrets. They must know where the spool is
    # all the same.
    if in_place and "data_dir" in values and not mode & 0o004:
        said = "data_dir must be in a file that every user can read: each pd-send needs it"
        problems.append(Problem(f"{as_line(path)}: {said}", True))
    return values, problems


def _unreadable(what: str, path: str, error: Exception) -> Problem:
    if isinstance(error, ValueError):  # a NUL in the path
        return Problem(f"Unable to read the {what} at: {path!r}: {error}", True)
    why = posix.strerror(getattr(error, "errno", 0) or 0)
    denied = isinstance(error, PermissionError)
    said = f"Unable to read the {what} at: {as_line(path)}: {why}"
    return Problem(said, True, not (denied and _is_for_its_group(path)), not denied)


def load_keys(settings: Config) -> list[Problem]:
    """Adds the keys of `keys_file` to those of `settings`. None of the problems is fatal."""
    keys, problems = _file_of_keys(settings.keys_file)
    if keys:
        settings.keys = {**(settings.keys or {}), **keys}
    return problems


def _file_of_keys(path: str) -> tuple[dict[str, str], list[Problem]]:
    keys: dict[str, str] = {}
    if not path:
        return keys, []
    try:
        _, problems = parse(_read(path)[0], path, keys, KEYS_SECTION)
    except OSError as error:
        why = posix.strerror(error.errno or 0)
        return keys, [Problem(f"Unable to read the keys_file at: {path}: {why}", False)]
    return keys, [Problem(problem.text, False) for problem in problems]


def key_named(name: str, settings: Config) -> str | None:
    """The integration key that `@db` stands for, None if there is none of that name."""
    return (settings.keys or {}).get(name[1:].lower())


def may_exist(key: str, settings: Config) -> bool:
    """Whether there may be such a key: it is no name of one, or a key has that name, or this user
    may not read all names. Senders ask this before they queue an event. The daemon can read all
    names."""
    if key[:1] != "@" or settings.keys is None or key_named(key, settings):
        return True
    keys, problems = _file_of_keys(settings.keys_file)
    return bool(problems) or key[1:].lower() in keys


def _is_there(path: str) -> bool:
    try:
        posix.lstat(path)
    except OSError:
        return False
    return True


def _is_for_its_group(path: str) -> bool:
    """Whether the file's group may read it. Then the file is not meant for other users, and it is
    no mistake that they can't read it."""
    try:
        return bool(posix.stat(path).st_mode & 0o040)
    except OSError:
        return False


def _read(path: str, most: int = FILE_BYTES) -> tuple[str, int]:
    """The text of a file, and its mode. Raises OSError, also if the file is too large."""
    # With O_NONBLOCK, a FIFO in the file's place does not stop a page.
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    try:
        mode = posix.fstat(fd).st_mode
        parts = []
        size = 0
        while part := posix.read(fd, _READ_BYTES):
            parts.append(part)
            size += len(part)
            if size > most:
                raise OSError(errno.EFBIG, "")
    finally:
        posix.close(fd)
    return b"".join(parts).decode("utf-8", "replace").removeprefix("\ufeff"), mode
