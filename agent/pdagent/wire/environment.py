"""The service's environment, for processes that are not the service and want to go its way."""

from collections.abc import Iterator, MutableMapping

FILES = ("/etc/default/pdagent", "/etc/sysconfig/pdagent")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
FILE_BYTES = 1_048_576
VARIABLES = (*_PROXIES, *(name.upper() for name in _PROXIES), "SSL_CERT_FILE")


def parse(text: str) -> dict[str, str]:
    """The VARIABLES that a file of NAME=value lines sets. It is read as systemd and the init script
    read it."""
    values = {}
    for _, name, value in _assignments(text):
        if name in VARIABLES:
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            values[name] = value
    return values


def oddities(text: str) -> Iterator[tuple[int, str]]:
    """The numbers of lines that do something else than their writer meant, and what that is."""
    for number, name, value in _assignments(text):
        words = name.split()
        if words[:1] == ["export"] and words[1:] and words[1] in VARIABLES:
            yield number, f"is ignored, for it begins with export: write {words[1]}=…"
        elif name in VARIABLES and " #" in value:
            yield number, f"the comment is part of the value: put it on a line above {name}=…"


def _assignments(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()  # also of the CR that editors of other systems write
        name, equals, value = line.partition("=")
        if equals and line[0] not in "#;":
            yield number, name.strip(), value.strip()


def take_over(environment: MutableMapping[str, str]) -> str:
    """Gives this process the daemon's proxies and CA file, as far as its files can be read. What
    they do not set stays. Returns why a file can't be read; "" if all could be."""
    hidden = ""
    for path in FILES:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                values = parse(file.read(FILE_BYTES))
            for name in values:
                environment.pop(name.lower(), None)  # else it would win over one in upper case
            environment.update(values)
        except FileNotFoundError:
            continue
        except OSError as error:
            hidden = f"cannot read {path}: {error.strerror}"
    return hidden
