"""The options that `pd-send` and its first words have in common."""

import argparse
from collections.abc import Callable

from pdagent.commands import common

LINES_MOST = 1000


def key(group: argparse._ArgumentGroup) -> None:
    """Adds the options that give the integration key."""
    group.add_argument(
        "-k",
        "--service-key",
        dest="key",
        metavar="SERVICE_KEY",
        help="Service API Key, also called integration key "
        "(default: PD_SERVICE_KEY of the environment, then @default)",
    )
    common.key_file(group)


def about(group: argparse._ArgumentGroup) -> None:
    """Adds the options that say more of an event than what it is about."""
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
    common.quiet(group)
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
        metavar="'SRC [URL] [TEXT]'",
        action="append",
        help="add an image, with the address it leads to and what it shows; may be repeated",
    )


def lines(group: argparse._ArgumentGroup, what: str, none: str) -> None:
    """Adds the option that says how many lines of what a job wrote a page has. `what` is put behind
    "lines" in its help, and `none` says what 0 means."""
    from pdagent.jobs.wording import LINES  # a plain pd-send has no job

    group.add_argument(
        "--output-lines",
        metavar="N",
        type=number(0, LINES_MOST),
        help=f"put the last N lines {what} into the page, up to 32 kB (default: {LINES}; {none})",
    )


def number(least: int, most: int) -> Callable[[str], int]:
    """A type for argparse: whole numbers from `least` to `most`."""

    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
            return int(text)
        rule = f"must be a whole number from {least} to {most}"
        raise argparse.ArgumentTypeError(f"{text!r} {rule}")

    return read
