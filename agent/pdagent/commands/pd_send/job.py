"""`pd-send run`: run a command, and page if it fails."""

import argparse
import contextlib
import hashlib
import os
import pwd
from collections.abc import Iterator

from pdagent.acceptance import say
from pdagent.commands import common, sending
from pdagent.commands.pd_send import expect, options
from pdagent.commands.pd_send.conclusion import Conclusion, complain
from pdagent.commands.text import parse_span
from pdagent.config import Config
from pdagent.encoding import unless_blank
from pdagent.event import BadEvent
from pdagent.jobs import wording
from pdagent.jobs.passing import Passing
from pdagent.jobs.watching import Ending, Watch, not_run
from pdagent.shown import redacted
from pdagent.spool import SpoolError
from pdagent.submission import Submission

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
        self.output_lines = wording.LINES
        self.failures = 1


def parser() -> common.Parser:
    parser = common.Parser.of(
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
        type=options.number(1, FAILURES_MOST),
        help="page from the Nth failure in a row on (default: 1)",
    )
    options.lines(group, "of output", "0: none, and the command writes past pd-send")
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


def main(arguments: list[str]) -> int:
    arguments_parser = parser()
    job = _read(arguments_parser, arguments)
    term = _term(arguments_parser, job)
    job.incident_key = unless_blank(job.incident_key) or default_dedup_key(job.words)
    description, settings = job.description, sending.settings_of(job)
    conclusion = Conclusion(job, settings, job.failures)
    conclusion.check(arguments_parser)
    try:
        passing = Passing(keeps=job.output_lines > 0)
    except OSError as error:  # whoever started us has left us too few descriptors
        ending = not_run(error)
        _say_problem(job, ending)
        with _suppressed(job):
            _conclude(job, conclusion, ending, b"")
        return ending.code
    watch = Watch(job.words, passing, job.timeout)
    ending = watch.begin() or watch.end()
    _say_problem(job, ending)
    with _suppressed(job):
        _conclude(job, conclusion, ending, passing.last())
        if term and not ending.failed:
            _expect(job, settings, description, term)
    if ending.is_running:
        ending = watch.end()
    watch.pass_on()
    return ending.code


@contextlib.contextmanager
def _suppressed(job: Job) -> Iterator[None]:
    """Our failure must not look like the command's."""
    try:
        yield
    except Exception as error:
        name = wording.name_of(job.words)
        complain(f"the end of {name} could not be told: {type(error).__name__}")


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
    """Seconds from a success to the page if there is no other, with `--every`; else 0. They are a
    tenth more than the time from one run to the next: a run may begin a little later than the last
    one did, or take longer."""
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


def _say_problem(job: Job, ending: Ending) -> None:
    """Says why there was no command, as `env` does. Not every failure pages."""
    if ending.problem:
        text = f"pd-send: {wording.written(job.words[:1])}: {ending.problem}"
        say(common.one_line(text), 2)


def _conclude(job: Job, conclusion: Conclusion, ending: Ending, written: bytes) -> None:
    if not ending.failed:
        conclusion.succeeded()
        return
    summary = f"{wording.name_of(job.words)} failed on {job.host()}: {wording.how(ending)}"
    conclusion.failed(summary, _details(job, ending, written))


def _expect(job: Job, settings: Config, description: str | None, term: float) -> None:
    """The command has succeeded, and is expected to do so again. A failure renews nothing: it
    pages."""
    try:
        never = f"{wording.name_of(job.words)} did not run on {job.host()}"
        job.description = unless_blank(description) or never
        event = expect.trigger(job, settings, job.every or "")
        event.details = {"command": wording.written(job.words), "user": _user(), **event.details}
        expect.expect(event, settings, term)
    except (SpoolError, BadEvent) as error:
        why = error.cause if isinstance(error, SpoolError) else str(error)
        complain(f"--every has no effect this time: {redacted(why, job.key or '')}")


def _details(job: Job, ending: Ending, written: bytes) -> dict[str, object]:
    details: dict[str, object] = {
        "command": wording.written(job.words),
        "duration": wording.lasting(ending.seconds),
        "user": _user(),
    }
    if ending.killed_by:
        details["signal"] = wording.signal_name(ending.killed_by)
    else:
        details["exit"] = ending.code
    output = wording.last_lines(written, job.output_lines)
    if output:
        details["output"] = output
    return details
