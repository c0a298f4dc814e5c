"""The daemon's log: `pdagentd.log`, bounded, in the old agent's line format. In the foreground the
daemon logs to stderr too, which is the journal under systemd. Only this module writes and reads the
format."""

import contextlib
import logging
import os
import re
import select
import sys
import time
from io import TextIOWrapper

from pdagent.threads import importing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMAT = "%(asctime)s %(levelname)-7s %(threadName)-20s %(name)-20s %(message)s"
_LINE = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d),(\d{3}) [A-Z]+ +\S+ +(\S+) +(\S.*)")
NAME = "pdagentd.log"
FILE_BYTES = 1_048_576
FILES = 5
LINE_CHARS = 2000
# A line waits so long for somebody to read stderr. Nothing is sent meanwhile.
READ_SECONDS = 1.0


def files(log_dir: str) -> list[str]:
    """The log's files, the oldest first. Not all of them need be there."""
    current = f"{log_dir}/{NAME}"
    return [f"{current}.{number}" for number in range(FILES, 0, -1)] + [current]


def read(line: str) -> tuple[float, str, str] | None:
    """When a line was written (seconds since the epoch), by which logger, and what it says. None
    for a line that is not the log's, and for the further lines of one message."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    year, month, day, hour, minute, second, thousandths = map(int, match.groups()[:7])
    at = time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
    return at + thousandths / 1000, match[8], match[9]


def set_up(log_dir: str, foreground: bool) -> None:
    """Starts logging. A log file that can't be written must not stop the daemon, which then logs to
    stderr alone."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    logging.raiseExceptions = False  # a full disk must not end in tracebacks
    problem = None
    handler = _handler(log_dir)
    root.addHandler(handler)
    try:
        handler.open()
    except OSError as error:
        problem = f"cannot write {log_dir}/{NAME}: {error.strerror}; logging to stderr only"
    if foreground or problem:
        console = _Console()
        console.setFormatter(_Formatter("%(levelname)s %(message)s"))
        root.addHandler(console)
    if problem:
        logging.getLogger("pdagent.log").warning(problem)
    # urllib3 warns of failures that verdicts tell in better words.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def last_words(log_dir: str, text: str) -> None:
    """Writes into the log, if that is possible, why a daemon does not even start."""
    logging.getLogger().addHandler(_handler(log_dir))
    logging.getLogger("main").error("%s", text)


class _Formatter(logging.Formatter):
    def formatException(self, ei: "Any") -> str:
        # The packaged program imports the module that prints tracebacks only now, and this may be
        # any thread.
        with importing:
            return super().formatException(ei)

    def formatMessage(self, record: logging.LogRecord) -> str:
        # A line may quote what anyone wrote: a few long ones must not replace the whole log.
        line = super().formatMessage(record)
        return line if len(line) <= LINE_CHARS else line[:LINE_CHARS] + "..."


class _Console(logging.Handler):
    """stderr. Its reader, such as a supervisor that hangs, may read no longer. Then lines are left
    out until it does, since a line that waits holds up all threads. The log's file has them."""

    _missed = 0  # lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            if self._missed:
                text = f"WARNING {self._missed} lines were left out: nobody read them\n{text}"
            self._missed = 0 if self._write(f"{text}\n") else self._missed + 1
        except Exception:
            self.handleError(record)

    def _write(self, text: str) -> bool:
        fd = sys.stderr.fileno()
        room = select.poll()
        room.register(fd, select.POLLOUT)
        until = time.monotonic() + (0.0 if self._missed else READ_SECONDS)
        data = text.encode("utf-8", "backslashreplace")
        while data:
            left = max(0.0, until - time.monotonic())
            if not room.poll(left * 1000) or not (written := _put(fd, data[: select.PIPE_BUF])):
                return False
            data = data[written:]
        return True


def _put(fd: int, data: bytes) -> int:
    """Writes PIPE_BUF bytes at most where there is room. Returns how many: a pipe, or a socket,
    that has room at all has it for all of them."""
    if not os.isatty(fd):
        return os.write(fd, data)
    # A terminal may have room for a few, and would wait for the rest. Whoever has it open too sees
    # the flag for a moment.
    before = os.get_blocking(fd)
    os.set_blocking(fd, False)
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
    finally:
        os.set_blocking(fd, before)


class _Rotated(logging.FileHandler):
    """A file that makes way for a new one when it is full. If somebody removed it, or it could not
    be opened, it is opened again as soon as possible. The handlers of logging.handlers would bring
    pickle, queues and sockets along: 0.8 MB that an idle daemon does not need."""

    stream: TextIOWrapper | None
    _file = (0, 0)  # the device and the inode of what is open

    def open(self) -> None:
        """Opens the file, and closes the one that was open. Its directory is made if need be.
        Raises OSError."""
        os.makedirs(os.path.dirname(self.baseFilename), exist_ok=True)
        old, self.stream = self.stream, self._open()
        opened = os.fstat(self.stream.fileno())
        self._file = opened.st_dev, opened.st_ino
        if old is not None:
            with contextlib.suppress(OSError):  # on a full disk, closing writes the rest in vain
                old.close()

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=_never_waiting)

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # then the old file grows until a new one can be opened
            if self.stream is None or (size := self._size()) is None:
                self.open()
            elif size >= FILE_BYTES:
                self._rename_all()
                self.open()
        if self.stream is not None:
            super().emit(record)

    def _size(self) -> int | None:
        """Bytes of the file that is open; None if it is not at its place any longer."""
        try:
            found = os.stat(self.baseFilename)
        except FileNotFoundError:
            return None
        return found.st_size if (found.st_dev, found.st_ino) == self._file else None

    def _rename_all(self) -> None:
        for number in range(FILES, 0, -1):
            # crash between two of these: a number is missing until the next rotation fills it
            with contextlib.suppress(FileNotFoundError):
                os.replace(self._numbered(number - 1), self._numbered(number))

    def _numbered(self, number: int) -> str:
        return f"{self.baseFilename}.{number}" if number else self.baseFilename


def _never_waiting(path: str, flags: int) -> int:
    # where a FIFO that nobody reads is in the file's place, or a link to a terminal
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY, 0o666)


def _handler(log_dir: str) -> _Rotated:
    handler = _Rotated(files(log_dir)[-1], encoding="utf-8", delay=True)
    handler.setFormatter(_Formatter(FORMAT))
    return handler
