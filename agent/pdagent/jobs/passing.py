"""Passing on what a command writes, and keeping its last part.

Where standard output or error is a terminal, the command has the terminal itself: nothing is kept,
since only a pseudo-terminal could. Elsewhere it writes into a pipe, and each piece is passed on as
soon as it is there and there is room for it. Nobody reads ahead: a reader that is slow slows the
command down, as ever.

The command may leave children behind that write to the same pipe. They are not waited for: a
process of our own stays behind for them, and ends when they do.
"""

import contextlib
import os
import select
import signal
import stat
from collections.abc import Iterator

KEPT_BYTES = 32_768
_PIECE = 65_536
# What a pipe takes without making its writer wait, if poll(2) says that it takes anything.
_SURE = 4096
# What a pipe can hold (/proc/sys/fs/pipe-max-size), when the command has ended.
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
        """Nobody will read what comes. Who writes gets SIGPIPE, or EPIPE."""
        if self.open:
            os.close(self.source)
            self.open = False


class Passing:
    """What a command writes to standard output and error, on its way. `keeps`: whether its last
    part is wanted; else the command has our descriptors as they are."""

    def __init__(self, keeps: bool) -> None:
        self.last = b""  # KEPT_BYTES at most
        self.outputs: dict[int, int] = {}  # descriptors for the command, in the place of ours
        self._streams: list[_Stream] = []
        first: _Stream | None = None
        for fd in (1, 2) if keeps else ():
            if not _can_be_kept(fd):
                continue
            # One pipe for both, where both go to one place: the order of lines stays.
            if first is None or not os.path.sameopenfile(1, 2):
                first = _Stream(fd)
                self._streams.append(first)
            self.outputs[fd] = first.end

    @property
    def keeps(self) -> bool:
        """Whether anything is kept: not where all goes to a terminal, or nowhere."""
        return bool(self._streams)

    def started(self) -> None:
        """The command has its ends of the pipes."""
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
        """Whether some child of the command's may still write."""
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
            # A full disk, say. The command would have been told, and most do not care: this much is
            # lost, and it runs on.
            stream.waiting = b""
        else:
            stream.waiting = stream.waiting[written:]

    def stay_behind(self) -> None:
        """For children of the command's that still write: a process that goes on passing that on,
        after this one. It holds nothing else open, and ends when they do."""
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
        """Of a lock that is held by a descriptor, of a directory that is to be unmounted."""
        kept = {fd for stream in self._streams for fd in (stream.source, stream.target)}
        with contextlib.suppress(OSError):
            os.chdir("/")
            for fd in set(map(int, os.listdir("/proc/self/fd"))) - kept:
                with contextlib.suppress(OSError):
                    os.close(fd)


def _can_be_kept(fd: int) -> bool:
    """Whether a pipe may take the place of this descriptor."""
    # What was closed when we were started is held by something that no command gets.
    return os.get_inheritable(fd) and not os.isatty(fd)
