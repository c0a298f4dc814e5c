"""`pd-queue`: what is in the queue, and what a person may do to it."""

from importlib import import_module

from pdagent import config, exits
from pdagent.acceptance import say
from pdagent.commands import common
from pdagent.commands.pd_queue.arguments import check, parser
from pdagent.commands.pd_queue.view import View
from pdagent.queue.states import Ambiguous, NoSuchEvent
from pdagent.shown import masked, masked_name

__all__ = ["main", "parser"]

# Modules and their functions. Only the one that is asked for is imported: each takes its time.
COMMANDS = {
    "status": ("status", "status"),
    "list": ("look", "list_events"),
    "show": ("look", "show"),
    "watch": ("watch", "watch"),
    "retry": ("change", "retry"),
    "purge": ("change", "purge"),
    "cancel": ("cancel", "cancel"),
}


def main(arguments: list[str]) -> int:
    queue_parser = parser()
    options = queue_parser.parse_args(arguments)
    if options.command is None:
        queue_parser.error("too few arguments")
    check(queue_parser, options)
    settings, problems = config.load(config.path_from(options.config))
    problems += config.load_keys(settings)
    common.warn("pd-queue", config.told_to_senders(problems))
    _doubt(getattr(options, "service_key", None), settings)
    module, function = COMMANDS[options.command]
    command = getattr(import_module(f"pdagent.commands.pd_queue.{module}"), function)
    try:
        return int(command(View(settings), options))
    except NoSuchEvent as error:
        return common.fail("pd-queue", str(error), exits.NO_SUCH_EVENT)
    except Ambiguous as error:
        return common.fail("pd-queue", str(error), exits.USAGE)
    except PermissionError as error:
        text = f"cannot access {_path(error)}: {error.strerror}. "
        text += f"Use: sudo pd-queue {options.command}"
        return common.fail("pd-queue", text, exits.NOT_PERMITTED)
    except BrokenPipeError:
        raise  # whoever read the output has seen enough: it is no error of the queue
    except OSError as error:
        text = f"cannot access {_path(error)}: {error.strerror}"
        return common.fail("pd-queue", text, exits.TRY_AGAIN)


def _doubt(key: str | None, settings: config.Config) -> None:
    """Warns if -k is probably a mistake: a name that no key has, or a name without its "@"."""
    names = settings.keys or {}
    if key is None:
        return
    if key[:1] == "@" and settings.keys is not None and not config.key_named(key, settings):
        hint = common.did_you_mean(key[1:], names, "@")
        say(f"pd-queue: warning: no integration key is named {masked(key)}{hint}", 2)
    elif key.lower() in names:
        say(
            f"pd-queue: warning: {key.lower()} is the name of a key: did you mean @{key.lower()}?",
            2,
        )


def _path(error: OSError) -> str:
    """The path in an error, without the key that an event's name holds."""
    directory, slash, name = str(error.filename).rpartition("/")
    return directory + slash + (masked_name(name) if name[:1].isdigit() else name)
