"""Writes what the packages say about the agent from what the agent says about itself: the shipped
pdagent.conf from the table of settings, the man pages from those and the argument parsers.

usage: python ci/documents.py DIRECTORY
"""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from described import settings
from parsers import INTEGRATIONS, Command, commands

from pdagent import __version__
from pdagent.settings import OLD

# command: its manual's section, what it is for
PAGES = {
    "pd-send": (1, "queue an event for PagerDuty"),
    "pd-queue": (1, "look at the queue of the PagerDuty Agent, retry and remove events"),
    "pd-nagios": (1, "page for a notification of Nagios, Icinga or Naemon"),
    "pd-zabbix": (1, "page for a message of Zabbix"),
    "pd-sensu": (1, "page for an event of Sensu"),
    "pdagent": (1, "see whether pages would go out from this host"),
    "pdagentd": (8, "deliver queued events to PagerDuty"),
}

FILES = """\
/etc/pdagent.conf	the configuration, see pdagent.conf(5)
/etc/default/pdagent, /etc/sysconfig/pdagent	the service's environment, its proxy
/var/lib/pdagent/outqueue	the queue: events pending in pdq, delivered in suc, in error in err
/var/log/pdagent/pdagentd.log	what became of each event
/usr/share/doc/pdagent	the documentation: README.md has the pages by task"""

_KEY = "PD_SERVICE_KEY\tthe integration key, where no option gives it\n"
ENVIRONMENT = {
    "pd-send": _KEY,
    "pd-queue": "NO_COLOR\twatch: no colours, if this is set\n",
    "pdagent": _KEY,
    "pdagentd": "http_proxy, https_proxy, no_proxy\tthe proxy, unless proxy_url is set\n",
    **dict.fromkeys(INTEGRATIONS, _KEY),
}


def conf() -> str:
    """The file as it is shipped: all settings with their meanings. Those that the old agent did not
    have are comments."""
    parts = ["# The PagerDuty Agent's configuration. After a change: systemctl reload pdagent.\n"]
    parts.append("# pdagent.conf(5) says the same, and more.\n\n[Main]\n")
    for setting in settings():
        parts.append("\n")
        parts += [f"# {line}\n" for line in textwrap.wrap(setting.meaning, 78)]
        # The old agent's file had these, in use: what was edited there is edited here.
        sign = "" if setting.name in OLD else "#"
        parts.append(f"{sign}{setting.name} = {setting.written}".rstrip() + "\n")
    return "".join(parts)


