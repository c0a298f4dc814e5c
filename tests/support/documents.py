"""The documents' examples: blocks of code. A comment before one says how it is to be taken:

    <!-- host: systemd deb -->      run on hosts of these kinds that have the agent (tests/hosts)
    <!-- bare: deb -->              run on hosts of these kinds that are to get it; `all` is any
    <!-- file: pdagent.conf -->     not a command, but what is in a file of that kind
    <!-- shown -->                  what somebody gets to see
    <!-- not run: REASON -->        can be run neither here nor there

Without one, a block is run as a shell script against an agent of its own; lines that begin with
"$ " are then commands, and all others what they print.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
GENERATED = ("commands.md", "configuration.md")
_MARK = re.compile(r"<!-- (host|bare|file|shown|not run)(?:: (.*?))? -->")
_FENCE = re.compile(r"(\s*)```(\w*)$")


@dataclass(frozen=True)
class Block:
    """An example: where it is, what it is taken for ("run" without a mark), and its text."""

    document: str
    line: int
    kind: str
    argument: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}, line {self.line}"


def documents() -> list[Path]:
    """All pages for users that people write."""
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    return [page for page in pages if page.name not in GENERATED]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of code in a page: indented ones, also below a list's item, and fenced ones."""
    name = str(page.relative_to(REPOSITORY))
    lines = page.read_text().split("\n")
    kind, argument = "run", ""
    number, indent = 0, 0  # of the list item that we are in
    while number < len(lines):
        line = lines[number]
        mark, fence = _MARK.search(line), _FENCE.match(line)
        if mark:
            kind, argument = mark[1], mark[2] or ""
        elif fence or _is_code(lines, number, indent):
            start = number
            if fence:
                number += 1
                while number < len(lines) and lines[number].strip() != "```":
                    number += 1
                code = lines[start + 1 : number]
                number += 1
            else:
                while number < len(lines) and (
                    not lines[number].strip() or _depth(lines[number]) >= indent + 4
                ):
                    number += 1
                code = lines[start:number]
            text = _without_margin(code)
            yield Block(name, start + 1, kind, argument, text)
            kind, argument = "run", ""
            continue
        elif line.strip():
            item = re.match(r"\s*(?:\d+\.|[-*]) +", line)
            if item:
                indent = len(item[0])
            elif _depth(line) < indent:
                indent = 0
        number += 1


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_code(lines: list[str], number: int, indent: int) -> bool:
    line = lines[number]
    before = lines[number - 1].strip() if number else ""
    return (
        (not before or bool(_MARK.search(before)))
        and bool(line.strip())
        and (_depth(line) >= indent + 4)
    )


def _without_margin(code: list[str]) -> str:
    margin = min(_depth(line) for line in code if line.strip())
    return "\n".join(line[margin:] for line in code).strip("\n") + "\n"
