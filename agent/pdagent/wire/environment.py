"""The service's environment, for those who are not the service: which way the daemon goes out."""

from collections.abc import MutableMapping

FILES = ("/etc/default/pdagent", "/etc/sysconfig/pdagent")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
VARIABLES = (*_PROXIES, *(name.upper() for name in _PROXIES), "SSL_CERT_FILE")


def parse(text: str) -> dict[str, str]:
    """The VARIABLES that a file of NAME=value lines sets, as systemd and the init script read
    it."""
    values = {}
    for line in text.split("\n"):
        name, equals, value = line.strip().partition("=")
        if equals and name.strip() in VARIABLES:
            value = value.strip()
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            values[name.strip()] = value
    return values


def take_over(environment: MutableMapping[str, str]) -> str:
    """Makes this process go the daemon's way, as far as its files can be read; what they do not
    set stays. Returns why one that is there can't be read, "" if all could."""
    hidden = ""
    for path in FILES:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                environment.update(parse(file.read(1_048_576)))
        except FileNotFoundError:
            continue
        except OSError as error:
            hidden = f"cannot read {path}: {error.strerror}"
    return hidden
