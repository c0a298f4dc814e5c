"""What the commands of monitoring tools share: `pd-nagios`, `pd-zabbix`, `pd-sensu`.

Nobody reads what they say, but for who sets them up: what keeps an event from being sent goes to
the system's log too.
"""

import argparse
from typing import NoReturn

from pdagent import config, exits
from pdagent.commands import common
from pdagent.event import BadEvent
from pdagent.integrations import syslog
from pdagent.integrations.report import NothingToSend, Report
from pdagent.log import redacted
from pdagent.spool import SpoolError
from pdagent.submission import UsageError, accept, body, receipt, say
from pdagent.wire import direct


class Parser(common.Parser):
    """A command's, but that a wrong command line leaves a trace."""

    def error(self, message: str, hint: str = "") -> NoReturn:
        # not the message itself: it may quote a key that stands where it should not
        syslog.error(self.prog, "the command line is wrong, nothing was sent; run it by hand")
        super().error(message, hint)


def parser(name: str, description: str) -> Parser:
    return Parser(prog=name, description=description, add_help=False)


def options(parser: Parser) -> argparse._ArgumentGroup:
    """The options that all of them have."""
    group = common.options(parser)
    common.key_file(group)
    group.add_argument(
        "--events-api",
        metavar="{v1,v2}",
        help="the Events API to write for (default: integrations_events_api of the configuration)",
    )
    group.add_argument(
        "--dry-run", action="store_true", help="print the body that would be sent, queue nothing"
    )
    group.add_argument("-q", "--quiet", action="store_true", help="Operate quietly (no output)")
    return group


def main(parser: Parser, report: Report) -> int:
    """Sends what the report, filled in by the parser, comes to."""
    settings, problems = config.load(config.path_from(report.config))
    # a typo in the configuration must not swallow a page
    if not report.quiet:
        common.warn(report.command, config.told_to_senders(problems))
    try:
        events = report.events(settings)
        if report.dry_run:
            for event in events:
                common.show(body(event, settings))
            return exits.DONE
        for event in events:
            try:
                accept(event, settings)
            except SpoolError as error:
                outcome = direct.instead(settings, error)
                if not outcome.accepted:
                    return fail(report, outcome.text, exits.TRY_AGAIN, event.key)
                if outcome.text:
                    warn(report, outcome.text, event.key)
            if report.confirms and not report.quiet:
                say(receipt(event))
    except NothingToSend as nothing:
        if not report.quiet:
            say(f"Nothing to send: {nothing}")
    except UsageError as error:
        parser.error(str(error))
    except BadEvent as error:
        return fail(report, str(error), exits.BAD_DATA)
    return exits.DONE


def warn(report: Report, text: str, key: str) -> None:
    syslog.error(report.command, redacted(text, key))
    if not report.quiet:
        say(f"{report.command}: warning: {text}", 2)


def fail(report: Report, text: str, code: int, key: str = "") -> int:
    syslog.error(report.command, redacted(text, key))
    return common.fail(report.command, text, code)
