"""`pd-sensu`: an event of Sensu Core or Sensu Go."""

import json  # noqa: F401  (the scanner in C takes its exception from this package, once it is there)

from pdagent.commands import integration, sending
from pdagent.integrations.sensu import SensuReport


def parser() -> integration.Parser:
    parser = integration.Parser.of(
        "pd-sensu",
        "Enqueue an event from Sensu, Core or Go, to PagerDuty. The event is read from stdin.",
        (
            ("pd-sensu -k KEY < event.json", "page for an event, or resolve it"),
            ("pd-sensu -k /etc/sensu/pagerduty.key < event.json", "the key is in a file"),
            ("pd-sensu -k KEY --dry-run < event.json", "show what would be sent"),
        ),
    )
    group = integration.options(parser)
    group.add_argument(
        "-k",
        "--integration-key",
        dest="key",
        metavar="INTEGRATION_KEY",
        help="Integration key, or the absolute path of a file that holds it "
        "(default: PD_SERVICE_KEY of the environment, then @default)",
    )
    group.add_argument(
        "-i",
        "--incident-key",
        help="Incident Key, also called dedup key (default: made of client and check)",
    )
    return parser


def main(arguments: list[str]) -> int:
    arguments_parser = parser()
    report = sending.understood(arguments_parser, SensuReport(), arguments)
    return integration.main(arguments_parser, report)
