"""`pd-send run`: run a command, and page if it fails."""

import argparse
import hashlib
import os
import pwd
from collections.abc import Callable

from pdagent.acceptance import body, doubt, enqueue, say
from pdagent.commands import common, sending
from pdagent.commands.pd_send import expect, options
from pdagent.commands.text import parse_span
from pdagent.config import DEFAULT_KEY, Config, may_exist
from pdagent.event import BadEvent, Event
from pdagent.integrations import syslog
from pdagent.jobs import wording
from pdagent.jobs.paging import Paging
from pdagent.jobs.passing import Passing
from pdagent.jobs.watching import Ending, Watch
from pdagent.shown import redacted
from pdagent.spool import SpoolError
from pdagent.submission import Submission, UsageError

COMMAND = "pd-send"
OUTPUT_LINES = 20
OUTPUT_LINES_MOST = 1000
EVERY_SHARE = 1.1
FAILURES_MOST = 1_000_000


class Job(Submission):
    """The options of one `pd-send run`, and the command."""

    __slots__ = ("every", "failures", "output_lines", "timeout", "words")

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.every: str | None = None
        self.timeout: float | None = None
        self.output_lines = OUTPUT_LINES
        self.failures = 1


def parser() -> common.Parser:
    parser = common.parser(
        "pd-send run",
        "Run a command, and page if it fails: if its exit code is not 0, a signal kills it, or its "
        "time is up. Resolve the incident when it succeeds again. Standard input, output, error, "
        "signals and the exit code are the command's.",
        (
            ("pd-send run -k @db -- backup.sh --all", "page when the backup fails"),
            ("pd-send run -i backup --timeout 2h -- backup.sh", "or takes longer than two hours"),
            ("pd-send run --every 1d -- backup.sh", "or does not run any more"),
        ),
    )
    parser.usage = "pd-send run [options] -- COMMAND [ARGUMENT]..."
    group = common.options(parser)
    options.key(group)
    group.add_argument(
        "-d", "--description", help="Short description of the problem (default: how it ended)"
    )
    group.add_argument(
        "-i",
        "--incident-key",
        help="Incident Key, also called dedup key (default: made of host, user and command)",
    )
    group.add_argument(
        "--timeout",
        metavar="TIME",
        type=_time,
        help="end the command after TIME, such as 90s, 5m or 2h: with SIGTERM, and SIGKILL ten "
        "seconds later; and page",
    )
    group.add_argument(
        "--every",
        metavar="TIME",
        help="page, too, if it does not succeed again within TIME, such as 90s, 5m or 1d, and a "
        "tenth more",
    )
    group.add_argument(
        "--failures",
        metavar="N",
        type=_number(1, FAILURES_MOST),
        help="page from the Nth failure in a row on (default: 1)",
    )
    group.add_argument(
        "--output-lines",
        metavar="N",
        type=_number(0, OUTPUT_LINES_MOST),
        help=f"tell the last N lines of output, up to 32 kB (default: {OUTPUT_LINES}; "
        "0: none, and the command writes past pd-send)",
    )
    options.about(group)
    group.add_argument("words", metavar="COMMAND", nargs="*", help="the command, behind --")
    return parser


