"""The screen: the whole terminal as lines that are drawn again and again. However that ends, the
terminal is left as it was found. All escape sequences are known to every terminal since the
VT220."""

import contextlib
import os
import select
import signal
import sys
import termios
from collections.abc import Sequence
from types import FrameType

from pdagent.commands.text import cut

# To enter: the terminal's other screen, no cursor, long lines not wrapped. To leave: the reverse.
_ENTER, _LEAVE = b"\033[?1049h\033[?25l\033[?7l", b"\033[?7h\033[?25h\033[?1049l"
_HOME, _CLEAR_LINE, _BELOW = "\033[H", "\033[K", "\033[J"
STYLES = {"": "", "title": "1", "heading": "7", "held": "33", "error": "31", "faint": "2"}
_ENDING = (signal.SIGTERM, signal.SIGHUP)

Line = tuple[str, str]  # a style of STYLES, and a text that was escaped


class Screen:
    """The terminal at stdout, from `with` to its end. `colour`: whether styles show."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour
        self._before: list[object] | None = None
        self._awake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> "Screen":
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in _ENDING:
            signal.signal(number, _end)
        signal.signal(signal.SIGWINCH, _nothing)  # it ends the wait
        signal.signal(signal.SIGTSTP, self._suspend)
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C must not prevent the terminal from being restored.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._give_back()
        signal.set_wakeup_fd(-1)
        os.close(self._awake)
        os.close(self._waker)

    def _take(self) -> None:
        if os.isatty(0):
            with contextlib.suppress(termios.error):
                self._before = termios.tcgetattr(0)
                quiet = termios.tcgetattr(0)
                quiet[3] &= ~(termios.ECHO | termios.ICANON)
                termios.tcsetattr(0, termios.TCSADRAIN, quiet)
        _write(_ENTER)

    def _give_back(self) -> None:
        _write(_LEAVE)
        if self._before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(0, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]

    def _suspend(self, _number: int, _frame: FrameType | None) -> None:
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()  # a shell has continued us; the signal has ended the wait

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        with contextlib.suppress(OSError):
            found = os.get_terminal_size(1)
            if found.columns and found.lines:
                return found.columns, found.lines
        return 80, 24

    def draw(self, lines: Sequence[Line]) -> None:
        """Shows these lines, cut to the screen, and nothing else."""
        columns, rows = self.size()
        drawn = "\r\n".join(self._styled(*line, columns) for line in lines[:rows])
        _write((_HOME + drawn + _BELOW).encode("utf-8", "replace"))

    def _styled(self, style: str, text: str, columns: int) -> str:
        text = cut(text, columns)
        if self._colour and STYLES[style]:
            text = f"\033[{STYLES[style]}m{text}\033[0m"
        # The rest of the line is cleared before the text is written. After a text as long as the
        # line, clearing would remove its last column.
        return _CLEAR_LINE + text

    def wait(self, seconds: float) -> str:
        """Waits for something on the terminal, or until the time is up. Returns what was typed."""
        watched = [self._awake, 0] if self._before is not None else [self._awake]
        ready, _, _ = select.select(watched, [], [], seconds)
        if self._awake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._awake, 4096)
        if 0 not in ready:
            return ""
        typed = os.read(0, 64)
        if not typed:
            self._before = None  # the terminal has hung up: nobody types any more
        return typed.decode("ascii", "replace")


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
