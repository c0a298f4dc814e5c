"""`pdagent check`: whether pages would go out from this host."""

import argparse
import contextlib
import json
import os
import textwrap
import time
from collections.abc import Sequence
from dataclasses import replace

from pdagent import __version__, config, exits
from pdagent.check.configuration import piece
from pdagent.check.finding import Finding, Level, few, worst
from pdagent.commands import terminal
from pdagent.commands.common import fail, put
from pdagent.event import BadEvent, check_key, timestamp
from pdagent.shown import escaped

CODES = {
    Level.OK: exits.DONE,
    Level.WARNING: exits.WARNING,
    Level.FAILED: exits.CHECK_FAILED,
}
_PLUGIN = {Level.OK: (0, "OK"), Level.WARNING: (1, "WARNING"), Level.FAILED: (2, "CRITICAL")}
_PAGES = {
    Level.OK: "pages go out",
    Level.WARNING: "pages go out, but see to this: ",
    Level.FAILED: "pages do NOT go out: ",
}
_CONFIGURATION = {
    Level.OK: "the configuration is good",
    Level.WARNING: "the configuration works, but see to this: ",
    Level.FAILED: "the configuration is NOT good: ",
}
_COLOURS = {Level.OK: "32", Level.UNKNOWN: "36", Level.WARNING: "33", Level.FAILED: "31"}
_INDENT = 26
_WIDTH_MOST = 110


def options(group: argparse._ArgumentGroup) -> None:
    """What `check` takes beside what every command takes."""
    group.add_argument(
        "--json", action="store_true", help="print JSON: /usr/share/doc/pdagent/json.md"
    )
    group.add_argument(
        "--nagios",
        action="store_true",
        help="print one line and exit as a plugin of Nagios, Icinga or NRPE: 0, 1 or 2",
    )
    group.add_argument(
        "--config-only",
        nargs="?",
        const="",
        metavar="PIECE",
        help="look at the configuration alone: needs no daemon, no network and no root; with "
        "PIECE, at this file alone, before it is put into /etc/pdagent.conf.d",
    )
    group.add_argument(
        "--repair",
        action="store_true",
        help="first put right the owners and modes of the agent's files and directories; for root",
    )
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
        help="the key to send the test event with "
        "(default: PD_SERVICE_KEY of the environment, then @default)",
    )


def _test_key(parser: argparse.ArgumentParser, options: argparse.Namespace) -> str | None:
    """The integration key to send a test event with; None if none is to be sent."""
    if not options.send_test:
        if options.key:
            parser.error("argument -k/--service-key: needs --send-test")
        return None
    try:
        return check_key(options.key or os.environ.get("PD_SERVICE_KEY") or _default(options))
    except BadEvent as error:
        parser.error(f"argument --send-test: {error}")


def _default(options: argparse.Namespace) -> str:
    settings, _ = config.load(config.path_from(options.config))
    return config.DEFAULT_KEY if config.may_exist(config.DEFAULT_KEY, settings) else ""


