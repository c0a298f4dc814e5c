"""The terminal, if there is one: its colours and its width."""

import os
import shutil


def colours(fd: int = 1) -> bool:
    """Whether to write in colours: on a terminal that has them, unless NO_COLOR forbids it."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and os.isatty(fd)


def width(most: int) -> int:
    """Characters that a line may have."""
    return min(shutil.get_terminal_size().columns, most)
