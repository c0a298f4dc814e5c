"""`pd-sensu`: an event of Sensu Core or Sensu Go."""

from pdagent.commands import integration
from pdagent.integrations.sensu import SensuReport


def parser() -> integration.Parser:
    parser = integration.parser(
        "pd-sensu",
        "Enqueue an event from Sensu, Core or Go, to PagerDuty. The event is read from stdin.",
    )
    group = integration.options(parser)
    group.add_argument(
        "-k",
        "--integration-key",
        dest="key",
        metavar="INTEGRATION_KEY",
        help="Integration key, or the absolute path of a file that holds it "
        "(default: PD_SERVICE_KEY of the environment)",
    )
    group.add_argument(
        "-i",
        "--incident-key",
        help="Incident Key, also called dedup key (default: made of client and check)",
    )
    return parser


def main(arguments: list[str]) -> int:
    arguments_parser = parser()
    report = SensuReport()
    arguments_parser.parse_args(arguments, namespace=report)
    return integration.main(arguments_parser, report)
