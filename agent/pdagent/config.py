"""The configuration: `/etc/pdagent.conf`, section [Main].

Every `pd-send` reads it, so built-in modules only, and no configparser. A problem never raises: the
reader gets usable values and a list of what is wrong, and decides what that means. `%` is a
character like any other (the old agent interpolated).
"""

import posix

from pdagent import api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_PATH = "/etc/pdagent.conf"
SECTION = "main"
_MAX_BYTES = 1_048_576
_YES = ("1", "yes", "true", "on")
_NO = ("0", "no", "false", "off")


def _number(least: int, most: int) -> "Callable[[str], int]":
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return parse


def _one_of(*words: str) -> "Callable[[str], str]":
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text.lower()

    return parse


def _switch(text: str) -> bool:
    if text.lower() not in _YES + _NO:
        raise ValueError("must be on or off")
    return text.lower() in _YES


def _url(text: str) -> str:
    scheme, _, rest = text.rstrip("/").partition("://")
    if text and not (scheme in ("http", "https") and rest and text.isprintable()):
        raise ValueError("must begin with http:// or https://, and name a host")
    return text.rstrip("/")


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isprintable():
        raise ValueError("must be an absolute path")
    return text.rstrip("/") or "/"


def _optional_path(text: str) -> str:
    return _path(text) if text else ""


def _address(text: str) -> str:
    if not text or any(c not in "0123456789abcdefABCDEF.:" for c in text):
        raise ValueError("must be an IP address")
    return text


class Key:
    """A configuration key: its name, default (as written in the file), parser, and meaning."""

    __slots__ = ("default", "meaning", "name", "parse")

    def __init__(
        self, name: str, default: str, parse: "Callable[[str], str | int | bool]", meaning: str
    ) -> None:
        self.name = name
        self.default = default
        self.parse = parse
        self.meaning = meaning


_YEAR = 31_536_000
KEYS = (
    Key(
        "send_interval_secs",
        "10",
        _number(1, 3600),
        "Seconds between looks at the whole queue directory. New events do not wait for this: "
        "pd-send wakes the daemon. It is the safety net, and for files that scripts drop in.",
    ),
    Key(
        "cleanup_interval_secs",
        "10800",
        _number(1, _YEAR),
        "Seconds between clean-ups of delivered events, events in error and what died in tmp/.",
    ),
    Key(
        "cleanup_threshold_secs",
        "604800",
        _number(1, 100 * _YEAR),
        "Seconds for which delivered events and events in error are kept. Pending events are kept "
        "until they are delivered or refused, however long that takes.",
    ),
    Key(
        "backoff_interval_secs",
        "60",
        _number(1, 86_400),
        "The longest pause, in seconds, between two tries. Pauses start below a second and double.",
    ),
    Key(
        "retry_limit_for_possible_errors",
        "60",
        _number(1, 1_000_000),
        "Tries after which an event that PagerDuty keeps failing on (5xx, no answer) is set aside "
        "as in error; not before 24 hours, and only while other events do get through.",
    ),
    Key(
        "source_address",
        "0.0.0.0",  # noqa: S104  (the old agent's way of saying "any")
        _address,
        "The local address to connect from; 0.0.0.0 leaves the choice to the system.",
    ),
    Key(
        "events_api",
        "auto",
        _one_of("auto", "v2", "v1"),
        "The Events API to write for. auto is v2, and v1 for keys that PagerDuty refuses for v2.",
    ),
    Key(
        "service_region",
        "us",
        _one_of(*api.BASE_URLS),
        "The service region of the PagerDuty account.",
    ),
    Key(
        "events_url",
        "",
        _url,
        "The base address of the Events API, instead of the service region's. The API's paths are "
        "added to it.",
    ),
    Key(
        "proxy_url",
        "",
        _url,
        "The proxy to use, such as http://proxy:3128. Empty: http_proxy, https_proxy and no_proxy "
        "in the service's environment decide.",
    ),
    Key(
        "ca_file",
        "",
        _optional_path,
        "A PEM file of certificate authorities to trust, instead of the system's.",
    ),
    Key(
        "max_connections",
        "32",
        _number(1, 256),
        "How many events may be on their way at once. Connections are made as they are needed.",
    ),
    Key(
        "direct_delivery",
        "off",
        _switch,
        "on: where the queue can't be written, pd-send delivers to PagerDuty itself.",
    ),
    Key(
        "heartbeat",
        "off",
        _switch,
        "on: tell PagerDuty every hour that the agent runs, with counts of pending events.",
    ),
    Key("heartbeat_url", api.HEARTBEAT_URL, _url, "Where the heartbeat goes."),
    Key("data_dir", "/var/lib/pdagent", _path, "Where the queue and the agent's state are kept."),
    Key("log_dir", "/var/log/pdagent", _path, "Where pdagentd.log is kept."),
    Key("run_dir", "/var/run/pdagent", _path, "Where the background daemon keeps its pid file."),
)
_BY_NAME = {key.name: key for key in KEYS}


