"""Settings: what may stand in the section [Main] of `/etc/pdagent.conf`, and what each value means.

The table knows no files: `config` reads them. Every `pd-send` imports it, so built-in modules only.
"""

from pdagent import api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Value = str | int | bool
    # The value that a text means (None: it has no meaning), and what is wrong with it ("": nothing)
    Reading = tuple[Value | None, str]
    Parser = Callable[[str], Reading]

ANY_ADDRESS = "0.0.0.0"  # noqa: S104  (the old agent's way of saying "any")
TOKEN_CHARS = 16
_YES = ("1", "yes", "true", "on")
_NO = ("0", "no", "false", "off")


def _number(least: int, most: int) -> "Parser":
    def parse(text: str) -> "Reading":
        digits = text[1:] if text[:1] in ("-", "+") else text
        rule = f"must be a whole number from {least} to {most}"
        if not (digits.isascii() and digits.isdigit()):
            return None, rule
        # int() refuses thousands of digits, and so many are out of range in any case.
        number = int(text) if len(text) < 1000 else int(text[0] + "9" * 100)
        nearest = min(max(number, least), most)
        return nearest, "" if number == nearest else f"{rule}: {nearest} is used"

    return parse


def _one_of(*words: str) -> "Parser":
    def parse(text: str) -> "Reading":
        word = text.lower()
        return (word, "") if word in words else (None, f"must be one of {', '.join(words)}")

    return parse


def _switch(text: str) -> "Reading":
    word = text.lower()
    return (word in _YES, "") if word in _YES + _NO else (None, "must be on or off")


def _url(text: str) -> "Reading":
    url = text.rstrip("/")
    scheme, _, rest = url.partition("://")
    if text and not (scheme in ("http", "https") and rest and text.isprintable()):
        return None, "must begin with http:// or https://, and name a host"
    return url, ""


def _base_url(text: str) -> "Reading":
    url, problem = _url(text)
    for path in (api.CHANGE_PATH, api.V2_PATH, api.V1_PATH):
        if url and str(url).endswith(path):
            base, problem = _url(str(url).removesuffix(path) or "/")
            return base, problem or f"must be the base: the API's path {path} is taken off"
    return url, problem


def _proxy(text: str) -> "Reading":
    """What `wire.proxy` takes apart: here only what is surely none. A name and a password may be in
    it, in any spelling; a colon before the "://" is theirs."""
    scheme, separator, rest = text.partition("://")
    known = not separator or ":" in scheme or scheme.lower() in ("http", "https")
    place = (rest if separator else text).rpartition("@")[2]
    host = place.partition("/")[0].partition("?")[0].partition("#")[0]
    named = host.translate({ord(sign): "x" for sign in "-._:[]%"}).isalnum()
    if text and not (known and named and text.isprintable()):
        return None, "must be http://HOST:PORT, or https:// if the proxy itself speaks TLS"
    return text, ""


def _path(text: str) -> "Reading":
    if not text.startswith("/") or not text.isprintable():
        return None, "must be an absolute path"
    return text.rstrip("/") or "/", ""


def _optional_path(text: str) -> "Reading":
    return _path(text) if text else ("", "")


def is_ip_address(text: str) -> bool:
    """Whether this is an IP address as Python's ipaddress has it, but without a scope."""
    if ":" not in text:
        return _is_ipv4(text)
    before, _, last = text.rpartition(":")
    if "." in last:  # ::ffff:192.0.2.1
        if not _is_ipv4(last):
            return False
        text = f"{before}:0:0"
    left, gap, right = text.partition("::")
    groups = (left.split(":") if left else []) + (right.split(":") if right else [])
    for group in groups:
        if not 0 < len(group) <= 4 or group.strip("0123456789abcdefABCDEF"):
            return False
    return len(groups) < 8 if gap else len(groups) == 8


def _is_ipv4(text: str) -> bool:
    parts = text.split(".")
    for part in parts:
        if not (part.isascii() and part.isdigit() and len(part) <= 3 and int(part) <= 255):
            return False
        if part[0] == "0" and part != "0":
            return False
    return len(parts) == 4


def _source_address(text: str) -> "Reading":
    if not is_ip_address(text):
        return ANY_ADDRESS, f"must be an IP address: {ANY_ADDRESS} is used"
    return text if text.strip("0:.") else ANY_ADDRESS, ""


def _listening(text: str) -> "Reading":
    """Where to listen: a path, or an IP address and a port. Empty: nowhere."""
    if not text or text[0] == "/":
        return _optional_path(text)
    host, _, port = text.rpartition(":")
    is_ipv6 = host[:1] == "[" and host[-1:] == "]" and ":" in host
    good = is_ip_address(host[1:-1]) if is_ipv6 else _is_ipv4(host)
    if not good or not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65_535):
        return None, "must be IP-ADDRESS:PORT, or an absolute path"
    return text, ""


def _token(text: str) -> "Reading":
    if text and not (text.isprintable() and " " not in text and len(text) >= TOKEN_CHARS):
        return None, f"must have {TOKEN_CHARS} characters at least, and no blanks"
    return text, ""


class Setting:
    """One setting: its name, its default, how its text is read, and what it is for."""

    __slots__ = ("default", "meaning", "name", "parse")

    def __init__(self, name: str, default: "Value", parse: "Parser", meaning: str) -> None:
        self.name = name
        self.default = default
        self.parse = parse
        self.meaning = meaning

    @property
    def written(self) -> str:
        """The default as it is written in the file."""
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        return str(self.default)


