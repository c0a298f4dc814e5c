"""Notifications: telling systemd how the daemon is doing. These are the parts of sd_notify(3) that
a service needs."""

import _socket
import contextlib
import os
from collections.abc import Mapping

SECONDS = 1.0
# The module socket, which is made of this one, would take 200 kB of every idle daemon's memory.
_KIND = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC


class Notifier:
    """Sends states to `NOTIFY_SOCKET`. Without that variable it does nothing."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self.watchdog_seconds = _watchdog(environment)

    def send(self, *states: str) -> None:
        """Sends these states, each as NAME=VALUE, if somebody takes them."""
        if not self._address:
            return
        try:
            with contextlib.closing(_socket.socket(_socket.AF_UNIX, _KIND)) as sock:
                sock.settimeout(SECONDS)  # a systemd that is stuck must not stop the daemon
                sock.sendto("\n".join(states).encode(), self._address)
        except OSError:
            pass  # systemd will find out by itself

    def ready(self) -> None:
        """The daemon sends events, or is done with a reload."""
        self.send("READY=1")

    def reloading(self, monotonic_ns: int) -> None:
        """The daemon began to read its configuration again, at this moment of CLOCK_MONOTONIC."""
        # With Type=notify-reload (systemd 253), systemd tells this reload from the one before by
        # its time.
        self.send("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns // 1000}")

    def stopping(self) -> None:
        """The daemon is about to end."""
        self.send("STOPPING=1")

    def alive(self) -> None:
        """The daemon is well, as far as its main loop knows."""
        if self.watchdog_seconds is not None:
            self.send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """What `systemctl status` shows, in one line."""
        self.send(f"STATUS={text}")


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """How often systemd wants to hear from this process, in seconds; None if it does not."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    pid = environment.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds.isdecimal() or int(microseconds) == 0 or pid != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000
