"""Wording: how a command ended, and the last that it wrote, for a person. Pure."""

import os
import re
import shlex
import signal
from collections.abc import Sequence

from pdagent.encoding import shorten
from pdagent.jobs.watching import Ending
from pdagent.shown import printable

COMMAND_CHARS = 2048
LINES = 20  # of output that a page has, unless another number is wanted
LINE_CHARS = 1000
# Colours, and what else terminals obey. A title that has no end hides its own line only.
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def name_of(command: Sequence[str]) -> str:
    """What to call a command."""
    name = printable(os.path.basename(command[0].rstrip("/")) or command[0])[:80]
    return name if name.strip() else f"'{name}'"  # an empty variable, say


def written(command: Sequence[str]) -> str:
    """The command as somebody would type it."""
    return shorten(printable(shlex.join(command)), COMMAND_CHARS)


def lasting(seconds: float) -> str:
    """A span of time: 0.4 s, 41 s, 12 min, 3 h 5 min."""
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def how(ending: Ending) -> str:
    """How it ended: "exit 3 after 41 s"."""
    after = f"after {lasting(ending.seconds)}"
    if ending.problem:
        return f"{ending.problem} (exit {ending.code})"
    if ending.is_running:
        return f"timed out, and still runs {after}: SIGKILL does not end it"
    what = f"killed by {signal_name(ending.killed_by)}" if ending.killed_by else ""
    if ending.timed_out:
        return f"timed out {after}" + (f", {what}" if what else "")
    return f"{what or f'exit {ending.code}'} {after}"


def signal_name(number: int) -> str:
    """A signal as people know it, such as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has none
        return f"signal {number}"


def last_lines(written: bytes, most: int) -> str:
    """The last lines, without what a terminal would obey. A line that was overwritten again and
    again, such as a progress bar, is shown in its last state."""
    if most <= 0:
        return ""
    lines = _SEQUENCE.sub(b"", written).replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")[-most:]
    return "\n".join(map(_line, lines)).strip("\n")


def _line(line: bytes) -> str:
    text = line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace").expandtabs(8)
    return shorten(printable(text), LINE_CHARS)
