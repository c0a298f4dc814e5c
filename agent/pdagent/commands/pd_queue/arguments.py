"""The command line of `pd-queue`."""

import argparse
import os
import pwd
import sys

from pdagent.commands import common
from pdagent.commands.text import parse_span
from pdagent.event import BadEvent, check_key
from pdagent.queue.states import STATES, UNSETTLED
from pdagent.spool import DELIVERED, IN_ERROR, PENDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.queue.listing import Query

CHOICES = {
    "pending": (PENDING,),
    "in-error": (IN_ERROR,),
    "delivered": (DELIVERED,),
    "all": tuple(STATES),
}
EVENT = "a file's name, its beginning, or the name that the log shows"
# The options that select events, by their names in `options`.
_FILTERS = (
    *("events", "service_key", "incident_key", "older", "newer", "reason"),
    "refused_by_old_agent",
)
EXAMPLES = {
    "": (
        ("sudo pd-queue status", "how many events, by key"),
        ("sudo pd-queue list", "each event pending or in error"),
        ("sudo pd-queue retry -a", "send again what is in error"),
    ),
    "cancel": (
        ("sudo pd-queue cancel -i backup", "nobody expects a backup any more"),
        ("sudo pd-queue cancel --user alice --dry-run", "which would it be?"),
    ),
    "list": (
        ("sudo pd-queue list --state in-error", "with PagerDuty's reasons"),
        ("sudo pd-queue list -i server.fire --state all", "all of one incident"),
        ("sudo pd-queue list -r -n 20", "the newest twenty"),
    ),
    "purge": (
        ("sudo pd-queue purge --dry-run -i server.fire", "which would it be?"),
        ("sudo pd-queue purge 1795402356123456", "one event"),
        ("sudo pd-queue purge --state in-error --older 2d --yes", "without a question"),
    ),
    "retry": (
        ("sudo pd-queue retry 1795402356123456", "one event"),
        ("sudo pd-queue retry 1795402356123456 --to-key @db", "with another key"),
        ("sudo pd-queue retry --reason 400 --dry-run", "which would it be?"),
    ),
    "show": (
        ("sudo pd-queue show 1795402356123456", "by what list shows first"),
        ("sudo pd-queue show 1795402356123456_*138c", "by what the log shows"),
    ),
    "status": (
        ("sudo pd-queue status", "all keys"),
        ("sudo pd-queue status -k @db", "one key"),
        ("sudo pd-queue status --json", "for programs"),
    ),
    "watch": (
        ("sudo pd-queue watch", "q ends it"),
        ("sudo pd-queue watch -k @db | tee queue.log", "a line for each change"),
    ),
}


def parser() -> common.Parser:
    parser = common.Parser.of("pd-queue", "Access local queue of PagerDuty Agent.", EXAMPLES[""])
    common.options(parser)
    commands = parser.add_subparsers(
        title="sub-commands",
        dest="command",
        metavar="{cancel,list,purge,retry,show,status,watch}",
        prog="pd-queue",
    )
    _cancel(_add(commands, "cancel", "cancel what is expected, whoever expects it."))
    _list(_add(commands, "list", "list events, oldest first."))
    _purge(_add(commands, "purge", "remove events for good."))
    _retry(_add(commands, "retry", "set up 'dead' PagerDuty events for retry."))
    show = _add(commands, "show", "show one event: its body and its history.")
    show.add_argument("event", metavar="EVENT", help=EVENT)
    _json(show)
    status = _add(commands, "status", "print out status of local event queue.")
    status.add_argument(
        "-k", "--service-key", help="print status of events in given Service API Key"
    )
    _json(status)
    watch = _add(commands, "watch", "watch the queue until interrupted.")
    watch.add_argument("-k", "--service-key", help="watch events in given Service API Key")
    _json(watch)
    return parser


