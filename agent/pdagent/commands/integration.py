"""What the commands of monitoring tools share: `pd-nagios`, `pd-zabbix`, `pd-sensu`.

Nobody reads their output, except the person who sets them up. So whatever keeps an event from being
sent goes to the system's log too.
"""

import argparse
import re
from collections.abc import Sequence

from pdagent.commands import common, sending
from pdagent.integrations import syslog
from pdagent.shown import masked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from pdagent.commands.sending import Sending

# What may be an integration key in the wrong place.
_LIKE_A_KEY = re.compile(r"[0-9A-Za-z]{20,}")


class Parser(common.Parser):
    """A command's parser. It logs a wrong command line to the system's log too."""

    def error(self, message: str, hint: str = "") -> "NoReturn":
        text = _LIKE_A_KEY.sub(lambda found: masked(found[0]), message)
        syslog.error(self.prog, f"{text}. Nothing was sent; {self.prog} -h shows the options")
        super().error(message, hint)


def parser(name: str, description: str, examples: Sequence[common.Example]) -> Parser:
    made = Parser(prog=name, description=description, add_help=False)
    made.examples = examples
    return made


def options(parser: Parser) -> argparse._ArgumentGroup:
    """The options that pd-nagios, pd-zabbix and pd-sensu have in common."""
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


def main(parser: Parser, report: "Sending") -> int:
    """Sends the events of a report that the parser has filled in."""
    return sending.send(parser, report, sending.settings_of(report), unread=True)
