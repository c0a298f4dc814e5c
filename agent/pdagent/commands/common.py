"""What all commands share: options, and how they speak to a person."""

import argparse
import errno
import os
import select
import sys
from collections.abc import Iterable, Sequence

from pdagent import __version__, config, exits
from pdagent.acceptance import say
from pdagent.commands import terminal
from pdagent.lines import Problem
from pdagent.shown import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, Self  # to import it would cost a command 1 ms

PIECE = 8192
LINE_CHARS = 800  # of a line that says what is wrong
END_CHARS = 200  # how many of them are its end, where it is longer and its middle is left out

Example = tuple[str, str]  # a command line, and what it does


class Parser(argparse.ArgumentParser):
    """argparse's parser with four changes: an error begins with the sentence that says what is
    wrong, the word behind an option is its value, help ends with `examples`, and it is an error if
    help can't be written."""

    examples: Sequence[Example] = ()
    first_words: Sequence[str] = ()  # which have options of their own

    @classmethod
    def of(cls, name: str, description: str, examples: Sequence[Example]) -> "Self":
        """A command's parser. `options` adds help, with the old agent's texts."""
        made = cls(prog=name, description=description, add_help=False)
        made.examples = examples
        return made

    def error(self, message: str, hint: str = "") -> "NoReturn":
        """Ends the command. `hint` says what to type; without one, the usage is shown in one
        line."""
        word = message.removeprefix("unrecognized arguments: ").partition(" ")[0]
        if word in self.first_words:
            hint = f"If the word {word} is meant, it stands first: {self.prog} {word} -h shows how"
        from pdagent.integrations.syslog import without_keys  # for a mistake only

        text = one_line(f"{self.prog}: error: {without_keys(message)}")
        say(f"{text}\n{hint or self.short_usage()}", 2)
        sys.exit(exits.USAGE)

    def _get_formatter(self) -> argparse.HelpFormatter:
        # Without a width, argparse asks shutil for it, which takes long to import.
        return argparse.HelpFormatter(self.prog, width=terminal.width() - 2)

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        return super().parse_known_args(self.joined(args), namespace)

    def joined(self, words: Sequence[str]) -> list[str]:
        """The words, with an option and a value that begins with a hyphen joined into one. argparse
        would take such a value for an option; here it is a value unless it is a known option."""
        actions = [action for action in self._actions if action.help != argparse.SUPPRESS]
        known = {option: action for action in actions for option in action.option_strings}
        joined: list[str] = []
        rest = iter(words)
        for word in rest:
            if word == "--":
                return [*joined, word, *rest]
            action = known.get(word)
            value = next(rest, None) if action is not None and action.nargs is None else None
            if action is None or value is None:
                joined.append(word)
            elif value in known or value[:1] != "-":
                joined += [word, value]
            else:
                joined.append(f"{action.option_strings[-1]}={value}")  # the long one is the last
        return joined

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> object:
        if not action.option_strings or action.nargs is not None:
            return super()._get_values(action, arg_strings)
        [word] = arg_strings  # argparse would remove "--", which may be the value
        value = self._get_value(action, word)
        self._check_value(action, value)
        return value

    def short_usage(self) -> str:
        """The usage in one line, however many options there are."""
        if self.usage:
            return f"usage: {self.usage} ({self.prog} -h shows the options)"
        formatter = self._get_formatter()
        formatter.add_usage(None, self._get_positional_actions(), [], prefix="")
        _, _, positional = formatter.format_help().strip().partition(self.prog)
        text = f"usage: {self.prog} [options]{positional} ({self.prog} -h shows the options)"
        return " ".join(text.split())

    def format_help(self) -> str:
        text = super().format_help()
        if self.examples:
            width = max(len(line) for line, _ in self.examples)
            rows = [f"  {line:<{width}}  # {does}\n" for line, does in self.examples]
            text += "\nexamples:\n" + "".join(rows)
        return text

    def _print_message(self, message: str, _file: object = None) -> None:
        emit([message])  # help and the version: `error` says what belongs on stderr

    def _check_value(self, action: argparse.Action, value: object) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += did_you_mean(str(value), map(str, action.choices or ()))
            raise


