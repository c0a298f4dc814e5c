"""`pd-queue`: what is in the queue, and another chance for events in error."""

import argparse

from pdagent import config, exits
from pdagent.backlog import Backlog
from pdagent.commands import common
from pdagent.spool import Spool
from pdagent.state import State
from pdagent.submission import say


def parser() -> argparse.ArgumentParser:
    parser = common.parser("pd-queue", "Access local queue of PagerDuty Agent.")
    common.options(parser)
    commands = parser.add_subparsers(
        title="sub-commands", dest="command", metavar="{retry,status}", prog="pd-queue"
    )
    retry = _add(commands, "retry", "set up 'dead' PagerDuty events for retry.")
    retry.add_argument(
        "-k",
        "--service-key",
        help="retry events in given Service API Key (not to be used with -a)",
    )
    retry.add_argument(
        "-a",
        "--all-keys",
        action="store_true",
        help="retry events in all Service API Keys (not to be used with -k)",
    )
    status = _add(commands, "status", "print out status of local event queue.")
    status.add_argument(
        "-k", "--service-key", help="print status of events in given Service API Key"
    )
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, does: str
) -> argparse._ArgumentGroup:
    command = commands.add_parser(
        name, help=does, description=does[0].upper() + does[1:], add_help=False
    )
    return common.options(command, default=argparse.SUPPRESS)


def main(arguments: list[str]) -> int:
    queue_parser = parser()
    options = queue_parser.parse_args(arguments)
    if options.command is None:
        queue_parser.error("too few arguments")
    if options.command == "retry":
        if options.service_key and options.all_keys:
            queue_parser.error("Only one of specific service key or flag for all keys required")
        if not options.service_key and not options.all_keys:
            queue_parser.error("A specific service key or a flag for all keys required")
    settings, problems = config.load(config.path_from(options.config))
    if problems:
        common.warn("pd-queue", problems)
    try:
        if options.command == "status":
            return _status(settings, options.service_key)
        return _retry(settings, options.service_key)
    except PermissionError as error:
        text = f"cannot access {error.filename}: {error.strerror}. "
        text += f"Use: sudo pd-queue {options.command}"
        return common.fail("pd-queue", text, exits.NOT_PERMITTED)
    except OSError as error:
        text = f"cannot access {error.filename}: {error.strerror}"
        return common.fail("pd-queue", text, exits.TRY_AGAIN)


def _status(settings: config.Config, key: str | None) -> int:
    counts = Backlog(settings.spool_dir).counts()
    if key is not None:
        counts = {k: count for k, count in counts.items() if k == key}
    if not counts:
        say("Nothing to report.")
        return exits.DONE
    say(f"{'Service Key':<35}{'Pending':>10}{'Success':>10}{'In Error':>10}")
    say("=" * 65)
    for name, count in counts.items():
        say(f"{name:<35}{count.pending:>10}{count.delivered:>10}{count.in_error:>10}")
    return exits.DONE


def _retry(settings: config.Config, key: str | None) -> int:
    spool = Spool(settings.spool_dir)
    state = State(settings.data_dir)
    number = 0
    for old, new in Backlog(settings.spool_dir).retry(key):
        state.drop_reason(old)
        spool.wake(new)
        number += 1
    say(f"{number} event(s) set up for retry.")
    return exits.DONE
