"""The terminal: whether there is one, how wide it is, and whether it shows colours."""

import os


def columns(fd: int = 1) -> int | None:
    """How wide the terminal is; None if there is none."""
    try:
        return os.get_terminal_size(fd).columns or None
    except OSError:
        return None


def width() -> int:
    """How wide a text for a person may be, as shutil.get_terminal_size() has it: COLUMNS of the
    environment, then the terminal, then 80."""
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isascii() and wanted.isdigit() and 0 < len(wanted.lstrip("0")) < 5:
        return int(wanted)
    return columns() or 80


def has_colours() -> bool:
    """Whether to write in colours: on a terminal that shows them, unless NO_COLOR is set."""
    return not os.environ.get("NO_COLOR") and has_screen()


def has_screen() -> bool:
    """Whether stdout is a terminal that can be drawn on."""
    return os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb"
