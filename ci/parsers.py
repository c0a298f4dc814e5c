"""What the commands say about themselves: one walk over their argument parsers, for the reference
(reference.py), the man pages (documents.py) and the completion of shells (completion.py)."""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

from pdagent.__main__ import COMMANDS
from pdagent.integrations.nagios import TYPES
from pdagent.integrations.zabbix import MESSAGES

# Those in the package pdagent-integrations.
INTEGRATIONS = ("pd-nagios", "pd-zabbix", "pd-sensu")
# Words that the parsers do not list: their commands understand other spellings, too.
_WORDS = {
    ("pd-nagios", "notification"): tuple(TYPES),
    ("pd-zabbix", "message"): tuple(MESSAGES),
}
_KEYS = {"key", "service_key", "to_key"}  # the names by which parsers know an integration key


@dataclass(frozen=True)
class Argument:
    """An option, or a word that stands by itself, which has no `names`.

    `value` is how its value is called, "" for an option without one. `words` are all values that it
    may have, where these are known. `kind` says what the value names: "key", "file", "event",
    "command" or "" for text that nobody can guess.
    """

    names: tuple[str, ...]
    value: str
    may_be_bare: bool
    may_be_repeated: bool
    words: tuple[str, ...]
    kind: str
    meaning: str

    def forms(self) -> list[str]:
        """The option and its value, for each of its names."""
        if not self.names:
            return [self.value]
        value = f"[={self.value}]" if self.may_be_bare else f" {self.value}" if self.value else ""
        return [name + value for name in self.names]


@dataclass(frozen=True)
class Command:
    """A command, or a sub-command with its command's name before its own."""

    name: str
    description: str
    usage: str
    arguments: tuple[Argument, ...]
    examples: tuple[tuple[str, str], ...]
    commands: "tuple[Command, ...]"

    def walk(self) -> "Iterator[Command]":
        """The command and its sub-commands."""
        yield self
        for command in self.commands:
            yield from command.walk()

    @property
    def word(self) -> str:
        """The last word of its name."""
        return self.name.rpartition(" ")[2]


def commands() -> list[Command]:
    """All of the agent's commands."""
    os.environ["COLUMNS"] = "80"  # the width of a usage line is not the builder's terminal's
    return [_of_module(name, f"pdagent.commands.{name.replace('-', '_')}") for name in COMMANDS]


def _of_module(name: str, path: str) -> Command:
    module = import_module(path)
    words = sorted(getattr(module, "WORDS", {}).items())
    return _command(
        name, module.parser(), [_of_module(f"{name} {word}", f"{path}.{m}") for word, m in words]
    )


def _command(name: str, parser: argparse.ArgumentParser, words: list[Command]) -> Command:
    arguments = []
    below = list(words)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below += [_command(f"{name} {w}", p, []) for w, p in sorted(action.choices.items())]
        elif action.help is not argparse.SUPPRESS:
            arguments.append(_argument(name, action))
    return Command(
        name,
        parser.description or "",
        " ".join(parser.format_usage().removeprefix("usage: ").split()),
        tuple(arguments),
        tuple(getattr(parser, "examples", ())),
        tuple(below),
    )


def _argument(command: str, action: argparse.Action) -> Argument:
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
    value = ""
    if action.nargs != 0:
        value = str(action.metavar or choices or action.dest.upper())
    words = _WORDS.get((command, action.dest), ())
    if value.startswith("{"):
        words = tuple(value.strip("{}").split(","))
    kind = {"FILE": "file", "EVENT": "event", "COMMAND": "command"}.get(value, "")
    return Argument(
        tuple(action.option_strings),
        value,
        bool(action.option_strings) and action.nargs == "?",
        isinstance(action, argparse._AppendAction) or action.nargs == "*",
        words,
        "key" if action.dest in _KEYS else kind,
        (action.help or "") % {"default": action.default},
    )
