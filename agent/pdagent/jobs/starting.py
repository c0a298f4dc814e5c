"""Starting a command: as `env` does, with all that this process was given.

The command gets the environment, the directory, every open descriptor and the ignored signals that
`pd-send` was started with; only SIGPIPE and SIGXFSZ, which Python ignores, are never ignored. It
stays in the process group of `pd-send`, so that a terminal's ^C and ^Z reach it as ever, unless it
is to have one of its own.
"""

import errno
import os
import signal
from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

NOT_FOUND, CANNOT_RUN = 127, 126  # what env, nice and shells exit with


def is_not_found(error: OSError) -> bool:
    """Whether there is no such command."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR)


def start(
    command: list[str],
    outputs: Mapping[int, int],
    dispositions: Mapping[int, signal.Handlers],
    mask: set[int],
    own_group: bool,
) -> int:
    """The pid of the command, which runs. Raises OSError if it can't be run.

    `outputs`: for descriptors of the command, which of ours takes their place. `dispositions` and
    `mask`: its signals.
    """
    told, tell = os.pipe()  # closed by a successful exec(2), so that nobody waits for it
    try:
        pid = os.fork()
    except OSError:
        os.close(told)
        os.close(tell)
        raise
    if not pid:
        _become(command, outputs, dispositions, mask, own_group, tell)
    os.close(tell)
    number = os.read(told, 16)
    os.close(told)
    if number:
        os.waitpid(pid, 0)
        raise OSError(int(number), os.strerror(int(number)))
    return pid


def _become(
    command: list[str],
    outputs: Mapping[int, int],
    dispositions: Mapping[int, signal.Handlers],
    mask: set[int],
    own_group: bool,
    tell: int,
) -> "NoReturn":
    """Becomes the command, in the child. Tells the parent by `tell` why that failed."""
    number = errno.ENOEXEC
    try:
        for target, fd in outputs.items():
            os.dup2(fd, target)
        if own_group:
            os.setpgid(0, 0)
        # Signals are held back until here: none of them may reach a handler of pd-send's.
        for which, disposition in dispositions.items():
            signal.signal(which, disposition)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _execute(command)
    except OSError as error:
        number = error.errno or number
    finally:
        os.write(tell, b"%d" % number)
        os._exit(CANNOT_RUN)


def _execute(command: list[str]) -> None:
    """execvp(3). Python's own runs no script without a first line that names its shell."""
    name = command[0]
    places = [name]
    if "/" not in name:
        search = os.environ.get("PATH", os.defpath).split(":")
        places = [f"{directory or '.'}/{name}" for directory in search] if name else []
    problem = OSError(errno.ENOENT, "")
    for place in places:
        try:
            os.execv(place, command)  # noqa: S606
        except OSError as error:
            if error.errno == errno.ENOEXEC:
                os.execv("/bin/sh", ["sh", place, *command[1:]])  # noqa: S606
            # One that may not be run counts, unless a later directory has one that may; a directory
            # that may not be looked into does not.
            if place == name or os.path.lexists(place):
                problem = error
    raise problem
