"""Signals: how a signal, or another thread, wakes the main thread."""

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
        """Wakes the main thread. Any thread may call this."""
        # If the pipe is full, the main thread is about to look. After any other error it looks by
        # itself, a little later. A worker must not die of the error, as it has just claimed an
        # event.
        with contextlib.suppress(OSError):
            os.write(self._sender, b"\0")

    def take(self) -> set[int]:
        """The signals that came since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 4096)
        received, self._received = self._received, set()
        return received
