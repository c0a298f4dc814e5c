"""The service's environment: the part of it that decides which way events take.

The running daemon's own, where this user may see it; else what the files say that it is started
with; else nobody's but the caller's.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from pdagent.check import service
from pdagent.check.host import Host
from pdagent.config import Config
from pdagent.wire.environment import FILES, VARIABLES, parse


@dataclass(frozen=True, slots=True)
class Environment:
    """`values` of VARIABLES, and where they are from. `hidden`: a file that this user may not read,
    so that they are the caller's own. `stale`: files that say otherwise than the running daemon
    does."""

    values: Mapping[str, str]
    source: str
    hidden: str = ""
    stale: str = ""

    def apply(self, environment: MutableMapping[str, str]) -> None:
        """Makes a process go the daemon's way."""
        for name in VARIABLES:
            environment.pop(name, None)
        environment.update(self.values)


def find(settings: Config, host: Host, own: Mapping[str, str]) -> Environment:
    """The service's environment, as far as can be seen."""
    files: dict[str, str] = {}
    hidden = ""
    present = []
    for path in FILES:
        try:
            with open(host.path(path), encoding="utf-8", errors="replace") as file:
                files.update(parse(file.read(1_048_576)))
            present.append(path)
        except FileNotFoundError:
            continue
        except OSError:
            hidden = path
    running = _running(settings, host)
    if running is not None:
        stale = [name for name, value in files.items() if running.get(name) != value]
        return Environment(running, "the running daemon", stale=present[-1] if stale else "")
    if hidden or not present:
        return Environment(_of_interest(own), "your environment", hidden)
    return Environment(files, present[-1])


def _running(settings: Config, host: Host) -> dict[str, str] | None:
    pid = service.pid_of(settings, host)
    if pid is None:
        return None
    try:
        with open(host.path(f"/proc/{pid}/environ"), "rb") as file:
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return None
    return _of_interest(dict(line.split("=", 1) for line in text.split("\0") if "=" in line))


def _of_interest(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name in VARIABLES}