def main(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    key = _test_key(parser, options)
    config_only = options.config_only is not None
    if config_only and (key or options.repair):
        parser.error("argument --config-only: not allowed with --send-test or --repair")
    if options.repair and os.geteuid() != 0:
        return fail(
            "pdagent check",
            "--repair is for root: sudo pdagent check --repair",
            exits.NOT_PERMITTED,
        )
    path = config.path_from(options.config)
    if options.config_only:
        found = list(piece(options.config_only))
    else:
        found = _alone(path) if config_only else _look(path, key, options.repair)
    findings = _safe(few(found))
    level = worst(findings)
    result = _result(findings, level, _CONFIGURATION if config_only else _PAGES)
    code, word = _PLUGIN[level]
    with contextlib.suppress(BrokenPipeError):  # who reads no further may ask for the exit code
        if options.nagios:
            put(f"PDAGENT {word} - {result}".replace("|", "/"))  # "|" would begin figures
        elif options.json:
            put(json.dumps(_document(findings, level, result), indent=2))
        else:
            _show(findings, level, result)
    return code if options.nagios else CODES[level]


def only_configuration(path: str) -> int:
    """`pdagentd --check-config`."""
    findings = _safe(few(_alone(path)))
    level = worst(findings)
    with contextlib.suppress(BrokenPipeError):
        _show(findings, level, _result(findings, level, _CONFIGURATION))
    return CODES[level]


def _safe(findings: Sequence[Finding]) -> list[Finding]:
    """The findings as they may be shown: they name files, and other users have named some of
    these."""
    return [
        replace(each, text=escaped(each.text), remedy=escaped(each.remedy)) for each in findings
    ]


def _alone(path: str) -> list[Finding]:
    from pdagent.check.alone import alone

    return alone(path)


def _look(path: str, key: str | None, repair: bool) -> list[Finding]:
    from pdagent.check import inside, service
    from pdagent.check.catalogue import SECONDS, catalogue, run
    from pdagent.check.host import Host
    from pdagent.check.repair import repaired
    from pdagent.check.trial import SECONDS as TRIAL_SECONDS

    settings, _ = config.load(path)
    host = Host()
    who = inside.service(settings, host)
    done = list(repaired(path, settings, who)) if repair else []
    found = service.environment(settings, host, os.environ)
    found.apply(os.environ)
    checks = catalogue(path, settings, found, host, who, key)
    seconds = SECONDS if key is None else TRIAL_SECONDS + 5
    return done + run(checks, seconds, who if os.geteuid() == 0 else None)


def _result(findings: Sequence[Finding], level: Level, words: dict[Level, str]) -> str:
    """The last line: whether all is well, and what is not. The first in full, since one cause
    often shows in several lines."""
    if level is Level.OK:
        return words[level]
    first, *more = [found for found in findings if found.level is level]
    others = list(dict.fromkeys(found.subject for found in more))
    rest = "; see also the lines " if len(others) > 1 else "; see also the line "
    return f"{words[level]}{first.subject}: {first.text}" + (
        rest + ", ".join(others) if others else ""
    )


def _document(findings: Sequence[Finding], level: Level, result: str) -> dict[str, object]:
    return {
        "schema": "pdagent.check/1",
        "version": __version__,
        "host": os.uname().nodename,
        "time": timestamp(time.time_ns()),
        "level": level.value,
        "result": result,
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


def _show(findings: Sequence[Finding], level: Level, result: str) -> None:
    colours = terminal.has_colours()
    width = min(terminal.columns() or 80, _WIDTH_MOST)
    for finding in findings:
        head = f"{finding.level.value:<9}{finding.subject:<{_INDENT - 9}}"
        [first, *rest] = _wrapped(finding.text, width - _INDENT) or [""]
        put(_painted(head[:9], finding.level, colours) + f"{head[9:]}{first}".rstrip())
        for line in rest:
            put(" " * _INDENT + line)
        if finding.remedy:
            remedy = _wrapped(finding.remedy, width - _INDENT - 2)
            for number, line in enumerate(remedy):
                put(" " * _INDENT + ("> " if number == 0 else "  ") + line)
    counts = {each: sum(found.level is each for found in findings) for each in Level}
    shown = [f"{count} {each.value}" for each, count in counts.items() if count]
    put(f"\npdagent {__version__} on {os.uname().nodename}: {', '.join(shown)}")
    for line in _wrapped(f"RESULT: {result}", width):
        put(_painted(line, level, colours))


def _wrapped(text: str, width: int) -> list[str]:
    # Paths and commands are for copying: they are not broken at hyphens.
    return textwrap.wrap(text, max(20, width), break_on_hyphens=False)


def _painted(text: str, level: Level, colours: bool) -> str:
    return f"\033[{_COLOURS[level]}m{text}\033[0m" if colours else text