def _cancel(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-k", "--service-key", help="only what is expected for this Service API Key")
    group.add_argument(
        "-i", "--incident-key", "--dedup-key", metavar="KEY", help="only this incident key"
    )
    group.add_argument(
        "--user", metavar="USER", type=_user, help="only what this user expects, by name or number"
    )
    group.add_argument("-a", "--all", action="store_true", help="all that is expected")
    group.add_argument("--dry-run", action="store_true", help="only show what would be cancelled")


def _list(group: argparse._ArgumentGroup) -> None:
    _events(group)
    group.add_argument("-k", "--service-key", help="only events in given Service API Key")
    _state(group)
    _filters(group)
    group.add_argument(
        "-n", "--limit", type=_count, metavar="N", help="at most N events (default: all)"
    )
    group.add_argument("-r", "--reverse", action="store_true", help="the newest first")
    _json(group)


def _purge(group: argparse._ArgumentGroup) -> None:
    _events(group)
    group.add_argument("-k", "--service-key", help="remove events in given Service API Key")
    group.add_argument(
        "-a",
        "--all-keys",
        action="store_true",
        help="remove events in all Service API Keys (not to be used with -k)",
    )
    _state(group)
    _filters(group)
    group.add_argument("-y", "--yes", action="store_true", help="do not ask")
    _dry_run(group)
    _json(group)


def _retry(group: argparse._ArgumentGroup) -> None:
    _events(group)
    group.add_argument(
        "-k",
        "--service-key",
        help="retry events in given Service API Key (not to be used with -a)",
    )
    group.add_argument(
        "-a",
        "--all-keys",
        action="store_true",
        help="retry events in all Service API Keys (not to be used with -k)",
    )
    _filters(group)
    group.add_argument(
        "--refused-by-old-agent",
        action="store_true",
        help="only events of Events API v2 that an old agent, which knows v1 alone, has refused",
    )
    group.add_argument(
        "--to-key",
        metavar="KEY",
        type=_key,
        help="send them with this key, or key's name, in place of the one that they have",
    )
    group.add_argument(
        "--force",
        action="store_true",
        help="also retry events that a later event of their incident has overtaken",
    )
    _dry_run(group)
    _json(group)


def _add(
    commands: "argparse._SubParsersAction[common.Parser]", name: str, does: str
) -> argparse._ArgumentGroup:
    command = commands.add_parser(
        name, help=does, description=does[0].upper() + does[1:], add_help=False
    )
    command.examples = EXAMPLES[name]
    return common.options(command, default=argparse.SUPPRESS)


def _events(group: argparse._ArgumentGroup) -> None:
    group.add_argument("events", metavar="EVENT", nargs="*", help=f"only this event: {EVENT}")


def _state(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--state",
        choices=list(CHOICES),
        help="only events in this state (default: pending and in-error)",
    )


def _filters(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-i",
        "--incident-key",
        "--dedup-key",
        metavar="KEY",
        help="only events of this incident",
    )
    group.add_argument(
        "--older", type=_age, metavar="AGE", help="only events accepted that long ago: 90s, 5m, 2d"
    )
    group.add_argument(
        "--newer", type=_age, metavar="AGE", help="only events accepted since that long ago"
    )
    group.add_argument(
        "--reason",
        metavar="TEXT",
        help="only events in error, or held, for a reason with this text or HTTP status",
    )


def _dry_run(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--dry-run", action="store_true", help="only show which events it would be")


def _json(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--json", action="store_true", help="print JSON: /usr/share/doc/pdagent/json.md"
    )


def _age(text: str) -> float:
    try:
        return parse_span(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from error


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text) if len(text) < 19 else sys.maxsize  # more than there can be


def _user(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 10:
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except (KeyError, ValueError) as error:  # a NUL in it
        raise argparse.ArgumentTypeError(f"there is no user {text!r}") from error


def _key(text: str) -> str:
    try:
        return check_key(text)
    except BadEvent as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def check(parser: common.Parser, options: argparse.Namespace) -> None:
    """Ends the command with a usage error where options don't go together."""
    if options.command == "cancel":
        _check_cancel(parser, options)
    elif options.command in ("retry", "purge"):
        _check_selection(parser, options)
    if options.command == "purge" and not (
        options.yes or options.dry_run or (os.isatty(0) and os.isatty(2))
    ):
        text = "purge needs --yes where there is no terminal to ask on, or --dry-run"
        parser.error(text, "See: pd-queue purge -h")


def _check_cancel(parser: common.Parser, options: argparse.Namespace) -> None:
    chosen = (options.service_key, options.incident_key, options.user)
    if not options.all and all(each is None for each in chosen):
        text = "An incident key, a key, a user or a flag for all required"
        parser.error(text, "Type: sudo pd-queue cancel -i KEY, or --user USER, or -a")
    if options.all and any(each is not None for each in chosen):
        parser.error("Only one of what to cancel and the flag for all required")


def _check_selection(parser: common.Parser, options: argparse.Namespace) -> None:
    """What `retry` and `purge` change has to be said: a forgotten option must not mean all."""
    command = f"sudo pd-queue {options.command}"
    hint = f"Type: {command} EVENT, or -k KEY, or -a. See: pd-queue {options.command} -h"
    if options.service_key and options.all_keys:
        parser.error("Only one of specific service key or flag for all keys required", hint)
    selective = any(getattr(options, name, None) not in (None, [], False) for name in _FILTERS)
    if not (selective or options.all_keys):
        text = "A specific service key or a flag for all keys required"
        if options.command == "purge":
            text = "An event, a specific service key, a filter or a flag for all keys required"
        parser.error(text, hint)


def query(options: argparse.Namespace) -> "Query":
    """What the options select."""
    from pdagent.queue.listing import Query  # status does without

    state = getattr(options, "state", None)
    if options.command == "retry":
        states: tuple[str, ...] = (IN_ERROR,)
    elif state is not None:
        states = CHOICES[state]
    else:
        # An event that is named counts whatever its state is.
        states = tuple(STATES) if options.events else UNSETTLED
    return Query(
        tuple(options.events),
        options.service_key,
        states,
        options.incident_key,
        options.older,
        options.newer,
        options.reason,
        getattr(options, "refused_by_old_agent", False),
        getattr(options, "to_key", None),
    )
