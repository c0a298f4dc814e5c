"""`pd-queue`: what is in the queue, and what a person may do to it."""

from pdagent import config, exits
from pdagent.commands import common
from pdagent.commands.queue import change, look, watch
from pdagent.commands.queue.arguments import parser
from pdagent.commands.queue.view import View
from pdagent.log import masked_name
from pdagent.queue.listing import Ambiguous, NoSuchEvent

__all__ = ["main", "parser"]

COMMANDS = {
    "status": look.status,
    "list": look.list_events,
    "show": look.show,
    "watch": watch.watch,
    "retry": change.retry,
    "purge": change.purge,
}


def main(arguments: list[str]) -> int:
    queue_parser = parser()
    options = queue_parser.parse_args(arguments)
    if options.command is None:
        queue_parser.error("too few arguments")
    if options.command == "retry":
        if options.service_key and options.all_keys:
            queue_parser.error("Only one of specific service key or flag for all keys required")
        if not change.is_selective(options) and not options.all_keys:
            queue_parser.error("A specific service key or a flag for all keys required")
    if options.command == "purge":
        problem = change.purge_problem(options)
        if problem:
            queue_parser.error(problem)
    settings, problems = config.load(config.path_from(options.config))
    common.warn("pd-queue", config.told_to_senders(problems))
    try:
        return COMMANDS[options.command](View(settings), options)
    except NoSuchEvent as error:
        return common.fail("pd-queue", str(error), exits.NO_SUCH_EVENT)
    except Ambiguous as error:
        return common.fail("pd-queue", str(error), exits.USAGE)
    except PermissionError as error:
        text = f"cannot access {_path(error)}: {error.strerror}. "
        text += f"Use: sudo pd-queue {options.command}"
        return common.fail("pd-queue", text, exits.NOT_PERMITTED)
    except OSError as error:
        text = f"cannot access {_path(error)}: {error.strerror}"
        return common.fail("pd-queue", text, exits.TRY_AGAIN)


def _path(error: OSError) -> str:
    """The path in an error, without the key that an event's name holds."""
    directory, slash, name = str(error.filename).rpartition("/")
    return directory + slash + (masked_name(name) if name.endswith(".txt") else name)
