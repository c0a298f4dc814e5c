"""`pd-zabbix`: a message of Zabbix's, as an alert script gets it."""

from pdagent.commands import integration, sending
from pdagent.integrations.zabbix import MESSAGES, ZabbixReport, split


def parser() -> integration.Parser:
    parser = integration.Parser.of(
        "pd-zabbix",
        "Enqueue an event from Zabbix to PagerDuty.",
        (
            ('pd-zabbix KEY trigger "$body"', "page; body='id:1<newline>hostname:db1'"),
            ('pd-zabbix KEY resolve "$body"', "resolve it"),
            ('pd-zabbix --dry-run @db trigger "$body"', "show what would be sent"),
        ),
    )
    parser.usage = "pd-zabbix [OPTION]... [KEY] TYPE BODY"
    integration.options(parser)
    words = parser.add_argument_group("positional arguments, behind all options")
    words.add_argument(
        "key",
        metavar="KEY",
        nargs="?",
        help="Service API Key, also called integration key, or the absolute path of a file that "
        "holds it (default: --service-key-file, PD_SERVICE_KEY of the environment, then @default)",
    )
    words.add_argument(
        "message",
        metavar="TYPE",
        nargs="?",
        help=f"what happened: {', '.join(MESSAGES)}; PROBLEM, OK and the like will do",
    )
    words.add_argument(
        "body",
        metavar="BODY",
        nargs="?",
        help="lines of NAME:VALUE, of which id and hostname must be there",
    )
    return parser


def main(arguments: list[str]) -> int:
    arguments_parser = parser()
    options, words = split(arguments)
    report = sending.understood(arguments_parser, ZabbixReport(), options)
    report.words = words
    return integration.main(arguments_parser, report)
