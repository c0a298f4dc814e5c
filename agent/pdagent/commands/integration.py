"""What the commands of monitoring tools share: `pd-nagios`, `pd-zabbix`, `pd-sensu`.

Nobody reads their output, except the person who sets them up. So whatever keeps an event from being
sent goes to the system's log too.
"""

import argparse

from pdagent.commands import common, sending
from pdagent.integrations import syslog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from pdagent.commands.sending import Sending


class Parser(common.Parser):
    """A command's parser. It logs a wrong command line to the system's log too."""

    def error(self, message: str, hint: str = "") -> "NoReturn":
        text = syslog.without_keys(message)
        syslog.error(self.prog, f"{text}. Nothing was sent; {self.prog} -h shows the options")
        super().error(message, hint)


def options(parser: Parser) -> argparse._ArgumentGroup:
    """The options that pd-nagios, pd-zabbix and pd-sensu have in common."""
    group = common.options(parser)
    common.key_file(group)
    group.add_argument(
        "--events-api",
        metavar="{v1,v2}",
        help="the Events API to write for (default: integrations_events_api of the configuration)",
    )
    common.dry_run(group)
    common.quiet(group)
    return group


def main(parser: Parser, report: "Sending") -> int:
    """Sends the events of a report that the parser has filled in."""
    return sending.send(parser, report, sending.settings_of(report), unread=True)
