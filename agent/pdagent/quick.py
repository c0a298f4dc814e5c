"""The quick way through `pd-send`: for plain command lines, in built-in modules only.

Anything that is not plain (help, abbreviated or attached options, mistakes, a configuration with a
problem, a spool that can't be written) returns without a trace and the complete way, argparse,
takes over.
"""

import posix

from pdagent import config, exits
from pdagent.event import BadEvent, Event
from pdagent.spool import SpoolError
from pdagent.submission import Submission, UsageError, accept, receipt, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from pdagent.config import Config

    class Options(Protocol):
        """What every command that has a quick way fills in."""

        quiet: bool
        fields: list[str]


_TEXT = {
    "-k": "key",
    "--service-key": "key",
    "-t": "action",
    "--event-type": "action",
    "-d": "description",
    "--description": "description",
    "-i": "incident_key",
    "--incident-key": "incident_key",
    "-c": "client",
    "--client": "client",
    "-u": "client_url",
    "--client-url": "client_url",
    "--severity": "severity",
    "--source": "source",
    "--component": "component",
    "--group": "group",
    "--class": "event_class",
    "--config": "config",
}


def read(arguments: list[str]) -> Submission | None:
    """The submission that a plain command line describes, None for one that is not plain."""
    submission = Submission()
    return submission if fill(submission, _TEXT, arguments) else None


def fill(target: "Options", texts: dict[str, str], arguments: list[str]) -> bool:
    """Puts a plain command line's options into `target`, by the names in `texts`. False if it is
    not plain: then `target` is of no use."""
    rest = iter(arguments)
    for argument in rest:
        if argument in ("-q", "--quiet"):
            target.quiet = True
            continue
        if argument[:2] == "--" and "=" in argument:
            argument, _, value = argument.partition("=")
        else:
            value = next(rest, "-")
            if value[:1] == "-":  # argparse has rules of its own for these
                return False
        if argument in ("-f", "--field"):
            target.fields.append(value)
        elif argument in texts:
            setattr(target, texts[argument], value)
        else:
            return False
    return True


_tried = False  # by the frozen program, before it had its importers
left: tuple[Event, "Config", SpoolError, bool] | None = None  # what the spool did not take


def main(arguments: list[str]) -> None:
    """Sends and exits, or returns having done nothing; but what the spool did not take is `left`,
    to be dealt with as it is. The second call does nothing."""
    global _tried, left
    if _tried:
        return
    _tried = True
    submission = read(arguments)
    if submission is None:
        return
    try:
        settings, problems = config.load(config.path_from(submission.config))
        if config.told_to_senders(problems):
            return
        event = submission.event(settings)
    except (UsageError, BadEvent):
        return
    try:
        accept(event, settings)
    except BadEvent:
        return
    except SpoolError as error:
        left = (event, settings, error, submission.quiet)
        return
    if not submission.quiet:
        say(receipt(event))
    posix._exit(exits.DONE)
