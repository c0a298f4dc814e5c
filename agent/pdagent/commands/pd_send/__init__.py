"""`pd-send`: queue an event."""

import argparse
import math
import os
from collections.abc import Sequence
from importlib import import_module

from pdagent import api, exits
from pdagent.acceptance import say
from pdagent.commands import common, sending
from pdagent.commands.pd_send import options
from pdagent.event import BadEvent
from pdagent.submission import Submission, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from pdagent.commands.sending import Submitted
    from pdagent.config import Config
    from pdagent.queue.waiting import WaitingSpool

# First words with options of their own, and the modules that know them.
WORDS = {"expect": "expect", "run": "job", "unit": "unit"}
WAIT_MOST = 31_536_000.0  # a year
BODY_BYTES = 4 * 1024 * 1024  # what the daemon reads of a file; PagerDuty's limit is lower

# Abbreviations that were the old agent's, and that options which have come since would make
# ambiguous.
_STILL_MEAN = {
    "key": common.abbreviations("--service-key", "--s"),
    "description": ["--d"],
    "incident_key": ["--i"],
}


def parser() -> common.Parser:
    parser = common.Parser.of(
        "pd-send",
        "Queue up a trigger, acknowledge, or resolve event to PagerDuty. "
        "With the first word change: a change event. With run: a command, and a page if it fails. "
        "With expect: a page unless this is said again in time. With unit: the end of a systemd "
        "unit.",
        (
            ('pd-send -k KEY -t trigger -d "Disk is full" -i db1.disk', "page"),
            ("pd-send -k KEY -t resolve -i db1.disk", "resolve the same incident"),
            ('pd-send change -k @db -d "Deployed api 1.4.2"', "a change; @db is a key's name"),
        ),
    )
    parser.first_words = (*WORDS, "change")
    group = common.options(parser)
    options.key(group)
    group.add_argument(
        "-t",
        "--event-type",
        dest="action",
        metavar="{trigger,acknowledge,resolve}",
        help="Event type",
    )
    group.add_argument("-d", "--description", help="Short description of the problem")
    group.add_argument("-i", "--incident-key", help="Incident Key, also called dedup key")
    options.about(group)
    group.add_argument(
        "--change",
        action="store_true",
        help="send a change event (something was deployed or configured), which has no event "
        "type; the same as the first word change",
    )
    group.add_argument(
        "--json",
        metavar="FILE",
        help="send the Events API v2 body in FILE (-: standard input); the key may be in it",
    )
    group.add_argument(
        "--wait",
        metavar="SECONDS",
        nargs="?",
        type=_seconds,
        const=math.inf,
        help="return when PagerDuty has the event, or has refused it, or after SECONDS",
    )
    common.dry_run(group)
    for name, abbreviations in _STILL_MEAN.items():
        group.add_argument(*abbreviations, dest=name, help=argparse.SUPPRESS)
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= WAIT_MOST:  # NaN is refused, too
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, as in --wait=30")
    return seconds


class _Submission(Submission):
    """All that `pd-send` takes: the body that `--json` names, too."""

    __slots__ = ()

    def events(self, settings: "Config") -> "Sequence[Submitted]":
        return (
            super().events(settings)
            if self.json is None
            else [_finished(self, self.json, settings)]
        )


def main(arguments: list[str]) -> int:
    before, word, rest = _first_word(arguments)
    if word in WORDS:
        module = import_module(f"{__name__}.{WORDS[word]}")
        return int(module.main([*before, *rest]))
    if word == "change":
        arguments = [*before, "--change", *rest]
    arguments_parser = parser()
    submission = sending.understood(arguments_parser, _Submission(), arguments)
    settings = sending.settings_of(submission)
    if submission.wait is None:
        return sending.send(arguments_parser, submission, settings)
    from pdagent.queue.waiting import WaitingSpool

    with WaitingSpool(settings.spool_dir) as spool:
        code = sending.send(arguments_parser, submission, settings, spool)
        # An event that was delivered directly is not waited for.
        return _wait(spool, submission) if spool.waits else code


def _first_word(arguments: list[str]) -> tuple[list[str], str, list[str]]:
    """The arguments before the first word, the word, and the arguments behind it. Only --config may
    stand before it. Words are no positional arguments: an unquoted "-d disk change" must remain a
    mistake."""
    at = 0
    while at < len(arguments) and arguments[at].partition("=")[0] == "--config":
        at += 1 if "=" in arguments[at] else 2
    return arguments[:at], "".join(arguments[at : at + 1]), arguments[at + 1 :]


def _finished(submission: Submission, path: str, settings: "Config") -> "Submitted":
    """The event whose body is in the file."""
    from pdagent.serve.intake import Invalid, NotJson, read

    _check_alone(submission)
    kind: Literal["change", "v2"] = "change" if submission.change else "v2"
    try:
        intake = read(
            _contents(path), kind, os.urandom, lambda: submission.integration_key(settings)
        )
    except NotJson as error:
        raise BadEvent(f"the body is not JSON: {error}. The event was not queued.") from error
    except Invalid as error:
        more = ""
        if kind == "v2" and any(api.V2_ACTION in fault for fault in error.errors):
            more = " (a change event: pd-send change --json)"
        raise BadEvent(f"{error}{more}. The event was not queued.") from error
    if not submission.quiet:
        for remark in intake.remarks:
            say(common.one_line(f"pd-send: warning: {remark}"), 2)
    given = submission.key is not None or submission.key_file is not None
    if given and submission.integration_key(settings) != intake.key:
        raise UsageError("argument --json: the body names another integration key")
    return intake


def _check_alone(submission: Submission) -> None:
    """With --json, all there is to say about the event is in the body."""
    beside = {
        "-t/--event-type": submission.action,
        "-d/--description": submission.description,
        "-i/--incident-key": submission.incident_key,
        "-c/--client": submission.client,
        "-u/--client-url": submission.client_url,
        "-f/--field": submission.fields,
        "--severity": submission.severity,
        "--source": submission.source,
        "--component": submission.component,
        "--group": submission.group,
        "--class": submission.event_class,
        "--link": submission.links,
        "--image": submission.images,
    }
    for option, value in beside.items():
        if value:
            raise UsageError(f"argument --json: not allowed with argument {option}")


def _contents(path: str) -> bytes:
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            data = file.read(BODY_BYTES + 1)
    except OSError as error:
        raise UsageError(f"argument --json: cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # a NUL in the path
        raise UsageError(f"argument --json: cannot read {path!r}: {error}") from error
    if len(data) > BODY_BYTES:
        raise BadEvent(f"the body is larger than {BODY_BYTES} bytes. The event was not queued.")
    return data


def _wait(spool: "WaitingSpool", submission: Submission) -> int:
    from pdagent.queue.waiting import Removed

    seconds = submission.wait or 0.0
    if not submission.quiet and not spool.heard:
        say("pd-send: warning: pdagentd is not running; the event waits for it", 2)
    try:
        problem = spool.wait(seconds)
    except Removed:
        text = "somebody removed the event from the queue before PagerDuty had it"
        return common.fail("pd-send", text, exits.REMOVED)
    if problem is None:
        text = (
            f"PagerDuty does not have the event after {seconds:g} s. It stays queued, and is sent"
        )
        return common.fail("pd-send", text + " as soon as it can be.", exits.STILL_QUEUED)
    if problem:
        return common.fail("pd-send", f"the event is in error: {problem}", exits.REFUSED)
    return exits.DONE
