"""The lines of a configuration file: what each sets, and what is wrong with it.

Pure: files are read by `config`. Every `pd-send` imports it, so built-in modules only.
"""

from pdagent.event import KEY_NAME_CHARS, bare_key, is_key_name
from pdagent.settings import OLD, SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.settings import Value

SECTION = "main"
KEYS_SECTION = "keys"
_LOST = "\ufffd"  # what `config` reads in the place of bytes that are no UTF-8


class Problem:
    """Something wrong with the file.

    `fatal`: pdagentd must not guess what was meant, so it does not start.
    `for_senders`: commands that send tell it. They do not if the file is for the agent's group
    only, or if a value was adjusted, which the daemon's log says once.
    `hides_settings`: a line was not understood, and may be about any setting.
    """

    __slots__ = ("fatal", "for_senders", "hides_settings", "text")

    def __init__(
        self, text: str, fatal: bool, for_senders: bool = True, hides_settings: bool = False
    ) -> None:
        self.text = text
        self.fatal = fatal
        self.for_senders = for_senders
        self.hides_settings = hides_settings


def parse(
    text: str, path: str, keys: "dict[str, str] | None" = None, needed: str | None = SECTION
) -> "tuple[dict[str, Value], list[Problem]]":
    """The values in `text`, and what is wrong with it, by file and line. The section [Keys] goes
    into `keys`. `needed` is the section that must be there; None if none must."""
    values: dict[str, Value] = {}
    problems: list[Problem] = []
    problem: Problem | None
    section = None
    main = needed or SECTION
    seen = needed is None
    for number, raw in enumerate(text.split("\n"), 1):
        line = _without_comment(raw).strip()
        if not line or line[:4].lower() == "rem ":  # the old agent's parser ignored "rem", too
            continue
        if line[0] == "[" and line[-1] == "]":
            section = line[1:-1].strip().lower()
            seen = seen or section == main
            continue
        name, value, separated = _halves(line)
        if not separated or not name:
            said = "is neither 'name = value' nor '[section]'"
            problem = Problem(said, True, hides_settings=True)
        elif section == KEYS_SECTION:
            problem = _take_key(keys, name, value)
        elif section != main:
            said = f"{as_line(name)[:80]} is outside the section [{main.capitalize()}]"
            problem = Problem(said, section is None, hides_settings=name == "data_dir")
        elif name not in SETTINGS:
            problem = Problem(f"{as_line(name)[:80]} is not a setting that pdagent knows", False)
        else:
            problem = _take_value(values, name, value)
        if problem is not None:
            problem.text = f"{as_line(path)}, line {number}: {problem.text}"
            problems.append(problem)
    if not seen:
        said = f"{as_line(path)}: Config is missing [{main.capitalize()}] section"
        problems.append(Problem(said, True, hides_settings=True))
    return values, problems


def _take_value(values: "dict[str, Value]", name: str, text: str) -> Problem | None:
    """Puts the value of a setting into `values`, or says why its default stays."""
    value, wrong = SETTINGS[name][1](text)
    if value is not None:
        values[name] = value
        if _LOST in text:
            wrong = wrong or "is not in UTF-8: characters of it are lost"
        return Problem(f"{name} {wrong}", False, for_senders=False) if wrong else None
    if name in OLD:
        said = f"{name} {wrong}: its default is used"
        return Problem(said, False, for_senders=False)
    return Problem(f"Bad {name}: {wrong}", True, hides_settings=name == "data_dir")


def _take_key(keys: "dict[str, str] | None", name: str, value: str) -> Problem | None:
    """Puts an integration key into `keys`, or says what is wrong with its line. The value is never
    quoted, since it is a secret; nor is the name, since somebody may have swapped the two."""
    value = bare_key(value)
    if not is_key_name("@" + name):
        said = (
            f"the name of a key is at most {KEY_NAME_CHARS} letters, digits, hyphens, dots and "
            "underscores"
        )
        return Problem(said, True)
    odd = not value.isprintable() or "/" in value or " " in value or _LOST in value
    if not value or odd or value[0] == "@":
        return Problem(f"Bad {name}: must be an integration key", True)
    if keys is not None:
        keys[name] = value
    return None


def _halves(line: str) -> tuple[str, str, bool]:
    at = min([place for place in (line.find("="), line.find(":")) if place >= 0], default=-1)
    if at < 0:
        return "", "", False
    return line[:at].strip().lower(), line[at + 1 :].strip(), True


def as_line(text: str) -> str:
    """Text of unknown origin, such as a path, as one line."""
    from pdagent.shown import printable  # imported only if something is wrong

    return printable(text)


def _without_comment(line: str) -> str:
    # A comment begins at the beginning of the line or behind a blank, since a password in proxy_url
    # may have either sign in it.
    line = " " + line
    for sign in (" ;", "\t;", " #", "\t#"):
        line = line.partition(sign)[0]
    return line
