"""Writes the reference part of docs/ from what the agent says about itself: docs/commands.md from
the argument parsers, docs/configuration.md from the table of settings.

usage: python ci/reference.py DIRECTORY
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from described import settings
from parsers import Command, commands

MADE = "<!-- Made by `make reference`; do not edit. -->\n\n"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def rows(command: Command) -> Iterator[str]:
    for argument in command.arguments:
        names = ", ".join(f"`{form}`" for form in argument.forms())
        yield f"| {cell(names)} | {cell(argument.meaning)} |\n"


def section(command: Command, level: str) -> Iterator[str]:
    yield f"{level} {command.name}\n\n{command.description}\n\n| option | meaning |\n|---|---|\n"
    yield from rows(command)
    yield "\n"
    if command.examples:
        yield "".join(f"    {line:<60}  # {does}\n" for line, does in command.examples) + "\n"
    for each in command.commands:
        yield from section(each, level + "#")


def reference() -> str:
    parts = [
        MADE,
        "# Commands\n\nEach command has a manual page too, such as pd-send(1). "
        "[Exit codes](exit-codes.md) are the same for all.\n\n",
    ]
    for command in commands():
        parts += section(command, "##")
    return "".join(parts).rstrip() + "\n"


def configuration() -> str:
    text = (
        MADE + "# Configuration\n\n"
        "`/etc/pdagent.conf`, or the file that `--config` or `PDAGENT_CONF` names, has one "
        "section, `[Main]`, of lines `name = value`. Comments begin with `#` or `;`. A setting "
        "that is not there has its default. `systemctl reload pdagent` has `pdagentd` read the "
        "file again. It fails where `pdagentd` refuses the new configuration, and goes on with the "
        "old one. SIGHUP does the same, but nobody hears of a mistake then, except in the log.\n\n"
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
        "## In pieces\n\n"
        "After that file, the files `*.conf` in `/etc/pdagent.conf.d` are read, in order of their "
        "names. For another file, the directory has that file's name with `.d` behind it. "
        "Each piece has the same sections, or one of them. A later setting wins, and names of keys "
        "add up. So packages and tools own files instead of lines:\n\n"
        "    # /etc/pdagent.conf.d/50-proxy.conf\n"
        "    [Main]\n"
        "    proxy_url = http://proxy:3128\n\n"
        "    # /etc/pdagent.conf.d/60-keys.conf, 0640 root:pdagent\n"
        "    [Keys]\n"
        "    db = 65d9cd0e14c04dae8ef86867277d138c\n\n"
        "There may be 100 pieces of 64 KiB. Files whose names begin with a dot, or do not end in "
        "`.conf`, are left out. A piece may be for the group `pdagent` alone, since secrets are in "
        "it; then it must not set `data_dir`, which every `pd-send` needs. The directory itself "
        "must be readable by all. A piece that `pdagentd` can't read is a mistake like any other: "
        "it is named, and `pdagentd` does not start, or goes on with the old configuration.\n\n"
        "`pdagent check --config-only` looks at all of it, and `pdagent check --config-only "
        "PIECE` at one file before it is put there.\n\n"
        "## Settings\n\n"
        "| setting | default | meaning |\n|---|---|---|\n"
    )
    for setting in settings():
        default = f"`{setting.written}`" if setting.written else ""
        text += f"| `{setting.name}` | {default} | {cell(setting.meaning)} |\n"
    return text


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    (directory / "commands.md").write_text(reference())
    (directory / "configuration.md").write_text(configuration())
