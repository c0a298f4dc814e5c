"""The configuration: `/etc/pdagent.conf`, sections [Main] and [Keys].

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
KEYS_SECTION = "keys"
TOKEN_CHARS = 16
KEY_NAME_CHARS = 30  # fewer than a key has: a key is never taken for a name and shown
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


def is_key_name(text: str) -> bool:
    """Whether this is how an integration key is called: `@`, then letters, digits and `-_.`"""
    name = text[1:].replace("-", "x").replace(".", "x").replace("_", "x")
    return text[:1] == "@" and len(name) <= KEY_NAME_CHARS and name.isascii() and name.isalnum()


def _listening(text: str) -> str:
    """Where to listen: a path, or an IP address and a port. Empty: nowhere."""
    if not text or text[0] == "/":
        return _optional_path(text)
    host, _, port = text.rpartition(":")
    try:
        _address(host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host.replace(":", "?"))
        _number(1, 65_535)(port)
    except ValueError as error:
        raise ValueError("must be IP-ADDRESS:PORT, or an absolute path") from error
    return text


def _token(text: str) -> str:
    if text and not (text.isprintable() and " " not in text and len(text) >= TOKEN_CHARS):
        raise ValueError(f"must have {TOKEN_CHARS} characters at least, and no blanks")
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
        "max_delivered_events",
        "100000",
        _number(0, 100_000_000),
        "How many delivered events are kept at most, even if they are not old yet.",
    ),
    Key(
        "max_delivered_bytes",
        "268435456",
        _number(0, 1 << 50),
        "How many bytes of disk delivered events may take up at most. Where the disk runs short "
        "they go before that.",
    ),
    Key(
        "pending_warning",
        "10000",
        _number(0, 100_000_000),
        "So many pending events are worth a warning in the log and in pd-queue status; 0: none "
        "are. Pending events are never removed.",
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
        "integrations_events_api",
        "v1",
        _one_of("v1", "v2"),
        "The Events API that pd-nagios, pd-zabbix and pd-sensu write for: v1 is what PagerDuty's "
        "integrations of these names expect, v2 is for keys of Events API v2 integrations.",
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
        "keys_file",
        "",
        _optional_path,
        "A file with a section [Keys] of its own: names of integration keys, for pd-send -k @NAME. "
        "It may be readable by the group pdagent alone.",
    ),
    Key(
        "listen",
        "",
        _listening,
        "Where to serve an Events API of the agent's own, such as 127.0.0.1:49463, or the path of "
        "a Unix socket, such as /run/pdagent/events.sock. Empty: nowhere.",
    ),
    Key(
        "listen_token",
        "",
        _token,
        "What clients of that API have to send as Authorization: Token token=... (or Bearer ...). "
        "Must be set where other hosts can reach it.",
    ),
    Key(
        "listen_pending_most",
        "100000",
        _number(1, 10_000_000),
        "Pending events from which on that API answers 429. pd-send queues all the same.",
    ),
    Key(
        "max_connections",
        "32",
        _number(1, 256),
        "How many events may be on their way at once. Connections are made as they are needed.",
    ),
    Key(
        "direct_delivery",
        "on",
        _switch,
        "on: where the queue can't be written (a full disk), pd-send and the integrations deliver "
        "to PagerDuty themselves, and succeed only if PagerDuty has the event. off: they fail.",
    ),
    Key(
        "heartbeat",
        "off",
        _switch,
        "on: tell PagerDuty every hour that the agent runs, with counts of pending events.",
    ),
    Key("heartbeat_url", api.HEARTBEAT_URL, _url, "Where the heartbeat goes."),
    Key(
        "metrics_listen",
        "",
        _listening,
        "Where to serve metrics for Prometheus, and /healthz: ADDRESS:PORT, such as "
        "127.0.0.1:9110, or the path of a Unix socket. Empty: nowhere.",
    ),
    Key(
        "metrics_remote",
        "off",
        _switch,
        "on: metrics_listen may be an address that other hosts can reach.",
    ),
    Key(
        "metrics_file",
        "",
        _optional_path,
        "A file to write the same metrics to, for node_exporter's textfile collector.",
    ),
    Key("data_dir", "/var/lib/pdagent", _path, "Where the queue and the agent's state are kept."),
    Key("log_dir", "/var/log/pdagent", _path, "Where pdagentd.log is kept."),
    Key("run_dir", "/var/run/pdagent", _path, "Where the background daemon keeps its pid file."),
)
_BY_NAME = {key.name: key for key in KEYS}


class Config:
    """The values of all keys, typed. Frozen by custom: nobody assigns after `load`."""

    __slots__ = (*_BY_NAME, "keys")

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
    proxy_url: str
    ca_file: str
    keys_file: str
    listen: str
    listen_token: str
    listen_pending_most: int
    max_connections: int
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
        self, values: dict[str, str | int | bool], keys: "dict[str, str] | None" = None
    ) -> None:
        # Integration keys by name; None: they could not be read.
        self.keys: dict[str, str] | None = keys
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
    """Something wrong with the file. `fatal`: pdagentd must not guess what was meant. `intended`:
    so, probably, for this user."""

    __slots__ = ("fatal", "intended", "text")

    def __init__(self, text: str, fatal: bool, intended: bool = False) -> None:
        self.text = text
        self.fatal = fatal
        self.intended = intended


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
        text = f"Unable to read the config file at: {path}: {why}"
        return Config({}), [
            Problem(text, True, isinstance(error, PermissionError) and _group(path))
        ]
    except ValueError as error:  # a NUL in the path
        return Config({}), [Problem(f"Unable to read the config file at: {path!r}: {error}", True)]
    keys: dict[str, str] = {}
    values, problems = parse(text, path, keys)
    # what can't be understood may be the key that somebody asks for
    whole = not [problem for problem in problems if problem.fatal]
    return Config(values, keys if whole else None), problems


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
        _, problems = parse(_read(path), path, keys, KEYS_SECTION)
    except OSError as error:
        why = posix.strerror(error.errno or 0)
        return keys, [Problem(f"Unable to read the keys_file at: {path}: {why}", False)]
    return keys, [Problem(problem.text, False) for problem in problems]


def key_named(name: str, settings: Config) -> str | None:
    """The integration key that `@db` stands for, None if there is none of that name."""
    return (settings.keys or {}).get(name[1:].lower())


def knows_not(name: str, settings: Config) -> bool:
    """Whether it is certain that no key has that name, to someone who may not read all files."""
    if settings.keys is None or key_named(name, settings):
        return False
    keys, problems = _file_of_keys(settings.keys_file)
    return not problems and name[1:].lower() not in keys


def _group(path: str) -> bool:
    """Whether a file is for its group: to others, a file that can't be read is no mistake then."""
    try:
        return bool(posix.stat(path).st_mode & 0o040)
    except OSError:
        return False


