"""Settings: what may stand in the section [Main] of `/etc/pdagent.conf`, and what each value means.

The table knows no files: `config` reads them. Every `pd-send` imports it, so built-in modules only.
"""

import posix

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
TOKEN_RULE = f"must have {TOKEN_CHARS} characters of ASCII at least, and no blanks"
CREDENTIALS = "/run/credentials/pdagent.service"
_YES = ("1", "yes", "true", "on")
_NO = ("0", "no", "false", "off")


def _number(least: int, most: int) -> "Parser":
    def parse(text: str) -> "Reading":
        digits = text[1:] if text[:1] in ("-", "+") else text
        rule = f"must be a whole number from {least} to {most}"
        if not (digits.isascii() and digits.isdigit()):
            return None, rule
        # int() refuses thousands of digits, and such a number is out of range in any case.
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
    host, _, port = rest.partition("/")[0].rpartition("@")[2].rpartition(":")
    is_port = not port or (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536)
    if host and not is_port and not port.endswith("]"):
        return None, "has a port that is not a number from 1 to 65535"
    return url, ""


def _base_url(text: str) -> "Reading":
    url, problem = _url(text)
    for path in (api.CHANGE_PATH, api.V2_PATH, api.V1_PATH):
        if url and str(url).endswith(path):
            base, problem = _url(str(url).removesuffix(path) or "/")
            return base, problem or f"must be the base: the API's path {path} is taken off"
    return url, problem


def _base_urls(text: str) -> "Reading":
    """One address, or several with blanks or commas between them."""
    urls: list[str] = []
    said = ""
    for each in text.replace(",", " ").split():
        url, problem = _base_url(each)
        if url is None:
            return None, problem
        said = said or problem
        if url not in urls:
            urls.append(str(url))
    return " ".join(urls), said


def _proxy(text: str) -> "Reading":
    """A proxy's address, which `wire.proxy` takes apart. This refuses only what is surely none. A
    user and a password may be in it in any spelling; a colon before the "://" is part of them."""
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


def _file(text: str) -> "Reading":
    """A file: its path, or credential:NAME for a file that systemd hands to the service."""
    kind, colon, name = text.partition(":")
    if kind != "credential" or not colon:
        return _optional_path(text)
    named = name.translate({ord(sign): "x" for sign in "-._"}).isalnum()
    if not named or not name.isascii() or name[0] == ".":
        said = "must be credential:NAME, of letters, digits, hyphens, dots and underscores"
        return None, said
    return f"{_credentials()}/{name}", ""


def _credentials() -> str:
    """Where the service's credentials are: in the service, where systemd says. Elsewhere, where
    they are as a rule; only root can look there."""
    said = posix.environ.get(b"CREDENTIALS_DIRECTORY", b"").decode("utf-8", "replace")
    if said[:1] != "/" or not said.isprintable():
        return CREDENTIALS
    return said


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
    if text and not is_token(text):
        return None, TOKEN_RULE
    return text, ""


def is_token(text: str) -> bool:
    """Whether clients can send it: each spells other characters than ASCII as it likes."""
    printable = text.isascii() and text.isprintable()
    return printable and " " not in text and len(text) >= TOKEN_CHARS


# The old agent's settings. It ran with nearly any value of them, so none of them may keep its
# successor from running.
OLD = (
    *("send_interval_secs", "cleanup_interval_secs", "cleanup_threshold_secs"),
    *("backoff_interval_secs", "retry_limit_for_possible_errors", "source_address"),
)
_YEAR = 31_536_000

# By name: the default, and how a text is read. What each is for stands in ci/described.py, since
# every pd-send reads this table.
SETTINGS: "dict[str, tuple[Value, Parser]]" = {
    "send_interval_secs": (10, _number(1, 3600)),
    "cleanup_interval_secs": (10_800, _number(1, _YEAR)),
    "cleanup_threshold_secs": (604_800, _number(1, 100 * _YEAR)),
    "max_delivered_events": (100_000, _number(0, 100_000_000)),
    "max_delivered_bytes": (268_435_456, _number(0, 1 << 50)),
    "pending_warning": (10_000, _number(0, 100_000_000)),
    "backoff_interval_secs": (60, _number(1, 86_400)),
    "retry_limit_for_possible_errors": (60, _number(1, 1_000_000)),
    "source_address": (ANY_ADDRESS, _source_address),
    "events_api": ("auto", _one_of("auto", "v2", "v1")),
    "integrations_events_api": ("v1", _one_of("v1", "v2")),
    "service_region": ("us", _one_of(*api.BASE_URLS)),
    "events_url": ("", _base_urls),
    "events_token_file": ("", _file),
    "events_client_cert": ("", _file),
    "events_client_key": ("", _file),
    "proxy_url": ("", _proxy),
    "ca_file": ("", _file),
    "keys_file": ("", _file),
    "listen": ("", _listening),
    "listen_token": ("", _token),
    "listen_tokens_file": ("", _file),
    "listen_cert": ("", _file),
    "listen_key": ("", _file),
    "listen_client_ca": ("", _file),
    "listen_pending_most": (100_000, _number(1, 10_000_000)),
    "listen_pending_per_sender": (10_000, _number(1, 10_000_000)),
    "max_connections": (32, _number(1, 256)),
    "max_per_key": (8, _number(1, 64)),
    "direct_delivery": (True, _switch),
    "heartbeat": (False, _switch),
    "heartbeat_url": (api.HEARTBEAT_URL, _url),
    "metrics_listen": ("", _listening),
    "metrics_remote": (False, _switch),
    "metrics_file": ("", _optional_path),
    "data_dir": ("/var/lib/pdagent", _path),
    "log_dir": ("/var/log/pdagent", _path),
    "run_dir": ("/var/run/pdagent", _path),
}
DEFAULTS = {name: default for name, (default, _) in SETTINGS.items()}
