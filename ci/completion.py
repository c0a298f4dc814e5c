"""Writes the completion of the agent's commands for bash, zsh and fish: what the parsers know, in
the templates of packaging/completion/.

usage: python ci/completion.py DIRECTORY
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from parsers import Argument, Command, commands

TEMPLATES = Path(__file__).parent.parent / "packaging" / "completion"
# A first word that is no sub-command, and has its command's options.
FIRST = {"pd-send": ("change", "send a change event")}


def common() -> str:
    """The shell script that all three run, without its comments."""
    lines = (TEMPLATES / "common.sh").read_text().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def quoted(text: str, apostrophe: str = "'\\''") -> str:
    """Text as one word of a shell."""
    return "'" + text.replace("'", apostrophe) + "'"


def fish_quoted(text: str) -> str:
    return quoted(text.replace("\\", "\\\\"), "\\'")


def short(meaning: str) -> str:
    """The first thing that a meaning says: lists of options have one line for each."""
    return re.split(r" \(|[:;] |\. |, so that", meaning)[0].rstrip(".")


def events(command: Command) -> str:
    """The state of the events that a sub-command of pd-queue takes."""
    return "in-error" if command.word == "retry" else "all"


def sources(command: Command, argument: Argument) -> list[str]:
    """What an argument may be: words, or <file>, <command>, <keys>, <STATE> of events, <any>
    text."""
    kinds = {
        "file": "<file>",
        "command": "<command>",
        "key": "<keys>",
        "event": f"<{events(command)}>",
    }
    return list(argument.words) or [kinds.get(argument.kind, "<any>")]


def filled(template: str, **parts: str) -> str:
    text = (TEMPLATES / template).read_text()
    return re.sub(r"@(\w+)@", lambda found: parts[found[1]], text)


def bash(found: list[Command]) -> str:
    options, values = [], []
    for command in (each for top in found for each in top.walk()):
        names = [name for argument in command.arguments for name in argument.names]
        options.append(f"        {quoted(command.name)}) echo {' '.join(names)} ;;")
        words = [each.word for each in command.commands]
        words += [FIRST[command.name][0]] if command.name in FIRST else []
        for argument in command.arguments:
            offered = sources(command, argument)
            if argument.value and argument.names:
                label = " | ".join(quoted(f"{command.name}:{name}") for name in argument.names)
                values.append(f"        {label}) echo {quoted(' '.join(offered))} ;;")
            elif argument.value:
                words += [each for each in offered if each != "<any>"]
        if words:
            place = "first" if command.commands or command.name in FIRST else ""
            label = quoted(f"{command.name}:{place}")
            values.append(f"        {label}) echo {quoted(' '.join(words))} ;;")
    return filled(
        "bash",
        options="\n".join(options),
        values="\n".join(values),
        common=quoted(common()),
        commands=" ".join(command.name for command in found),
    )


def zsh_action(command: Command, argument: Argument) -> str:
    """How _arguments finds what an argument may be."""
    offered = sources(command, argument)
    if argument.words:
        return f"({' '.join(offered)})"
    actions = {"<file>": "_files", "<command>": "_command_names", "<any>": " "}
    return actions.get(offered[0], "{_pdagent_host " + offered[0].strip("<>") + "}")


def zsh_escaped(text: str) -> str:
    return re.sub(r"([\\:\[\]])", r"\\\1", text)


def zsh_arguments(command: Command) -> Iterator[str]:
    """The specifications of _arguments."""
    place = 0
    for argument in command.arguments:
        action = zsh_action(command, argument)
        value = zsh_escaped(argument.value.strip("'{}"))
        if not argument.names:
            place += 1
            at = "*" if argument.may_be_repeated else str(place)
            yield f"{at}:{value}:{action}"
        for name in argument.names:
            others = "*" if argument.may_be_repeated else f"({' '.join(argument.names)})"
            sign = ""
            if argument.value:
                sign = "=-" if argument.may_be_bare else "=" if name.startswith("--") else "+"
            colons = "::" if argument.may_be_bare else ":"
            behind = f"{colons}{value}:{action}" if argument.value else ""
            yield f"{others}{name}{sign}[{zsh_escaped(short(argument.meaning))}]{behind}"


def zsh(found: list[Command]) -> str:
    functions = []
    for command in (each for top in found for each in top.walk()):
        specifications = list(zsh_arguments(command))
        more = ""
        name = "pdagent_of_" + re.sub(r"\W", "_", command.name)
        if command.name in FIRST:
            lines = "".join(f" \\\n        {quoted(each)}" for each in specifications)
            functions.append(f"_{name}_{FIRST[command.name][0]}() {{\n    _arguments{lines}\n}}\n")
        if command.commands:
            known = [(each.word, each.description) for each in command.commands]
            known += [FIRST[command.name]] if command.name in FIRST else []
            words = " ".join(f'{word}\\:"{zsh_escaped(short(does))}"' for word, does in known)
            specifications += [f"1:command:(({words}))", "*::argument:->below"]
            below = f"_{name}_$words[1]"
            more = f"    [[ $state == below ]] && (( $+functions[{below}] )) && {below}\n"
        lines = "".join(f" \\\n        {quoted(each)}" for each in specifications)
        state = "    local curcontext=$curcontext state state_descr line\n    typeset -A opt_args\n"
        flags = " -C" if more else ""
        functions.append(
            f"_{name}() {{\n{state if more else ''}    _arguments{flags}{lines}\n{more}}}\n"
        )
    return filled(
        "zsh",
        commands=" ".join(command.name for command in found),
        common=quoted(common()),
        functions="\n".join(functions),
    )


def fish_rules(top: Command) -> Iterator[str]:
    if top.name in FIRST:
        word, does = FIRST[top.name]
        yield f"-n __fish_use_subcommand -a {word} -d {fish_quoted(does)}"
    for command in top.walk():
        where = ""
        if command is not top:
            where = f"-n {fish_quoted('__fish_seen_subcommand_from ' + command.word)} "
            does = fish_quoted(short(command.description))
            yield f"-n __fish_use_subcommand -a {command.word} -d {does}"
        elif top.name in FIRST:
            words = " ".join(each.word for each in top.commands)
            where = f"-n {fish_quoted(f'not __fish_seen_subcommand_from {words}')} "
        elif top.commands:
            where = "-n __fish_use_subcommand "
        for argument in command.arguments:
            offered = [
                f"(__pdagent_host {each.strip('<>')})" if each[0] == "<" else each
                for each in sources(command, argument)
                if each not in ("<file>", "<command>", "<any>")
            ]
            rule = where
            for name in argument.names:
                rule += f"-l {name[2:]} " if name.startswith("--") else f"-s {name[1:]} "
            if argument.kind == "file":
                rule += "-r -F "
            elif argument.value and argument.names and not argument.may_be_bare:
                rule += "-x "
            if offered:
                rule += f"-a {fish_quoted(' '.join(offered))} "
            if argument.names:
                rule += f"-d {fish_quoted(short(argument.meaning))}"
            elif not offered:
                continue
            yield rule.rstrip()


def main(directory: Path) -> None:
    found = commands()
    (directory / "bash").write_text(bash(found))
    (directory / "_pdagent").write_text(zsh(found))
    for command in found:
        rules = "\n".join(f"complete -c {command.name} {rule}" for rule in fish_rules(command))
        text = filled("fish", command=command.name, common=fish_quoted(common()), rules=rules)
        (directory / f"{command.name}.fish").write_text(text)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    main(target)
