"""A terminal for a process, and what a person sees on it: a pseudo-terminal of the kernel, and an
emulator that understands what is written to it."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

import pyte

from tests.support.agent import PATIENCE_SECONDS

_LAST = b"\0"


class Terminal:
    """Runs a command on a terminal of its own, as the leader of its session."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        columns: int = 100,
        rows: int = 30,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._master, slave = pty.openpty()
        self._resize(columns, rows)
        self.modes = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={"TERM": "xterm-256color", **environment},
            cwd="/",
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
        )
        self._slave = slave

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    @property
    def lines(self) -> list[str]:
        """What is on the screen, line by line."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """As a window is: the kernel tells the process in the foreground."""
        self.screen.resize(rows, columns)
        self._resize(columns, rows)

    def _resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, text: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Until the screen shows this."""
        deadline = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < deadline, f"no {text!r} on the screen:\n{self.text}"
            self.read(0.2)

    def until_line(self, number: int, text: str) -> None:
        """Until a line of the screen is this."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.lines[number] != text:
            assert time.monotonic() < deadline, f"no {text!r} in line {number}:\n{self.text}"
            self.read(0.2)

    def end(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Until the process has ended; its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still running:\n{self.text}"
            self.read(0.05)
        # What it wrote last may be on its way through the kernel, where this follows it. Neither
        # people nor the emulator see the character.
        os.write(self._slave, _LAST)
        while not self.raw.endswith(_LAST):
            self.read(0.2)
        self.raw = self.raw.removesuffix(_LAST)
        return self.process.returncode

    @property
    def is_sane(self) -> bool:
        """Whether the terminal is as it was found: its modes, the cursor, the ordinary screen."""
        modes = termios.tcgetattr(self._slave) == self.modes
        left = self.raw.rfind(b"\033[?1049l") > self.raw.rfind(b"\033[?1049h")
        shown = self.raw.rfind(b"\033[?25h") > self.raw.rfind(b"\033[?25l")
        wraps = self.raw.rfind(b"\033[?7h") > self.raw.rfind(b"\033[?7l")
        return modes and left and shown and wraps

    def read(self, seconds: float) -> None:
        """Takes what is written to the terminal, waiting for it that long."""
        with contextlib.suppress(OSError):
            while select.select([self._master], [], [], seconds)[0]:
                data = os.read(self._master, 65_536)
                self.raw += data
                self._stream.feed(data)
                seconds = 0.0