# The old agent's settings. It ran with nearly any value of them, so none of them may keep its
# successor from running.
OLD = (
    *("send_interval_secs", "cleanup_interval_secs", "cleanup_threshold_secs"),
    *("backoff_interval_secs", "retry_limit_for_possible_errors", "source_address"),
)
_YEAR = 31_536_000
SETTINGS = (
    Setting(
        "send_interval_secs",
        10,
        _number(1, 3600),
        "Seconds between looks at the whole queue directory. New events do not wait for this: "
        "pd-send wakes the daemon. It is the safety net, and for files that scripts drop in.",
    ),
    Setting(
        "cleanup_interval_secs",
        10_800,
        _number(1, _YEAR),
        "Seconds between clean-ups of delivered events, events in error and what died in tmp/.",
    ),
    Setting(
        "cleanup_threshold_secs",
        604_800,
        _number(1, 100 * _YEAR),
        "Seconds for which delivered events and events in error are kept. Pending events are kept "
        "until they are delivered or refused, however long that takes.",
    ),
    Setting(
        "max_delivered_events",
        100_000,
        _number(0, 100_000_000),
        "How many delivered events are kept at most, even if they are not old yet.",
    ),
    Setting(
        "max_delivered_bytes",
        268_435_456,
        _number(0, 1 << 50),
        "How many bytes of disk delivered events may take up at most. Where the disk runs short "
        "they go before that.",
    ),
    Setting(
        "pending_warning",
        10_000,
        _number(0, 100_000_000),
        "So many pending events are worth a warning in the log and in pd-queue status; 0: none "
        "are. Pending events are never removed.",
    ),
    Setting(
        "backoff_interval_secs",
        60,
        _number(1, 86_400),
        "The longest pause, in seconds, between two tries. Pauses start below a second and double.",
    ),
    Setting(
        "retry_limit_for_possible_errors",
        60,
        _number(1, 1_000_000),
        "Tries after which an event that PagerDuty keeps failing on (5xx, no answer) is set aside "
        "as in error; not before 24 hours, and only while other events do get through.",
    ),
    Setting(
        "source_address",
        ANY_ADDRESS,
        _source_address,
        "The local address to connect from; 0.0.0.0 leaves the choice to the system.",
    ),
    Setting(
        "events_api",
        "auto",
        _one_of("auto", "v2", "v1"),
        "The Events API to write for. auto is v2, and v1 for keys that PagerDuty refuses for v2.",
    ),
    Setting(
        "integrations_events_api",
        "v1",
        _one_of("v1", "v2"),
        "The Events API that pd-nagios, pd-zabbix and pd-sensu write for: v1 is what PagerDuty's "
        "integrations of these names expect, v2 is for keys of Events API v2 integrations.",
    ),
    Setting(
        "service_region",
        "us",
        _one_of(*api.BASE_URLS),
        "The service region of the PagerDuty account.",
    ),
    Setting(
        "events_url",
        "",
        _base_url,
        "The base address of the Events API, instead of the service region's. The API's paths are "
        "added to it.",
    ),
    Setting(
        "proxy_url",
        "",
        _proxy,
        "The proxy to use, such as http://proxy:3128. Empty: http_proxy, https_proxy and no_proxy "
        "in the service's environment decide.",
    ),
    Setting(
        "ca_file",
        "",
        _optional_path,
        "A PEM file of certificate authorities to trust, instead of the system's.",
    ),
    Setting(
        "keys_file",
        "",
        _optional_path,
        "A file with a section [Keys] of its own: names of integration keys, for pd-send -k @NAME. "
        "It may be readable by the group pdagent alone.",
    ),
    Setting(
        "listen",
        "",
        _listening,
        "Where to serve an Events API of the agent's own, such as 127.0.0.1:49463, or the path of "
        "a Unix socket, such as /run/pdagent/events.sock. Empty: nowhere.",
    ),
    Setting(
        "listen_token",
        "",
        _token,
        "What clients of that API have to send as Authorization: Token token=... (or Bearer ...). "
        "Must be set where other hosts can reach it.",
    ),
    Setting(
        "listen_pending_most",
        100_000,
        _number(1, 10_000_000),
        "Pending events from which on that API answers 429. pd-send queues all the same.",
    ),
    Setting(
        "max_connections",
        32,
        _number(1, 256),
        "How many events may be on their way at once. Connections are made as they are needed. "
        "Where one user's events take them all, four more may go for users who have none there.",
    ),
    Setting(
        "direct_delivery",
        True,
        _switch,
        "on: where the queue can't be written (a full disk), pd-send and the integrations deliver "
        "to PagerDuty themselves, and succeed only if PagerDuty has the event. off: they fail.",
    ),
    Setting(
        "heartbeat",
        False,
        _switch,
        "on: tell PagerDuty every hour that the agent runs, with counts of pending events.",
    ),
    Setting("heartbeat_url", api.HEARTBEAT_URL, _url, "Where the heartbeat goes."),
    Setting(
        "metrics_listen",
        "",
        _listening,
        "Where to serve metrics for Prometheus, and /healthz: ADDRESS:PORT, such as "
        "127.0.0.1:9110, or the path of a Unix socket. Empty: nowhere.",
    ),
    Setting(
        "metrics_remote",
        False,
        _switch,
        "on: metrics_listen may be an address that other hosts can reach.",
    ),
    Setting(
        "metrics_file",
        "",
        _optional_path,
        "A file to write the same metrics to, for node_exporter's textfile collector.",
    ),
    Setting(
        "data_dir", "/var/lib/pdagent", _path, "Where the queue and the agent's state are kept."
    ),
    Setting("log_dir", "/var/log/pdagent", _path, "Where pdagentd.log is kept."),
    Setting(
        "run_dir", "/var/run/pdagent", _path, "Where the background daemon keeps its pid file."
    ),
)
DEFAULTS = {setting.name: setting.default for setting in SETTINGS}
PARSERS = {setting.name: setting.parse for setting in SETTINGS}
