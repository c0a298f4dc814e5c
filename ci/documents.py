"""Writes what the packages say about the agent from what the agent says about itself: the shipped
pdagent.conf from the table of settings, the man pages from those and the argument parsers.

usage: python ci/documents.py DIRECTORY
"""

import argparse
import gzip
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from pdagent import __version__
from pdagent.settings import OLD, SETTINGS

# command: its module, its manual's section, what it is for
COMMANDS = {
    "pd-send": ("send", 1, "queue an event for PagerDuty"),
    "pd-queue": ("queue", 1, "look at the queue of the PagerDuty Agent, retry and remove events"),
    "pd-nagios": ("nagios", 1, "page for a notification of Nagios, Icinga or Naemon"),
    "pd-zabbix": ("zabbix", 1, "page for a message of Zabbix"),
    "pd-sensu": ("sensu", 1, "page for an event of Sensu"),
    "pdagent": ("agent", 1, "about the PagerDuty Agent on this host"),
    "pdagentd": ("daemon", 8, "deliver queued events to PagerDuty"),
}

# those in the package pdagent-integrations
INTEGRATIONS = ("pd-nagios", "pd-zabbix", "pd-sensu")

FILES = """\
/etc/pdagent.conf	the configuration, see pdagent.conf(5)
/etc/default/pdagent, /etc/sysconfig/pdagent	the service's environment, its proxy
/var/lib/pdagent/outqueue	the queue: events pending in pdq, delivered in suc, in error in err
/var/log/pdagent/pdagentd.log	what became of each event"""

_KEY = "PD_SERVICE_KEY\tthe integration key, where no option gives it\n"
ENVIRONMENT = {
    "pd-send": _KEY,
    "pdagentd": "http_proxy, https_proxy, no_proxy\tthe proxy, unless proxy_url is set\n",
    **dict.fromkeys(INTEGRATIONS, _KEY),
}


def conf() -> str:
    """The file as it is shipped: every key explained; those that are not in it yet as comments."""
    parts = ["# The PagerDuty Agent's configuration. After a change: systemctl reload pdagent.\n"]
    parts.append("# pdagent.conf(5) says the same, and more.\n\n[Main]\n")
    for setting in SETTINGS:
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


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if action.help is argparse.SUPPRESS or isinstance(action, argparse._SubParsersAction):
            continue
        value = ""
        if action.nargs != 0:
            choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
            value = str(action.metavar or choices or action.dest.upper())
        names = [f"\\fB{quote(name)}\\fR" for name in action.option_strings]
        if value and action.nargs == "?":
            names = [f"{name}[=\\fI{quote(value)}\\fR]" for name in names]
        elif value:
            names = [f"{name} \\fI{quote(value)}\\fR" for name in names] or [
                f"\\fI{quote(value)}\\fR"
            ]
        meaning = (action.help or "") % {"default": action.default}
        yield f".TP\n{', '.join(names)}\n{quote(meaning)}\n"


def synopsis(parser: argparse.ArgumentParser) -> str:
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    name, _, rest = usage.partition(" [")
    return f".B {quote(name)}\n{quote('[' + rest) if rest else ''}\n"


def exit_codes(name: str) -> str:
    """Those of one command, from the page that has them all."""
    page = Path(__file__).parents[1] / "docs" / "exit-codes.md"
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|", page.read_text(), re.MULTILINE)
    return "\n".join(
        f"{code}\t{meaning.replace('`', '')}"
        for code, commands, meaning in rows
        if commands == "all" or f"`{name}`" in commands
    )


def command_page(name: str) -> str:
    module, section, purpose = COMMANDS[name]
    parser: argparse.ArgumentParser = import_module(f"pdagent.commands.{module}").parser()
    commands = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    page = header(name, section, purpose)
    page += f".SH SYNOPSIS\n{synopsis(parser)}"
    page += f".SH DESCRIPTION\n{quote(parser.description or '')}\n"
    page += ".SH OPTIONS\n" + "".join(options(parser))
    for command, each in sorted(commands[0].choices.items()) if commands else []:
        page += f".SH {quote(f'{name} {command}').upper()}\n{synopsis(each)}.PP\n"
        page += f"{quote(each.description or '')}\n" + "".join(options(each))
    variables = "PDAGENT_CONF\tthe configuration file, where no option names one\n"
    page += table("ENVIRONMENT", ENVIRONMENT.get(name, "") + variables)
    page += table("FILES", FILES) + table("EXIT STATUS", exit_codes(name))
    others = sorted(f"{other}({COMMANDS[other][1]})" for other in COMMANDS if other != name)
    return page + f".SH SEE ALSO\n{quote(', '.join([*others, 'pdagent.conf(5)']))}\n"


def conf_page() -> str:
    page = header("pdagent.conf", 5, "configuration of the PagerDuty Agent")
    page += ".SH SYNOPSIS\n.B /etc/pdagent.conf\n.SH DESCRIPTION\n" + quote(
        "The configuration is one section, [Main], of lines such as name = value. Lines that "
        "begin with # or ; are comments. A setting that is not there has its default.\n"
        "A value without a meaning keeps pdagentd from starting, with file and line in its log. It "
        "does not keep pd-send from queueing an event.\n"
        "A second section, [Keys], gives names to integration keys, in lines such as db = KEY: for "
        "pd-send -k @db. keys_file may have such a section, too.\n"
        "A running pdagentd reads the file again on SIGHUP, and keeps what it has if that is "
        "wrong.\n"
    )
    rows = (f"{each.name} = {each.written}".rstrip() + f"\t{each.meaning}" for each in SETTINGS)
    page += table("SETTINGS AND THEIR DEFAULTS", "\n".join(rows)) + table("FILES", FILES)
    return page + f".SH SEE ALSO\n{quote('pd-send(1), pd-queue(1), pdagentd(8)')}\n"


def main(directory: Path) -> None:
    for package in ("man", "man-integrations"):
        (directory / package).mkdir(parents=True, exist_ok=True)
    (directory / "pdagent.conf").write_text(conf())
    pages = {"man/pdagent.conf.5": conf_page()}
    for name, (_, section, _) in COMMANDS.items():
        package = "man-integrations" if name in INTEGRATIONS else "man"
        pages[f"{package}/{name}.{section}"] = command_page(name)
    for name, page in pages.items():
        (directory / f"{name}.gz").write_bytes(gzip.compress(page.encode(), 9, mtime=0))


if __name__ == "__main__":
    os.environ["COLUMNS"] = "80"  # the width of a usage line is not the builder's terminal's
    main(Path(sys.argv[1]))