class Config:
    """The values of all keys, typed. Frozen by custom: nobody assigns after `load`."""

    __slots__ = tuple(_BY_NAME)

    send_interval_secs: int
    cleanup_interval_secs: int
    cleanup_threshold_secs: int
    backoff_interval_secs: int
    retry_limit_for_possible_errors: int
    source_address: str
    events_api: str
    service_region: str
    events_url: str
    proxy_url: str
    ca_file: str
    max_connections: int
    direct_delivery: bool
    heartbeat: bool
    heartbeat_url: str
    data_dir: str
    log_dir: str
    run_dir: str

    def __init__(self, values: dict[str, str | int | bool]) -> None:
        for key in KEYS:
            value = values[key.name] if key.name in values else key.parse(key.default)
            setattr(self, key.name, value)

    @property
    def spool_dir(self) -> str:
        return self.data_dir + "/outqueue"

    @property
    def base_url(self) -> str:
        return self.events_url or api.BASE_URLS[self.service_region]


class Problem:
    """Something wrong with the file. `fatal`: pdagentd must not guess what was meant."""

    __slots__ = ("fatal", "text")

    def __init__(self, text: str, fatal: bool) -> None:
        self.text = text
        self.fatal = fatal


def path_from(option: str | None) -> str:
    """The file to read: --config, else PDAGENT_CONF, else the usual place."""
    named = option or posix.environ.get(b"PDAGENT_CONF", b"").decode("utf-8", "surrogateescape")
    return named or DEFAULT_PATH


def load(path: str) -> tuple[Config, list[Problem]]:
    """The configuration in the file `path`: what could be read, defaults for the rest."""
    try:
        text = _read(path)
    except OSError as error:
        why = posix.strerror(error.errno or 0)
        return Config({}), [Problem(f"Unable to read the config file at: {path}: {why}", True)]
    except ValueError as error:  # a NUL in the path
        return Config({}), [Problem(f"Unable to read the config file at: {path!r}: {error}", True)]
    values, problems = parse(text, path)
    return Config(values), problems


def parse(text: str, path: str) -> tuple[dict[str, str | int | bool], list[Problem]]:
    """The values in `text`, and what is wrong with it by file and line."""
    values: dict[str, str | int | bool] = {}
    problems = []
    section = None
    seen_main = False
    for number, raw in enumerate(text.split("\n"), 1):
        where = f"{path}, line {number}: "
        line = _without_comment(raw).strip()
        if not line:
            continue
        if line[0] == "[" and line[-1] == "]":
            section = line[1:-1].strip().lower()
            seen_main = seen_main or section == SECTION
            continue
        name, value, separated = _halves(line)
        if not separated or not name:
            problems.append(Problem(where + "is neither 'key = value' nor '[section]'", True))
        elif section != SECTION:
            problems.append(
                Problem(where + f"{name} is outside the section [Main]", section is None)
            )
        elif name not in _BY_NAME:
            problems.append(Problem(where + f"{name} is not a key that pdagent knows", False))
        else:
            try:
                values[name] = _BY_NAME[name].parse(value)
            except ValueError as error:
                problems.append(Problem(where + f"Bad {name}: {error}", True))
    if not seen_main:
        problems.append(Problem(f"{path}: Config is missing [Main] section", True))
    return values, problems


def _halves(line: str) -> tuple[str, str, bool]:
    at = min([place for place in (line.find("="), line.find(":")) if place >= 0], default=-1)
    if at < 0:
        return "", "", False
    return line[:at].strip().lower(), line[at + 1 :].strip(), True


def _without_comment(line: str) -> str:
    # at the line's beginning or behind a blank: a password in proxy_url may hold either sign
    line = " " + line
    for sign in (" ;", "\t;", " #", "\t#"):
        line = line.partition(sign)[0]
    return line


def _read(path: str) -> str:
    # O_NONBLOCK: a FIFO in the file's place must not stop a page
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    try:
        parts = []
        size = 0
        while size < _MAX_BYTES and (part := posix.read(fd, 65_536)):
            parts.append(part)
            size += len(part)
    finally:
        posix.close(fd)
    return b"".join(parts).decode("utf-8", "replace").removeprefix("\ufeff")
