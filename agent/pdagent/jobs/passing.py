"""Passing on what a command writes, and keeping its last part.

Where standard output or error is a pipe, a stream socket or /dev/null, the command writes into a
pipe of ours, and each piece is passed on as soon as there is room for it. Nothing is read ahead, so
a slow reader slows the command down, as it would without us.

Everything else the command gets itself. With a pipe in its place, a terminal would no longer be a
terminal. And if a disk or a tape is full, only the command knows what to do: with a pipe in
between, half a dump would look like a whole one. Where each write is a message of its own, the pipe
would join and cut them. The last part of a file is read after the end of
the command.

The command may leave children behind that write to the same pipe. Nobody waits for them: a process
of ours stays behind for them, and ends when they do.
"""

import contextlib
import fcntl
import os
import select
import signal
import stat
from collections.abc import Iterator

KEPT_BYTES = 32_768
_PIECE = 65_536
# If poll(2) says that a pipe takes anything, it takes this much without making its writer wait.
_SURE = 4096
# After the command has ended, its pipe holds no more than this (/proc/sys/fs/pipe-max-size).
_LEFT_MOST = 1_048_576
_NULL = os.makedev(1, 3)  # /dev/null


class _Stream:
    """A pipe that the command writes into (`source`), and where that goes (`target`)."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.source, self.end = os.pipe()
        os.set_blocking(self.source, False)
        self.waiting = b""  # read, and not yet passed on
        self.open = True
        # /dev/null takes whatever it is given. Pipes and sockets could make us wait.
        self.most = _PIECE if stat.S_ISCHR(os.fstat(target).st_mode) else _SURE

    def close(self) -> None:
        """Closes the pipe, so that whoever still writes gets SIGPIPE or EPIPE."""
        if self.open:
            os.close(self.source)
            self.open = False


class _File:
    """A file that the command writes to, by a descriptor of ours."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._began = self._place()

    def _place(self) -> int:
        """Where the next piece goes. Our descriptor has one place with the command's."""
        if fcntl.fcntl(self._fd, fcntl.F_GETFL) & os.O_APPEND:
            return os.fstat(self._fd).st_size
        return os.lseek(self._fd, 0, os.SEEK_CUR)

    def last(self) -> bytes:
        """The last that was written since the start; nothing where we may not read the file."""
        try:
            place = self._place()
            began = self._began if self._began <= place else 0  # somebody has emptied it
            size = min(place - began, KEPT_BYTES)
            fd = os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.pread(fd, size, place - size)
            finally:
                os.close(fd)
        except OSError:
            return b""


class Passing:
    """Passes on what a command writes to standard output and error. `keeps`: whether its last part
    is wanted; if not, the command gets our descriptors as they are. Raises OSError if there are too
    few descriptors."""

    def __init__(self, keeps: bool) -> None:
        self.outputs: dict[int, int] = {}  # descriptors for the command, in the place of ours
        self._kept = b""  # KEPT_BYTES at most
        self._streams: list[_Stream] = []
        # A file behind standard output alone holds data, such as a dump, and no page is for that.
        self._file = _File(2) if keeps and _is_file(2) else None
        first: _Stream | None = None
        for fd in (1, 2) if keeps else ():
            if not _can_be_kept(fd):
                continue
            # If both go to one place, they get one pipe, so that the lines keep their order.
            if first is None or not os.path.sameopenfile(1, 2):
                first = self._stream(fd)
            self.outputs[fd] = first.end

    def _stream(self, fd: int) -> _Stream:
        try:
            made = _Stream(fd)
        except OSError:
            self.not_started()
            raise
        self._streams.append(made)
        return made

    def last(self) -> bytes:
        """The last part of what the command has written, KEPT_BYTES at most."""
        return (self._kept + (self._file.last() if self._file else b""))[-KEPT_BYTES:]

    def started(self) -> None:
        """Closes our copies of the command's ends, since it has been started."""
        for stream in self._streams:
            os.close(stream.end)

    def not_started(self) -> None:
        """Closes all pipes, since there is no command. Whoever tells of that needs descriptors,
        too."""
        self.started()
        for stream in self._streams:
            stream.close()

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
        self._kept = (self._kept + piece)[-KEPT_BYTES:]
        return True

    def _write(self, stream: _Stream) -> None:
        try:
            written = os.write(stream.target, stream.waiting[: stream.most])
        except BlockingIOError:
            return
        except OSError:  # the reader is gone, and the command is to know
            stream.waiting = b""
            stream.close()
        else:
            stream.waiting = stream.waiting[written:]

    def stay_behind(self) -> None:
        """Leaves a process behind that passes on what children of the command still write. It holds
        nothing else open, and ends when they do."""
        if os.fork():
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
    if not _is_open(fd):
        return False
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    # O_DIRECT: a pipe in which each write is a packet.
    if flags & os.O_ACCMODE == os.O_RDONLY or flags & os.O_DIRECT:
        return False
    found = os.fstat(fd)
    if stat.S_ISSOCK(found.st_mode):
        return _is_stream(fd)
    is_null = stat.S_ISCHR(found.st_mode) and found.st_rdev == _NULL
    return is_null or stat.S_ISFIFO(found.st_mode)


def _is_stream(fd: int) -> bool:
    """Whether a socket keeps no bounds between writes, as a pipe keeps none."""
    import socket  # which hardly any job needs

    try:
        with socket.socket(fileno=os.dup(fd)) as copy:
            return copy.type == socket.SOCK_STREAM
    except OSError:  # it may be a socket of any kind, and the command is run all the same
        return False


def _is_file(fd: int) -> bool:
    return _is_open(fd) and stat.S_ISREG(os.fstat(fd).st_mode)


def _is_open(fd: int) -> bool:
    # If a descriptor was closed when we were started, `quick` has put a file there that no command
    # inherits.
    return os.get_inheritable(fd)
