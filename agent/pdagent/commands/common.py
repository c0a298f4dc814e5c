"""What all commands share: options, and how they speak to a person."""

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from typing import NoReturn

from pdagent import __version__, config
from pdagent.submission import say

PIECE = 8192


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser whose texts are the old agent's: "optional arguments", not argparse's later
    "options"."""
    return argparse.ArgumentParser(prog=name, description=description, add_help=False)


def options(parser: argparse.ArgumentParser, default: str | None = None) -> argparse._ArgumentGroup:
    """The parser's group of options, with those that every command has. `default` is for --config:
    a sub-command's must not undo its command's."""
    group = parser.add_argument_group("optional arguments")
    group.add_argument("-h", "--help", action="help", help="show this help message and exit")
    group.add_argument(
        "--version",
        action="version",
        version=f"pdagent {__version__}",
        help="show the agent's version and exit",
    )
    group.add_argument(
        "--config",
        metavar="FILE",
        default=default,
        help="configuration file (default: PDAGENT_CONF of the environment, "
        f"then {config.DEFAULT_PATH})",
    )
    return group


def key_file(group: argparse._ArgumentGroup) -> None:
    """The option of all commands that send."""
    group.add_argument(
        "--service-key-file",
        dest="key_file",
        metavar="FILE",
        help="read the key from the first line of FILE, so that it does not show in ps",
    )


def abbreviations(option: str, shortest: str) -> list[str]:
    """What argparse took for a long option before others came that begin like it."""
    return [option[:length] for length in range(len(shortest), len(option))]


def emit(parts: Iterable[str], at_once: bool = False) -> None:
    """Prints text past Python's streams, as `say` does: each part at once, where that is asked for
    or on a terminal, else in large pieces. Raises BrokenPipeError when nobody reads on."""
    at_once = at_once or os.isatty(1)
    waiting = bytearray()
    for part in parts:
        waiting += part.encode("utf-8", "surrogateescape")
        if at_once or len(waiting) >= PIECE:
            _write(waiting)
    _write(waiting)


def _write(waiting: bytearray) -> None:
    try:
        while waiting:
            del waiting[: os.write(1, waiting)]
    except BrokenPipeError:
        raise
    except OSError:  # a closed stdout
        waiting.clear()


def columns(fd: int = 1) -> int | None:
    """How wide the terminal is, None where there is none."""
    try:
        return os.get_terminal_size(fd).columns or None
    except OSError:
        return None


def warn(command: str, problems: Sequence[config.Problem]) -> None:
    """One line, however much is wrong with the configuration; none if that is intended."""
    if problems[0].intended:
        return
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    kept = "; going on with defaults" if any(problem.fatal for problem in problems) else ""
    say(f"{command}: warning: {problems[0].text}{more}{kept}", 2)


def fail(command: str, text: str, code: int) -> int:
    """Says on stderr what is wrong, in one line, and gives the exit code back."""
    say(f"{command}: {text}", 2)
    return code


def refuse(parser: argparse.ArgumentParser, text: str) -> NoReturn:
    """Leaves with a usage error."""
    # arguments may hold bytes that stderr can't show
    parser.error(text.encode("utf-8", "backslashreplace").decode())


def show(body: bytes) -> None:
    """Prints a body for a person."""
    say(json.dumps(json.loads(body), indent=4, sort_keys=True))