def _time(text: str) -> float:
    try:
        seconds = parse_span(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: it {error}") from error
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: it must be more than 0")
    return seconds


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
            return int(text)
        rule = f"must be a whole number from {least} to {most}"
        raise argparse.ArgumentTypeError(f"{text!r} {rule}")

    return read


def main(arguments: list[str]) -> int:
    arguments_parser = parser()
    job = _read(arguments_parser, arguments)
    term = _term(arguments_parser, job)
    settings = sending.settings_of(job)
    job.key = _key(job, settings)
    job.key_file = None
    job.incident_key = job.incident_key or default_dedup_key(job.words)
    description = job.description
    try:
        # What is wrong is said before anything runs.
        event = _event(job, settings, "trigger", description or "it failed")
    except UsageError as error:
        arguments_parser.error(str(error))
    if not job.quiet and (text := doubt(event, settings)):
        say(f"{COMMAND}: warning: {text}", 2)
    passing = Passing(keeps=job.output_lines > 0)
    watch = Watch(job.words, passing, job.timeout)
    ending = watch.begin() or watch.end()
    _conclude(job, settings, description, ending, passing)
    if term and not ending.failed:
        _expect(job, settings, description, term)
    if ending.is_running:
        ending = watch.end()
    watch.pass_on()
    return ending.code


def _read(parser: common.Parser, arguments: list[str]) -> Job:
    words = parser.joined(arguments)
    at = words.index("--") if "--" in words else len(words)
    job = Job()
    parser.parse_args(words[:at], namespace=job)
    job.fields = job.fields or []
    if job.words or not words[at + 1 :]:
        parser.error("the command stands behind --, as in: pd-send run -k @db -- backup.sh --all")
    job.words = words[at + 1 :]
    return job


def _term(parser: common.Parser, job: Job) -> float:
    """For how long no success is no page, with `--every`; else 0. It is a tenth longer than the
    time from one run to the next: a run begins a little later than the last one, or takes
    longer."""
    if job.every is None:
        return 0.0
    try:
        return expect.seconds(job.every, EVERY_SHARE)
    except ValueError as error:
        parser.error(f"argument --every: {job.every!r} is no time: it {error}")


def default_dedup_key(words: list[str]) -> str:
    """The same for each run of the command by this user on this host. Arguments may be long, or
    nobody's business: a digest stands for them."""
    digest = hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{os.uname().nodename}/{_user()}/{wording.name_of(words)}/{digest}"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _key(job: Job, settings: Config) -> str:
    """The integration key. Nothing that is wrong with it keeps the command from being run: a page
    then waits in the queue until its key is there."""
    try:
        key = job.integration_key(settings)
    except UsageError as error:
        _complain(f"{error}. A page waits in the queue until a key is named default")
        return DEFAULT_KEY
    if key[:1] == "@" and not may_exist(key, settings):
        _complain(f"no integration key is named {key}. A page waits in the queue until one is")
    return key


def _complain(text: str) -> None:
    """Nobody may read the stderr of a job."""
    say(f"{COMMAND}: {text}", 2)
    syslog.error(COMMAND, text)


def _event(job: Job, settings: Config, action: str, description: str | None) -> Event:
    job.action, job.description = action, description
    return job.event(settings)


def _conclude(
    job: Job, settings: Config, description: str | None, ending: Ending, passing: Passing
) -> None:
    """Pages, or resolves. Whatever goes wrong here is not the command's fault."""
    try:
        host = job.source or os.uname().nodename
        summary = f"{wording.name_of(job.words)} failed on {host}: {wording.how(ending)}"
        trigger = _event(job, settings, "trigger", description or summary)
        trigger.details = {**_details(job, ending, passing), **trigger.details}

        def put(event: Event) -> bool:
            try:
                enqueue(event.key, body(event, settings), settings)
            except SpoolError as error:
                outcome = sending.directly(COMMAND, event, settings, error)
                if outcome.text and not (outcome.accepted and job.quiet):
                    say(f"{COMMAND}: {redacted(outcome.text, event.key)}", 2)
                return outcome.accepted
            except BadEvent as error:
                _complain(str(error))
                return False
            return True

        resolve = _event(job, settings, "resolve", None)
        paging = Paging(settings.spool_dir, trigger, resolve, job.failures, put, _complain)
        if ending.failed:
            paging.failed()
        else:
            paging.succeeded()
    except Exception as error:
        _complain(
            f"the end of {wording.name_of(job.words)} could not be told: {type(error).__name__}"
        )


def _expect(job: Job, settings: Config, description: str | None, term: float) -> None:
    """It has succeeded, and is expected to do so again. A failure renews nothing: it pages."""
    try:
        host = job.source or os.uname().nodename
        job.description = description or f"{wording.name_of(job.words)} did not run on {host}"
        event = expect.trigger(job, settings, job.every or "")
        event.details = {"command": wording.written(job.words), "user": _user(), **event.details}
        expect.expect(event, settings, term)
    except (SpoolError, BadEvent) as error:
        why = error.cause if isinstance(error, SpoolError) else str(error)
        _complain(f"that it runs again is not expected: {redacted(why, job.key or '')}")


def _details(job: Job, ending: Ending, passing: Passing) -> dict[str, object]:
    details: dict[str, object] = {
        "command": wording.written(job.words),
        "duration": wording.lasting(ending.seconds),
        "user": _user(),
    }
    if ending.killed_by:
        details["signal"] = wording.signal_name(ending.killed_by)
    else:
        details["exit"] = ending.code
    output = wording.last_lines(passing.last, job.output_lines)
    if output:
        details["output"] = output
    return details
