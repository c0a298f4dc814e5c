"""What all commands share: options, and how they speak to a person."""

import argparse
from collections.abc import Callable, Sequence

from pdagent import __version__, config
from pdagent.submission import say

Ready = Callable[[], None]


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


def warn(command: str, problems: Sequence[config.Problem]) -> None:
    """One line, however much is wrong with the configuration."""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    kept = "; going on with defaults" if any(problem.fatal for problem in problems) else ""
    say(f"{command}: warning: {problems[0].text}{more}{kept}", 2)


def fail(command: str, text: str, code: int) -> int:
    """Says on stderr what is wrong, in one line, and gives the exit code back."""
    say(f"{command}: {text}", 2)
    return code
