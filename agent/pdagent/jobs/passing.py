"""Passing on what a command writes, and keeping its last part.

If standard output or error is a terminal, the command gets the terminal itself. Then nothing is
kept, since that would need a pseudo-terminal. Otherwise the command writes into a pipe, and each
piece is passed on as soon as there is room for it. Nothing is read ahead, so a slow reader slows
the command down, as it would without us.

The command may leave children behind that write to the same pipe. Nobody waits for them: a process
of ours stays behind for them, and ends when they do.
"""

import contextlib
import os
import select
import signal
import stat
from collections.abc import Iterator

KEPT_BYTES = 32_768
_PIECE = 65_536
# If poll(2) says that a pipe takes anything, it takes so many bytes without making its writer wait.
_SURE = 4096
# After the command has ended, its pipe can hold so many bytes (/proc/sys/fs/pipe-max-size).
_LEFT_MOST = 1_048_576


class _Stream:
    """A pipe that the command writes into (`source`), and where that goes (`target`)."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.source, self.end = os.pipe()
        os.set_blocking(self.source, False)
        self.waiting = b""  # read, and not yet passed on
        self.open = True
        found = os.fstat(target)
        # Files take whatever they are given. Pipes and sockets could make us wait.
        self.most = _PIECE if stat.S_ISREG(found.st_mode) else _SURE

    def close(self) -> None:
        """Closes the pipe, so that whoever still writes gets SIGPIPE or EPIPE."""
        if self.open:
            os.close(self.source)
            self.open = False


class Passing:
    """Passes on what a command writes to standard output and error. `keeps`: whether its last part
    is wanted; if not, the command gets our descriptors as they are."""

    def __init__(self, keeps: bool) -> None:
        self.last = b""  # KEPT_BYTES at most
        self.outputs: dict[int, int] = {}  # descriptors for the command, in the place of ours
        self._streams: list[_Stream] = []
        first: _Stream | None = None
        for fd in (1, 2) if keeps else ():
            if not _can_be_kept(fd):
                continue
            # If both go to one place, they get one pipe, so that the lines keep their order.
            if first is None or not os.path.sameopenfile(1, 2):
                first = _Stream(fd)
                self._streams.append(first)
            self.outputs[fd] = first.end

    def started(self) -> None:
        """Closes our copies of the command's ends, since it has been started."""
        for stream in self._streams:
            os.close(stream.end)

    def interests(self) -> Iterator[tuple[int, int]]:
        """Descriptors, and the events to poll them for."""
        for stream in self._streams:
            if stream.waiting:
                yield stream.target, select.POLLOUT
            elif stream.open:
                yield stream.source, select.POLLIN

    def step(self, ready: set[int]) -> None:
        """Reads and writes once, where poll(2) said that this will not wait."""
        for stream in self._streams:
            if stream.waiting and stream.target in ready:
                self._write(stream)
            elif not stream.waiting and stream.open and stream.source in ready:
                self._read(stream)

    def take_the_rest(self) -> None:
        """Reads what the command has left in its pipes, since it ended."""
        for stream in self._streams:
            while stream.open and len(stream.waiting) < _LEFT_MOST and self._read(stream):
                pass

    @property
    def waits(self) -> bool:
        """Whether something that was read has not yet been passed on."""
        return any(stream.waiting for stream in self._streams)

    @property
    def is_open(self) -> bool:
        """Whether a child of the command may still write."""
        return any(stream.open for stream in self._streams)

    def _read(self, stream: _Stream) -> bool:
        try:
            piece = os.read(stream.source, _PIECE)
        except BlockingIOError:
            return False
        if not piece:
            stream.close()
            return False
        stream.waiting += piece
        self.last = (self.last + piece)[-KEPT_BYTES:]
        return True

    def _write(self, stream: _Stream) -> None:
        try:
            written = os.write(stream.target, stream.waiting[: stream.most])
        except BlockingIOError:
            return
        except BrokenPipeError:
            stream.waiting = b""
            stream.close()
        except OSError:
            # Such as a full disk. Without us the command would have got the error, and most
            # commands ignore it. So this piece is lost, and the command runs on.
            stream.waiting = b""
        else:
            stream.waiting = stream.waiting[written:]

    def stay_behind(self) -> None:
        """If children of the command still write, leaves a process behind that passes that on. It
        holds nothing else open, and ends when they do."""
        self.take_the_rest()
        if not self.is_open or os.fork():
            return
        with contextlib.suppress(BaseException):
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            self._let_go()
            while self.is_open or self.waits:
                poller = select.poll()
                for fd, events in self.interests():
                    poller.register(fd, events)
                self.step({fd for fd, _ in poller.poll()})
        os._exit(0)

    def _let_go(self) -> None:
        """Closes other descriptors, which may hold locks, and leaves the directory, which somebody
        may want to unmount."""
        kept = {fd for stream in self._streams for fd in (stream.source, stream.target)}
        with contextlib.suppress(OSError):
            os.chdir("/")
            for fd in set(map(int, os.listdir("/proc/self/fd"))) - kept:
                with contextlib.suppress(OSError):
                    os.close(fd)


def _can_be_kept(fd: int) -> bool:
    """Whether a pipe may take the place of this descriptor."""
    # If a descriptor was closed when we were started, we have put a file there that no command
    # inherits.
    return os.get_inheritable(fd) and not os.isatty(fd)