def parse(
    text: str, path: str, keys: "dict[str, str] | None" = None, main: str = SECTION
) -> tuple[dict[str, str | int | bool], list[Problem]]:
    """The values in `text`, and what is wrong with it by file and line. Fills `keys` with those of
    the section [Keys]. `main`: the section that must be there."""
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
            seen_main = seen_main or section == main
            continue
        name, value, separated = _halves(line)
        if not separated or not name:
            problems.append(Problem(where + "is neither 'key = value' nor '[section]'", True))
        elif section == KEYS_SECTION:
            problem = _key_problem(name, value)
            if problem:
                problems.append(Problem(where + problem, True))
            elif keys is not None:
                keys[name] = value
        elif section != main:
            problems.append(
                Problem(
                    where + f"{_shown(name)} is outside the section [{main.capitalize()}]",
                    section is None,
                )
            )
        elif name not in _BY_NAME:
            text = f"{_shown(name)} is not a key that pdagent knows"
            problems.append(Problem(where + text, False))
        else:
            try:
                values[name] = _BY_NAME[name].parse(value)
            except ValueError as error:
                problems.append(Problem(where + f"Bad {name}: {error}", True))
    if not seen_main:
        problems.append(Problem(f"{path}: Config is missing [{main.capitalize()}] section", True))
    return values, problems


def _key_problem(name: str, value: str) -> str:
    """What is wrong with a line of [Keys]. Never quotes the value, which is a secret; the name may
    be one, where somebody turned them round."""
    if not is_key_name("@" + name):
        return (
            f"the name of a key is at most {KEY_NAME_CHARS} letters, digits, hyphens, dots and "
            "underscores"
        )
    if not value or not value.isprintable() or "/" in value or " " in value or value[0] == "@":
        return f"Bad {name}: must be an integration key"
    return ""


def _halves(line: str) -> tuple[str, str, bool]:
    at = min([place for place in (line.find("="), line.find(":")) if place >= 0], default=-1)
    if at < 0:
        return "", "", False
    return line[:at].strip().lower(), line[at + 1 :].strip(), True


def _shown(name: str) -> str:
    # whatever else the file is, a terminal and a log get one line of text
    return "".join([c if c.isprintable() else "?" for c in name])[:80]


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