def one_line(text: str) -> str:
    """Words about what somebody gave us, which may be line breaks, what a terminal obeys, or 10,000
    arguments. What is too long lacks its middle."""
    text = escaped(text)
    if len(text) <= LINE_CHARS:
        return text
    return f"{text[: LINE_CHARS - END_CHARS]} [...] {text[-END_CHARS:]}"


def did_you_mean(word: str, known: Iterable[str], sign: str = "") -> str:
    """What to add to a sentence about an unknown word: ": did you mean X?", or "" if no known word
    resembles it. `sign` is put before the known word."""
    from difflib import get_close_matches  # for a mistake only

    [*found] = get_close_matches(word.lower(), known, 1)
    return f": did you mean {sign}{found[0]}?" if found else ""


def options(parser: argparse.ArgumentParser, default: str | None = None) -> argparse._ArgumentGroup:
    """The parser's group of options, with those that every command has. It is called "optional
    arguments", as the old agent's argparse called it. `default` is that of --config: a
    sub-command's default must not overwrite what was given before it."""
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
    """Adds the option of all commands that send: a file that holds the integration key."""
    group.add_argument(
        "--service-key-file",
        dest="key_file",
        metavar="FILE",
        help="read the key from the first line of FILE, so that it does not show in ps",
    )


def dry_run(group: argparse._ArgumentGroup) -> None:
    """Adds the option of commands that send an event at once: only to show it."""
    group.add_argument(
        "--dry-run", action="store_true", help="print the body that would be sent, queue nothing"
    )


def quiet(group: argparse._ArgumentGroup) -> None:
    """Adds the option of all commands that send: to say nothing."""
    group.add_argument("-q", "--quiet", action="store_true", help="Operate quietly (no output)")


def abbreviations(option: str, shortest: str) -> list[str]:
    """The abbreviations of an option. argparse took them before there were other options that
    begin alike."""
    return [option[:length] for length in range(len(shortest), len(option))]


def emit(parts: Iterable[str], at_once: bool = False) -> None:
    """Prints text past Python's streams, as `say` does. With `at_once`, and on a terminal, each
    part is written at once, otherwise in large pieces. Raises BrokenPipeError when nobody reads on.
    Any other failure ends the command with an error."""
    at_once = at_once or os.isatty(1)
    waiting = bytearray()
    for part in parts:
        waiting += part.encode("utf-8", "surrogateescape")
        if at_once or len(waiting) >= PIECE:
            _write(waiting)
    _write(waiting)


def wait_with_reader(seconds: float) -> None:
    """Waits for `seconds`. Raises BrokenPipeError as soon as nobody reads the output any more."""
    output = select.poll()
    output.register(1, 0)  # an error is told of without being asked for
    if output.poll(seconds * 1000):
        raise BrokenPipeError


def put(line: str) -> None:
    """Prints a line, as `emit` does."""
    emit([f"{line}\n"])


def _write(waiting: bytearray) -> None:
    try:
        while waiting:
            del waiting[: os.write(1, waiting)]
    except BrokenPipeError:
        raise
    except OSError as error:
        command = os.path.basename(sys.argv[0])
        why = os.strerror(error.errno or errno.EIO)
        sys.exit(fail(command, f"cannot write to standard output: {why}", exits.UNWRITTEN))


def warn(command: str, problems: Sequence[Problem]) -> None:
    """Says in one line what is wrong with the configuration, however much it is."""
    if not problems:
        return
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    kept = "; going on with defaults" if any(problem.fatal for problem in problems) else ""
    say(one_line(f"{command}: warning: {problems[0].text}{more}{kept}"), 2)


def fail(command: str, text: str, code: int) -> int:
    """Says on stderr what is wrong, in one line, and returns the exit code."""
    say(one_line(f"{command}: {text}"), 2)
    return code


def show(body: bytes) -> None:
    """Prints a body for a person."""
    import json  # for a dry run only

    emit([json.dumps(json.loads(body), indent=4, sort_keys=True) + "\n"])
