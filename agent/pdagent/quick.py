"""The quick way through `pd-send`: for plain command lines, in built-in modules only.

Anything that is not plain (help, abbreviated or attached options, mistakes, a configuration with a
problem, a spool that can't be written) returns without a trace and the complete way, argparse,
takes over.
"""

import posix

from pdagent import config, exits
from pdagent.event import BadEvent
from pdagent.spool import SpoolError
from pdagent.submission import Submission, UsageError, accept, receipt, say

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
    rest = iter(arguments)
    for argument in rest:
        if argument in ("-q", "--quiet"):
            submission.quiet = True
            continue
        if argument[:2] == "--" and "=" in argument:
            argument, _, value = argument.partition("=")
        else:
            value = next(rest, "-")
            if value[:1] == "-":  # argparse has rules of its own for these
                return None
        if argument in ("-f", "--field"):
            submission.fields.append(value)
        elif argument in _TEXT:
            setattr(submission, _TEXT[argument], value)
        else:
            return None
    return submission


def main(arguments: list[str]) -> None:
    """Sends and exits, or returns having done nothing."""
    submission = read(arguments)
    if submission is None:
        return
    try:
        settings, problems = config.load(config.path_from(submission.config))
        if problems:
            return
        event = submission.event(settings)
        accept(event, settings)
    except (UsageError, BadEvent, SpoolError):
        return
    if not submission.quiet:
        say(receipt(event))
    posix._exit(exits.DONE)
