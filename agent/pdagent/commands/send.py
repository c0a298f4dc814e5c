"""`pd-send`: queue an event."""

import argparse
import json
from typing import NoReturn

from pdagent import config, exits
from pdagent.commands import common
from pdagent.event import BadEvent, Event
from pdagent.spool import SpoolError
from pdagent.submission import Submission, UsageError, accept, body, receipt, say

# Abbreviations that were the old agent's, and that options which have come since would make
# ambiguous.
_STILL_MEAN = {
    "key": ["--service-key"[:length] for length in range(len("--s"), len("--service-key"))],
    "description": ["--d"],
    "incident_key": ["--i"],
}


def parser() -> argparse.ArgumentParser:
    parser = common.parser(
        "pd-send", "Queue up a trigger, acknowledge, or resolve event to PagerDuty."
    )
    group = common.options(parser)
    group.add_argument(
        "-k",
        "--service-key",
        dest="key",
        metavar="SERVICE_KEY",
        help="Service API Key, also called integration key "
        "(default: PD_SERVICE_KEY of the environment)",
    )
    group.add_argument(
        "--service-key-file",
        dest="key_file",
        metavar="FILE",
        help="read the key from the first line of FILE, so that it does not show in ps",
    )
    group.add_argument(
        "-t",
        "--event-type",
        dest="action",
        metavar="{trigger,acknowledge,resolve}",
        help="Event type",
    )
    group.add_argument("-d", "--description", help="Short description of the problem")
    group.add_argument("-i", "--incident-key", help="Incident Key, also called dedup key")
    group.add_argument("-c", "--client", help="Client")
    group.add_argument("-u", "--client-url", help="Client URL")
    group.add_argument(
        "-f",
        "--field",
        dest="fields",
        metavar="FIELDS",
        action="append",
        help="Add given KEY=VALUE pair to the event details",
    )
    group.add_argument("-q", "--quiet", action="store_true", help="Operate quietly (no output)")
    group.add_argument(
        "--severity",
        metavar="{critical,error,warning,info}",
        help="how bad it is (default: critical)",
    )
    group.add_argument("--source", help="what is affected (default: this host's name)")
    group.add_argument("--component", help="the part of the source that is responsible")
    group.add_argument("--group", help="the cluster or group that the source belongs to")
    group.add_argument("--class", dest="event_class", metavar="CLASS", help="the kind of the event")
    group.add_argument(
        "--link",
        dest="links",
        metavar="'URL [TEXT]'",
        action="append",
        help="add a link to the incident; may be repeated",
    )
    group.add_argument(
        "--image",
        dest="images",
        metavar="'SRC [URL]'",
        action="append",
        help="add an image, with the address it leads to; may be repeated",
    )
    group.add_argument(
        "--change",
        action="store_true",
        help="send a change event (something was deployed or configured); it has no event type",
    )
    group.add_argument(
        "--dry-run", action="store_true", help="print the body that would be sent, queue nothing"
    )
    for name, abbreviations in _STILL_MEAN.items():
        group.add_argument(*abbreviations, dest=name, help=argparse.SUPPRESS)
    return parser


def main(arguments: list[str]) -> int:
    arguments_parser = parser()
    submission = Submission()
    arguments_parser.parse_args(arguments, namespace=submission)
    submission.fields = submission.fields or []
    submission.links = submission.links or []
    submission.images = submission.images or []
    settings, problems = config.load(config.path_from(submission.config))
    # a typo in the configuration must not swallow a page
    if problems and not submission.quiet:
        common.warn("pd-send", problems)
    try:
        event = submission.event(settings)
        if submission.dry_run:
            say(json.dumps(json.loads(body(event, settings)), indent=4, sort_keys=True))
            return exits.DONE
        accept(event, settings)
    except UsageError as error:
        _refuse(arguments_parser, str(error))
    except BadEvent as error:
        return common.fail("pd-send", str(error), exits.BAD_DATA)
    except SpoolError as error:
        return _without_spool(event, settings, str(error), submission.quiet)
    if not submission.quiet:
        say(receipt(event))
    return exits.DONE


def _refuse(arguments_parser: argparse.ArgumentParser, text: str) -> NoReturn:
    # arguments may hold bytes that stderr can't show
    arguments_parser.error(text.encode("utf-8", "backslashreplace").decode())


def _without_spool(event: Event, settings: config.Config, why: str, quiet: bool) -> int:
    if not settings.direct_delivery:
        return common.fail("pd-send", why, exits.TRY_AGAIN)
    from pdagent import direct

    problem = direct.deliver(event, settings)
    if problem:
        return common.fail(
            "pd-send", f"{why} Direct delivery failed: {problem}", exits.NOT_DELIVERED
        )
    if not quiet:
        say(receipt(event))
    return exits.DONE
