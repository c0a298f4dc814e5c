"""`pd-nagios`: a notification of Nagios, Icinga or Naemon."""

import argparse

from pdagent.commands import common, integration, sending
from pdagent.integrations.nagios import TYPES, NagiosReport

# Abbreviations that the old agent took.
_STILL_MEAN = {
    "key": common.abbreviations("--service-key", "--s"),
    "notification": common.abbreviations("--event-t", "--e"),
}


def parser() -> integration.Parser:
    parser = integration.Parser.of(
        "pd-nagios",
        "Enqueue an event from Nagios, Icinga or Naemon to PagerDuty.",
        (
            (
                "pd-nagios -n host -k KEY -t PROBLEM -f HOSTNAME=db1 -f HOSTSTATE=DOWN",
                "page for a host",
            ),
            (
                "pd-nagios -n host -k KEY -t RECOVERY -f HOSTNAME=db1 -f HOSTSTATE=UP",
                "resolve it",
            ),
            (
                "pd-nagios -n service -k /etc/nagios4/pagerduty.key -t PROBLEM -f HOSTNAME=db1 "
                "-f SERVICEDESC=disk -f SERVICESTATE=CRITICAL",
                "the key is in a file",
            ),
        ),
    )
    group = integration.options(parser)
    group.add_argument(
        "-k",
        "--service-key",
        dest="key",
        metavar="SERVICE_KEY",
        help="Service API Key, also called integration key, or the absolute path of a file that "
        "holds it (default: PD_SERVICE_KEY of the environment, then @default)",
    )
    group.add_argument(
        "-t",
        "--event-type",
        dest="notification",
        metavar="TYPE",
        help=f"$NOTIFICATIONTYPE$: {', '.join(TYPES)}",
    )
    group.add_argument(
        "-i",
        "--incident-key",
        help="Incident Key, also called dedup key (default: made of host and service)",
    )
    group.add_argument(
        "-f",
        "--field",
        dest="fields",
        metavar="FIELDS",
        action="append",
        help="Add given KEY=VALUE pair to the event details; a service's event needs HOSTNAME, "
        "SERVICEDESC and SERVICESTATE, a host's HOSTNAME and HOSTSTATE",
    )
    group.add_argument(
        "-n",
        "--notification-type",
        dest="kind",
        metavar="{service,host}",
        help="what the notification is about",
    )
    for name, abbreviations in _STILL_MEAN.items():
        group.add_argument(*abbreviations, dest=name, help=argparse.SUPPRESS)
    return parser


def main(arguments: list[str]) -> int:
    arguments_parser = parser()
    report = sending.understood(arguments_parser, NagiosReport(), arguments)
    return integration.main(arguments_parser, report)
