"""Signals: how the main thread is woken by a signal, and by another thread's nudge."""

import contextlib
import os
import signal

_CAUGHT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """Catches the daemon's signals from construction on. `fd` is readable after a signal, and after
    a nudge."""

    def __init__(self) -> None:
        self._received: set[int] = set()
        self.fd, self._sender = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._sender, warn_on_full_buffer=False)
        for number in _CAUGHT:
            signal.signal(number, lambda received, _: self._received.add(received))

    def nudge(self) -> None:
        """Wakes the main thread; from any thread."""
        # Full: the main thread is about to look. Any other error costs the time until it looks by
        # itself; a worker that died of it would cost the event that it has just claimed.
        with contextlib.suppress(OSError):
            os.write(self._sender, b"\0")

    def take(self) -> set[int]:
        """The signals that came since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 4096)
        received, self._received = self._received, set()
        return received
