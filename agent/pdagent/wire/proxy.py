"""Proxies: which one leads to an address, by the configuration or by the environment.

This is the only parser of proxy addresses. It takes what the old agent's urllib took, and a
password in any spelling. No text that is made here shows a user or a password.

- The scheme is http or https, and http if there is none. https means TLS to the proxy itself.
- All before the last "@" is user and password, whatever signs are in them. The first ":" there
  separates the two. %XX in them stands for a byte.
- The host ends at the first "/", "?" or "#" behind that. Without a port, the scheme's own is used.
- A variable in lower case wins over the one in upper case, also where it is empty: then there is
  no proxy. HTTP_PROXY counts for nothing in a CGI, whose clients could set it.
- all_proxy counts if the variable of the scheme is not set. If it can't be used, it is ignored.

packaging/common.sh carries such settings over as they are written, without reading them.
"""

import re
from binascii import b2a_base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from pdagent.config import Config

_PORTS = {"http": 80, "https": 443}
_OTHERS = ("socks", "socks4", "socks4a", "socks5", "socks5h", "ftp")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
# A name, with letters of any language, since the resolver judges names; or an IPv6 address.
_HOST = re.compile(r"[\w.-]+|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]")


class BadProxy(Exception):
    """A proxy's address that can't be used, and why. The text quotes nothing of the address but a
    known scheme."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy. `source` is the setting or the variable that names it. `authorization` is the value
    of the header Proxy-Authorization; "" without a user."""

    scheme: str
    host: str
    port: int
    source: str
    authorization: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Its address, without user and password."""
        return f"{self.scheme}://{self.where}"

    @property
    def where(self) -> str:
        """HOST:PORT, with an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Way:
    """How an address is reached. `ignored` says which setting has no effect, and why; it is empty
    if there is none."""

    proxy: Proxy | None = None
    ignored: str = ""


def way_to(url: str, settings: Config, environment: Mapping[str, str]) -> Way:
    """The way to `url`: by `proxy_url`, else by the environment. Raises BadProxy."""
    if settings.proxy_url:
        return Way(parse(settings.proxy_url, "proxy_url"))
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    if _bypassed(_variable(environment, "no_proxy")[1], parts.hostname or "", port):
        return Way()
    source, value = _variable(environment, f"{parts.scheme}_proxy")
    if value:
        return Way(parse(value, source))
    if source:
        return Way()
    source, value = _variable(environment, "all_proxy")
    if not value:
        return Way()
    try:
        return Way(parse(value, source))
    except BadProxy as error:
        # The old agent never read all_proxy, and whatever worked then has to go on working.
        return Way(ignored=f"{error}; the way is direct")


def parse(text: str, source: str) -> Proxy:
    """The proxy that `text` names. Raises BadProxy."""
    scheme, rest = _halves(text.strip(), source)
    user_part, _, place = rest.rpartition("@")
    place = unquote(re.split(r"[/?#]", place, maxsplit=1)[0])
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, ""
    if not _HOST.fullmatch(host):
        raise BadProxy(f"{source} names no host: write http://HOST:PORT")
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
    if port and not 0 < number < 65_536:
        raise BadProxy(
            f"{source} has a port that is not a number up to 65535: write http://HOST:PORT"
        )
    return Proxy(
        scheme, host.strip("[]"), number or _PORTS[scheme], source, _authorization(user_part)
    )


def _halves(text: str, source: str) -> tuple[str, str]:
    scheme, separator, rest = text.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        return "http", text.removeprefix("//")
    scheme = scheme.lower()
    if scheme in _PORTS:
        return scheme, rest
    # A word that is not known is not quoted: it may be a piece of a password.
    kind = f"a {scheme}:// proxy" if scheme in _OTHERS else "a proxy of an unknown kind"
    raise BadProxy(f"{source} names {kind}: only http:// and https:// are supported")


def _authorization(user_part: str) -> str:
    if not user_part:
        return ""
    user, _, password = user_part.partition(":")
    pair = b":".join(
        unquote_to_bytes(part.encode("utf-8", "surrogateescape")) for part in (user, password)
    )
    return "Basic " + b2a_base64(pair, newline=False).decode()


def _variable(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """The variable's name as it is spelled where it is set, and its value."""
    if name in environment:
        return name, environment[name].strip()
    upper = name.upper()
    if upper in environment and not (upper == "HTTP_PROXY" and "REQUEST_METHOD" in environment):
        return upper, environment[upper].strip()
    return "", ""


def _bypassed(no_proxy: str, host: str, port: int) -> bool:
    """Whether `no_proxy` covers this host. Its entries are separated by commas or blanks. Each is a
    domain, which covers all names that end in it, an address or a network, and may have a port. "*"
    covers all."""
    host = host.rstrip(".").lower()
    return any(
        name == "*" or (wanted in ("", str(port)) and _covers(name, host))
        for name, wanted in _entries(no_proxy.lower())
    )


def _entries(no_proxy: str) -> Iterator[tuple[str, str]]:
    for entry in re.split(r"[\s,]+", no_proxy):
        if entry.startswith("["):
            name, _, port = entry[1:].partition("]")
            yield name, port.removeprefix(":")
        elif entry.count(":") == 1:
            name, _, port = entry.partition(":")
            yield name, port
        else:
            yield entry, ""


def _covers(name: str, host: str) -> bool:
    name = name.removeprefix("*").strip(".")
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:  # one of them is no address
        return bool(name) and (host == name or host.endswith("." + name))
