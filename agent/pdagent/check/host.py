"""The host, as the checks see it: its clock, its files, and the few programs that they ask."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pdagent import threads

PROGRAM_SECONDS = 5.0
# How long the daemon may take to answer. A daemon that is well answers within a second, but it may
# take longer on a busy host. Whoever has a daemon that hangs is told after this time. It is less
# than what `catalogue` gives a check, and what systemd gives a reload.
ANSWER_SECONDS = 20.0


def ask(command: Sequence[str]) -> str | None:
    """What a program prints; None if there is no such program, or if it does not end in time."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROGRAM_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip()


@dataclass(frozen=True)
class Host:
    """This host. Tests hand in another. `root` is put before paths that no setting names. `now`
    gives seconds since the epoch."""

    root: str = ""
    now: Callable[[], float] = time.time
    ask: Callable[[Sequence[str]], str | None] = ask
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = threads.pause

    def path(self, path: str) -> str:
        """Where this host has a path that no setting names."""
        return self.root + path

    def exists(self, path: str) -> bool:
        """Whether it has one."""
        return os.path.exists(self.path(path))

    @property
    def has_systemd(self) -> bool:
        """Whether systemd runs here."""
        return self.exists("/run/systemd/system")

    def service(self, verb: str) -> str:
        """The command that starts, restarts or reloads the service on this host."""
        return f"systemctl {verb} pdagent" if self.has_systemd else f"service pdagent {verb}"
