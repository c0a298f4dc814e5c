"""`pdagent check`: whether pages would go out from this host."""

import argparse
import json
import os
import textwrap
import time
from collections.abc import Sequence

from pdagent import __version__, config, exits
from pdagent.check.finding import Finding, Level, worst
from pdagent.commands import screen
from pdagent.event import BadEvent, check_key
from pdagent.submission import say

CODES = {
    Level.OK: exits.DONE,
    Level.WARNING: exits.WARNING,
    Level.FAILED: exits.CHECK_FAILED,
}
_COLOURS = {Level.OK: "32", Level.UNKNOWN: "36", Level.WARNING: "33", Level.FAILED: "31"}
_INDENT = 26
_WIDTH_MOST = 110


def options(group: argparse._ArgumentGroup) -> None:
    """What `check` takes beside what every command takes."""
    group.add_argument("--json", action="store_true", help="print JSON: see docs/json.md")
    group.add_argument(
        "--send-test",
        action="store_true",
        help="also send a trigger and its resolve, and wait until PagerDuty has both; "
        "whoever is on call may be notified",
    )
    group.add_argument(
        "-k",
        "--service-key",
        dest="key",
        metavar="SERVICE_KEY",
        help="the key to send the test event with (default: PD_SERVICE_KEY of the environment)",
    )


def main(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    key = None
    if options.send_test:
        key = options.key or os.environ.get("PD_SERVICE_KEY", "")
        try:
            key = check_key(key)
        except BadEvent as error:
            parser.error(f"argument --send-test: {error}")
    elif options.key:
        parser.error("argument -k/--service-key: needs --send-test")
    findings = _look(config.path_from(options.config), key)
    level = worst(findings)
    if options.json:
        say(json.dumps(_document(findings, level), indent=2))
    else:
        _show(findings)
    return CODES[level]


def _look(path: str, key: str | None) -> list[Finding]:
    from pdagent.check import service
    from pdagent.check.catalogue import catalogue
    from pdagent.check.host import Host
    from pdagent.check.run import run
    from pdagent.check.trial import SECONDS

    settings, problems = config.load(path)
    host = Host()
    found = service.environment(settings, host, os.environ)
    found.apply(os.environ)
    checks = catalogue(path, settings, problems, found, host, key)
    return run(checks) if key is None else run(checks, SECONDS + 5)


def _document(findings: Sequence[Finding], level: Level) -> dict[str, object]:
    return {
        "schema": "pdagent.check/1",
        "version": __version__,
        "host": os.uname().nodename,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "level": level.value,
        "findings": [
            {
                "level": finding.level.value,
                "subject": finding.subject,
                "text": finding.text,
                "remedy": finding.remedy,
            }
            for finding in findings
        ],
    }


def _show(findings: Sequence[Finding]) -> None:
    colours = screen.has_colours()
    width = min(screen.columns() or 80, _WIDTH_MOST)
    for finding in findings:
        head = f"{finding.level.value:<9}{finding.subject:<{_INDENT - 9}}"
        [first, *rest] = textwrap.wrap(finding.text, max(20, width - _INDENT)) or [""]
        say(_painted(head[:9], finding.level, colours) + f"{head[9:]}{first}".rstrip())
        for line in rest:
            say(" " * _INDENT + line)
        if finding.remedy:
            remedy = textwrap.wrap(finding.remedy, max(20, width - _INDENT - 2))
            for number, line in enumerate(remedy):
                say(" " * _INDENT + ("> " if number == 0 else "  ") + line)
    counts = {level: sum(f.level is level for f in findings) for level in Level}
    shown = [f"{count} {level.value}" for level, count in counts.items() if count]
    say(f"\npdagent {__version__} on {os.uname().nodename}: {', '.join(shown)}")


def _painted(text: str, level: Level, colours: bool) -> str:
    return f"\033[{_COLOURS[level]}m{text}\033[0m" if colours else text
