"""Watching a command: its end, its time, what it writes, and the signals that are meant for it.

`pd-send` is the command's parent. It hands on the signals that it gets, except those that a
terminal sends to both. Signal handlers do nothing. Each signal is a byte in a pipe, so that one
loop sees all of them, in order.
"""

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass

from pdagent.jobs import starting
from pdagent.jobs.passing import Passing

GRACE_SECONDS = 10.0  # from SIGTERM to SIGKILL, and from SIGKILL to saying that it did not help
_POLL_SECONDS = 86_400.0  # of one poll(2); it takes no more than 24 days
# Python ignores these two, and the command must not inherit that.
_PYTHONS = (signal.SIGPIPE, signal.SIGXFSZ)
# These are about pd-send itself, whoever sends them: its end, its stop, its own child, its limits,
# its mistakes, and its place in the background of a terminal, which the command shares.
_ITS_OWN = (
    *(signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, *_PYTHONS, signal.SIGXCPU),
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGTRAP),
    *(signal.SIGTTIN, signal.SIGTTOU),
)
# All others are meant for the command: KillSignal= of a unit may be any.
_HANDED_ON = tuple(signal.valid_signals() - set(_ITS_OWN))
# A terminal sends these to all of its foreground group.
_BY_TERMINAL = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH)
_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_TIMED_OUT = 124  # as timeout(1) has it


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended, `seconds` after its start.

    `code` is what to exit with: the command's own, 128+n after signal n (`killed_by`), 126 or 127
    where it could not be run (`problem` says why). `is_running`: not even SIGKILL has ended it.
    """

    code: int
    seconds: float
    killed_by: int = 0
    problem: str = ""
    timed_out: bool = False
    is_running: bool = False

    @property
    def failed(self) -> bool:
        """Whether that is worth a page."""
        return self.code != 0 or self.timed_out


def not_run(error: OSError) -> Ending:
    """The end of a command that could not begin."""
    return Ending(starting.CANNOT_RUN, 0.0, problem=f"cannot be run: {error.strerror}")


class Watch:
    """A command, from its start to its end. `timeout`: seconds, None for as long as it takes."""

    def __init__(self, command: list[str], passing: Passing, timeout: float | None) -> None:
        self._command = command
        self._passing = passing
        # A group of its own can be ended as a whole, with the children of a shell. But whom a
        # terminal serves has to stay in our process group, to read from it, and to get its ^C.
        self._own_group = timeout is not None and not _has_terminal()
        self._pid = 0
        self._status: int | None = None
        self._began = time.monotonic()
        self._next = None if timeout is None else self._began + timeout  # when to send a signal
        self._sent: list[int] = []  # the signals that were sent after time was up
        self._wake = self._woken = -1
        self._is_stopped = False  # True once a signal says to stop passing on what is left
        self._ignored: set[int] = set()  # signals that we were started to ignore

    def begin(self) -> Ending | None:
        """Starts the command. If that fails, returns how."""
        try:
            self._wake, self._woken = os.pipe()
        except OSError as error:
            self._passing.not_started()
            return not_run(error)
        for fd in (self._wake, self._woken):
            os.set_blocking(fd, False)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, (*_HANDED_ON, signal.SIGCHLD))
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        before = {n: signal.signal(n, _note) for n in (*_HANDED_ON, signal.SIGCHLD)}
        self._ignored = {number for number, handler in before.items() if handler == signal.SIG_IGN}
        theirs: dict[int, signal.Handlers] = {
            n: signal.SIG_IGN if n in self._ignored else signal.SIG_DFL for n in before
        }
        theirs.update(dict.fromkeys(_PYTHONS, signal.SIG_DFL))
        self._began = time.monotonic()
        try:
            self._pid = starting.start(
                self._command, self._passing.outputs, theirs, mask, self._own_group
            )
        except OSError as error:
            self._passing.not_started()
            if starting.is_not_found(error):
                return Ending(starting.NOT_FOUND, 0.0, problem="not found")
            return not_run(error)
        else:
            self._passing.started()
        finally:
            # Whoever started us may block SIGCHLD, and the end of the command must wake us.
            signal.pthread_sigmask(signal.SIG_SETMASK, mask - {signal.SIGCHLD})
        return None

    def end(self) -> Ending:
        """Waits for the end of the command. If its time is up and SIGKILL does not end it, this
        returns, too; then it may be called once more."""
        while not self._reaped() and not self._is_stuck():
            self._step()
        self._next = None
        if self._status is None:
            code = 128 + signal.SIGKILL
            return Ending(code, self._seconds(), timed_out=True, is_running=True)
        self._passing.take_the_rest()
        # What goes out without waiting goes out before anything else is done.
        while self._passing.waits and self._step(0.0):
            pass
        timed_out = bool(self._sent)
        code = os.waitstatus_to_exitcode(self._status)
        if code < 0:
            return Ending(128 - code, self._seconds(), killed_by=-code, timed_out=timed_out)
        code = code or (_TIMED_OUT if timed_out else 0)
        return Ending(code, self._seconds(), timed_out=timed_out)

    def pass_on(self) -> None:
        """Passes on what the ended command has written, however slow the reader is, unless a signal
        says to end. Then leaves a process behind, if children of the command's still write."""
        self._pass_on_what_waits()
        # Such children may have written their last since the command ended: a page takes a while.
        self._passing.take_the_rest()
        if self._passing.is_open:
            with contextlib.suppress(OSError):
                self._passing.stay_behind()
        else:
            self._pass_on_what_waits()
        # On its way out Python takes its signal handlers away. A signal must not end us then: the
        # command has ended, and the exit code is to be its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDED_ON)

    def _pass_on_what_waits(self) -> None:
        while self._passing.waits and not self._is_stopped:
            self._step()

    def _step(self, most: float | None = None) -> bool:
        """Waits for something to do, `most` seconds at most, and does it. Returns False if nothing
        came."""
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        for fd, events in self._passing.interests():
            poller.register(fd, events)
        rest = most if self._next is None else max(0.0, self._next - time.monotonic())
        wait = None if rest is None else min(rest, _POLL_SECONDS) * 1000 + 1
        ready = {fd for fd, _ in poller.poll(wait)}
        self._passing.step(ready)
        if self._wake in ready:
            for number in os.read(self._wake, 4096):
                self._take(number)
        if self._next is not None and time.monotonic() >= self._next:
            self._end_it()
        return bool(ready)

    def _take(self, number: int) -> None:
        if number == signal.SIGCHLD:
            return  # the loop sees by itself whether the command has ended
        if self._status is not None:
            if number in _ENDING and number not in self._ignored:
                self._is_stopped = True
            return
        if self._own_group or number not in _BY_TERMINAL or not _is_in_foreground():
            self._send(number)
        if number == signal.SIGTSTP and number not in self._ignored:
            os.kill(os.getpid(), signal.SIGSTOP)  # until somebody continues both

    def _send(self, number: int) -> None:
        # The process may be another user's by now, as with sudo. Then we may not end it.
        with contextlib.suppress(OSError):
            (os.killpg if self._own_group else os.kill)(self._pid, number)

    def _reaped(self) -> bool:
        # As the first process of a container we are the parent of all that the command leaves
        # behind, too.
        while self._status is None:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return False
            if pid == self._pid:
                self._status = status
        return True

    def _end_it(self) -> None:
        """Time is up: first SIGTERM, then SIGKILL."""
        if len(self._sent) < 2:
            number = signal.SIGKILL if self._sent else signal.SIGTERM
            self._send(number)
            self._send(signal.SIGCONT)  # a stopped process can't end
            self._sent.append(number)
        else:
            self._sent.append(0)  # nothing is left to do
        self._next = time.monotonic() + GRACE_SECONDS

    def _is_stuck(self) -> bool:
        return len(self._sent) == 3 and self._next is not None

    def _seconds(self) -> float:
        return time.monotonic() - self._began


def _note(*_: object) -> None:
    """A signal came: Python has written its number into the pipe."""


def _has_terminal() -> bool:
    return any(map(os.isatty, (0, 1, 2))) or _is_in_foreground()


def _is_in_foreground() -> bool:
    """Whether a terminal sends its signals to us, and so to the command too."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