def quote(text: str) -> str:
    """`text` for roff: a hyphen is a hyphen, and no line is a request by accident."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


def header(name: str, section: int, purpose: str) -> str:
    date = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC).date()
    title = (
        f'.TH {quote(name).upper()} {section} "{date}" "pdagent {__version__}" "PagerDuty Agent"\n'
    )
    return f"{title}.SH NAME\n{quote(name)} \\- {quote(purpose)}\n"


def table(title: str, rows: str) -> str:
    """A section of terms and what they mean, one a line, a tab between."""
    body = ""
    for row in filter(None, rows.split("\n")):
        term, _, meaning = row.partition("\t")
        body += f".TP\n.B {quote(term)}\n{quote(meaning)}\n"
    return f".SH {title}\n{body}"


def options(command: Command) -> Iterator[str]:
    for argument in command.arguments:
        names = argument.names or ("",)
        sign, end = ("[=", "]") if argument.may_be_bare else (" ", "")
        value = f"{sign}\\fI{quote(argument.value)}\\fR{end}" if argument.value else ""
        terms = (f"\\fB{quote(name)}\\fR{value}" if name else value.strip() for name in names)
        yield f".TP\n{', '.join(terms)}\n{quote(argument.meaning)}\n"


def synopsis(command: Command) -> str:
    name, _, rest = command.usage.partition(" [")
    return f".B {quote(name)}\n{quote('[' + rest) if rest else ''}\n"


def examples(command: Command) -> str:
    """Each line to type, and what it does."""
    return "\n".join(f"{line}\t{does}" for each in command.walk() for line, does in each.examples)


def exit_codes(name: str) -> str:
    """Those of one command, from the page that has them all: the table's rows, and what the page
    says below it of a command with codes of its own."""
    page = (Path(__file__).parents[1] / "docs" / "exit-codes.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|", page, re.MULTILINE)
    codes = "\n".join(
        f"{code}\t{meaning}"
        for code, commands, meaning in rows
        if commands == "all" or f"`{name}`" in commands
    )
    others = [text for text in page.split("\n\n") if text.startswith(f"`{name} ")]
    return table("EXIT STATUS", codes.replace("`", "")) + "".join(
        f".PP\n{quote(text.replace('`', ''))}\n" for text in others
    )


def command_page(command: Command) -> str:
    name = command.name
    section, purpose = PAGES[name]
    page = header(name, section, purpose)
    page += f".SH SYNOPSIS\n{synopsis(command)}"
    page += f".SH DESCRIPTION\n{quote(command.description)}\n"
    page += ".SH OPTIONS\n" + "".join(options(command))
    for each in command.commands:
        page += f".SH {quote(each.name).upper()}\n{synopsis(each)}.PP\n"
        page += f"{quote(each.description)}\n" + "".join(options(each))
    page += table("EXAMPLES", examples(command))
    variables = "PDAGENT_CONF\tthe configuration file, where no option names one\n"
    page += table("ENVIRONMENT", ENVIRONMENT.get(name, "") + variables)
    page += table("FILES", FILES) + exit_codes(name)
    others = sorted(f"{other}({PAGES[other][0]})" for other in PAGES if other != name)
    return page + f".SH SEE ALSO\n{quote(', '.join([*others, 'pdagent.conf(5)']))}\n"


def conf_page() -> str:
    page = header("pdagent.conf", 5, "configuration of the PagerDuty Agent")
    page += ".SH SYNOPSIS\n.B /etc/pdagent.conf\n.SH DESCRIPTION\n" + quote(
        "The configuration is one section, [Main], of lines such as name = value. Lines that "
        "begin with # or ; are comments. A setting that is not there has its default.\n"
        "A value without a meaning keeps pdagentd from starting, with file and line in its log. "
        "Where it is that of a setting of the old agent, its default is used, with a warning. No "
        "mistake keeps pd-send from queueing an event, unless it may hide data_dir.\n"
        "A second section, [Keys], gives names to integration keys, in lines such as db = KEY: for "
        "pd-send -k @db. keys_file may have such a section, too.\n"
        "After this file, /etc/pdagent.conf.d/*.conf are read, in order of their names: pieces "
        "with the same sections. A later setting wins.\n"
        "systemctl reload pdagent has a running pdagentd read all of it again. It fails where "
        "pdagentd refuses the new configuration, and goes on with the old one. SIGHUP does the "
        "same, but nobody hears of a mistake then, except in the log.\n"
    )
    rows = (f"{each.name} = {each.written}".rstrip() + f"\t{each.meaning}" for each in settings())
    page += table("SETTINGS AND THEIR DEFAULTS", "\n".join(rows)) + table("FILES", FILES)
    return page + f".SH SEE ALSO\n{quote('pd-send(1), pd-queue(1), pdagentd(8)')}\n"


def main(directory: Path) -> None:
    for package in ("man", "man-integrations"):
        (directory / package).mkdir(parents=True, exist_ok=True)
    (directory / "pdagent.conf").write_text(conf())
    pages = {"man/pdagent.conf.5": conf_page()}
    for command in commands():
        package = "man-integrations" if command.name in INTEGRATIONS else "man"
        pages[f"{package}/{command.name}.{PAGES[command.name][0]}"] = command_page(command)
    for name, page in pages.items():
        # Not Python's own: its header tells of the version, and its zlib is the distribution's.
        packed = subprocess.run(
            ["gzip", "--best", "--no-name"], input=page.encode(), stdout=subprocess.PIPE, check=True
        )
        (directory / f"{name}.gz").write_bytes(packed.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
