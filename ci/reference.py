"""Writes the reference part of docs/ from what the agent says about itself: docs/commands.md from
the argument parsers, docs/configuration.md from the configuration's keys.

usage: python ci/reference.py DIRECTORY
"""

import argparse
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from pdagent.__main__ import COMMANDS
from pdagent.settings import SETTINGS

MADE = "<!-- Made by `make reference`; do not edit. -->\n\n"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) or action.help is argparse.SUPPRESS:
            continue
        value = ""
        if action.nargs != 0:
            value = f" {action.metavar or action.dest.upper()}" if action.option_strings else ""
        if action.nargs == "?" and action.option_strings:
            value = f"[={value.strip()}]"
        names = [f"`{name}{value}`" for name in action.option_strings] or [f"`{action.dest}`"]
        yield f"| {cell(', '.join(names))} | {cell(action.help or '')} |\n"


def section(parser: argparse.ArgumentParser, title: str, level: str) -> Iterator[str]:
    yield f"{level} {title}\n\n{parser.description}\n\n| option | meaning |\n|---|---|\n"
    yield from rows(parser)
    yield "\n"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in sorted(action.choices.items()):
                yield from section(command, f"{title} {name}", level + "#")


def commands() -> str:
    parts = [
        MADE,
        "# Commands\n\nExit codes are the same for all: [exit codes](exit-codes.md).\n\n",
    ]
    for name, module in COMMANDS.items():
        parts += section(import_module(f"pdagent.commands.{module}").parser(), name, "##")
    return "".join(parts).rstrip() + "\n"


def configuration() -> str:
    text = (
        MADE + "# Configuration\n\n"
        "`/etc/pdagent.conf`, or the file that `--config` or `PDAGENT_CONF` names, has one "
        "section, `[Main]`, of lines `name = value`. Comments begin with `#` or `;`. A setting "
        "that is not there has its default. `pdagentd` reads the file again on SIGHUP "
        "(`systemctl reload pdagent`).\n\n"
        "A value without a meaning keeps `pdagentd` from starting. Then its exit code is 78, and "
        "its log names file and line. A number that is out of range is brought into range, and a "
        "path of the API is taken off `events_url`. The log warns of both, with file and line, and "
        "of names that the agent does not know. Whatever the old agents' settings hold, `pdagentd` "
        "starts: where one of them has no meaning, its default is used, with a warning.\n\n"
        "No mistake keeps `pd-send` from queueing an event, with one exception. Where the mistake "
        "may hide `data_dir`, or the user may not read the file, `pd-send` can't know where the "
        "queue is. It uses the usual one if a daemon serves that. Else it delivers the event "
        "itself, or fails with exit code 75.\n\n"
        "A second section, `[Keys]`, gives [names to integration keys](keys.md).\n\n"
        "| setting | default | meaning |\n|---|---|---|\n"
    )
    for setting in SETTINGS:
        default = f"`{setting.written}`" if setting.written else ""
        text += f"| `{setting.name}` | {default} | {cell(setting.meaning)} |\n"
    return text


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    (directory / "commands.md").write_text(commands())
    (directory / "configuration.md").write_text(configuration())
