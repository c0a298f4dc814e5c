"""The background: the daemon detaches, as the old `pdagentd` did. The command returns when the
daemon is ready; if the daemon can't start, the command returns its exit code."""

import contextlib
import os
import signal
from collections.abc import Callable

from pdagent import exits


def daemonize(pid_file: str, serve: Callable[[Callable[[], None]], int]) -> int:
    """Runs `serve` in a detached process. `serve` is handed a function, and calls it once it is
    ready.

    In the caller's process this returns 0 after that call, or the exit code of the process that
    ended before it.
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

    def ready() -> None:
        nonlocal serving
        with open(pid_file, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        os.chmod(pid_file, 0o644)
        serving = True
        quiet = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(quiet, fd)
        os.write(sender, bytes([exits.DONE]))
        os.close(sender)

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the daemon is ready to reload
    code = serve(ready)
    if serving:  # otherwise `sender` is still open
        _remove(pid_file)
    else:
        os.write(sender, bytes([code]))
    return code


def _remove(pid_file: str) -> None:
    # Where somebody removed the lock's file, another daemon may have begun meanwhile.
    with contextlib.suppress(OSError, ValueError):
        with open(pid_file, encoding="ascii") as file:
            pid = int(file.read(32))
        if pid == os.getpid():
            os.unlink(pid_file)
