"""The background: the daemon detaches, as the old `pdagentd` did. The command returns when the
daemon is ready; if the daemon can't start, the command returns its exit code."""

import contextlib
import logging
import os
import signal
from collections.abc import Callable

from pdagent import exits
from pdagent.queue.regular import read_regular
from pdagent.queue.state import write_whole

log = logging.getLogger("main")


def daemonize(pid_file: str, serve: Callable[[Callable[[], None]], int]) -> int:
    """Runs `serve` in a detached process. `serve` is handed a function, and calls it once it is
    ready, and from time to time after that.

    In the caller's process this returns 0 after the first call, or the exit code of the process
    that ended before it.
    """
    receiver, sender = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(sender)
        with open(receiver, "rb") as answer:
            said = answer.read()
        return said[0] if said else exits.NOT_PERMITTED
    os.setsid()  # no terminal, no process group that a hang-up reaches
    if os.fork():
        os._exit(exits.DONE)
    os.close(receiver)
    os.chdir("/")
    code = _run(pid_file, serve, sender)
    os._exit(code)


def _run(pid_file: str, serve: Callable[[Callable[[], None]], int], sender: int) -> int:
    serving = False
    note = _PidFile(pid_file)

    def ready() -> None:
        nonlocal serving
        note.keep()
        if serving:
            return
        serving = True
        quiet = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(quiet, fd)
        os.write(sender, bytes([exits.DONE]))
        os.close(sender)

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the daemon is ready to reload
    code = serve(ready)
    if serving:  # otherwise `sender` is still open
        note.remove()
    else:
        os.write(sender, bytes([code]))
    return code


class _PidFile:
    """By it the init script finds the daemon, to stop it, in an upgrade too."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._ours = False  # False while it is not there, or is an earlier daemon's
        self._failed = False

    def keep(self) -> None:
        """Writes the file, unless it is there. Pages go out without it."""
        if self._ours and os.path.lexists(self._path):
            return
        try:
            write_whole(self._path, f"{os.getpid()}\n", 0o644, durable=False)
        except OSError as error:
            if not self._failed:
                what = f"cannot write {self._path}, so no init script finds the daemon"
                log.error("%s: %s", what, error.strerror)
            self._failed = True
            return
        if self._ours or self._failed:
            log.error("the pid file %s was missing: made anew", self._path)
        self._ours, self._failed = True, False

    def remove(self) -> None:
        # Where somebody removed the queue, another daemon may have begun with a new one meanwhile.
        with contextlib.suppress(OSError, ValueError):
            if int(read_regular(self._path, 32)) == os.getpid():
                os.unlink(self._path)
