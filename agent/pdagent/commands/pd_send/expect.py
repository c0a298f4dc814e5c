"""`pd-send expect`: page unless this is said again in time."""

from pdagent import exits
from pdagent.acceptance import body, doubt, enqueue, say
from pdagent.commands import common, sending
from pdagent.commands.pd_send import options
from pdagent.commands.text import parse_span
from pdagent.config import Config, may_exist
from pdagent.encoding import unless_blank
from pdagent.event import BadEvent, Event
from pdagent.queue.elapsed import present
from pdagent.queue.expectation import EXPECTATION_BYTES, TERM_LEAST, TERM_MOST, written
from pdagent.queue.renewal import ExpectationSpool
from pdagent.shown import masked, redacted
from pdagent.spool import SpoolError
from pdagent.submission import Submission, UsageError

COMMAND = "pd-send"
DETAIL = "expected_within"  # what the event calls the term
# How long to wait until the daemon, if one runs, has taken the expectation over. What is accepted
# after that comes after the resolve that the daemon may have sent for it.
TAKEN_SECONDS = 1.0


class Expecting(Submission):
    """The options of one `pd-send expect`."""

    __slots__ = ("cancel", "within")

    def __init__(self) -> None:
        super().__init__()
        self.cancel = False
        self.within: str | None = None


def parser() -> common.Parser:
    parser = common.Parser.of(
        "pd-send expect",
        "Page unless the same is said again in time: for a job that must not stop running in "
        "silence. Each call with the same incident key, integration key and user begins the time "
        "anew, and resolves the incident if there was a page.",
        (
            ("pd-send expect -k @db -i backup --within 25h", "at the end of backup.sh"),
            ("pd-send expect -k @db -i backup --cancel", "expect it no longer"),
        ),
    )
    group = common.options(parser)
    options.key(group)
    group.add_argument(
        "-i",
        "--incident-key",
        metavar="INCIDENT_KEY",
        help="Incident Key, also called dedup key: what is expected",
    )
    group.add_argument(
        "--within",
        metavar="TIME",
        help="page after TIME, such as 90s, 5m, 25h, 8d or 5w, if nobody says it again",
    )
    group.add_argument(
        "--cancel", action="store_true", help="expect it no longer, and resolve its incident"
    )
    group.add_argument(
        "-d",
        "--description",
        help="Short description of the problem (default: that nothing was heard)",
    )
    options.about(group)
    group.add_argument(
        "--dry-run", action="store_true", help="print the body of the page, expect nothing"
    )
    return parser


def seconds(text: str, share: float = 1.0) -> float:
    """A term, `share` times as long as the text says. Raises ValueError."""
    found = parse_span(text) * share
    if not TERM_LEAST <= found <= TERM_MOST:
        raise ValueError(f"must be from {TERM_LEAST:.0f}s to {int(TERM_MOST / share / 86_400)}d")
    return found


def main(arguments: list[str]) -> int:
    arguments_parser = parser()
    asked = Expecting()
    arguments_parser.parse_args(arguments, namespace=asked)
    asked.fields = asked.fields or []
    try:
        term = _term(asked)
        settings = sending.settings_of(asked)
        event = trigger(asked, settings, asked.within or "")
    except UsageError as error:
        arguments_parser.error(str(error))
    if asked.dry_run:
        common.show(body(event, settings))
        return exits.DONE
    try:
        if not may_exist(event.key, settings):
            named = masked(event.key)
            raise BadEvent(f"no integration key is named {named}. Nothing was accepted.")
        expect(event, settings, term).see_taken(TAKEN_SECONDS)
    except BadEvent as error:
        return common.fail(COMMAND, str(error), exits.BAD_DATA)
    except SpoolError as error:
        text = f"{error.cause}. Nothing was accepted: what was expected before still is. "
        text = redacted(f"{text}{error.remedy}".rstrip(), event.key)
        return common.fail(COMMAND, text, exits.TRY_AGAIN)
    if not asked.quiet:
        what = "No longer expected" if asked.cancel else f"Expected within {asked.within}"
        say(f"{what}. Incident Key: {event.dedup_key}")
        if text := doubt(event, settings):
            say(f"{COMMAND}: warning: {text} It was accepted all the same.", 2)
    return exits.DONE


def _term(asked: Expecting) -> float:
    """The term in seconds, 0 to cancel. Raises UsageError."""
    if not unless_blank(asked.incident_key):
        raise UsageError("argument -i/--incident-key is required: it says what is expected")
    if asked.cancel:
        if asked.within is not None:
            raise UsageError("argument --cancel: not allowed with argument --within")
        return 0.0
    if asked.within is None:
        raise UsageError("argument --within is required, as in --within 25h; or --cancel")
    try:
        return seconds(asked.within)
    except ValueError as error:
        raise UsageError(f"argument --within: {asked.within!r} is no time: it {error}") from error


def trigger(asked: Submission, settings: Config, within: str) -> Event:
    """The page for what is not heard of in time. Raises UsageError."""
    asked.action = "trigger"
    if not unless_blank(asked.description):
        asked.description = f"Nothing heard of {asked.incident_key} within {within}"
    event = asked.event(settings)
    event.details = {DETAIL: within, **event.details}
    return event


def expect(event: Event, settings: Config, term: float) -> ExpectationSpool:
    """Puts an expectation on stable storage: the event is sent `term` seconds from now, unless this
    is called again before. With a `term` of 0 it is expected no longer. Raises SpoolError,
    BadEvent."""
    data = written(body(event, settings), term, present())
    if len(data) > EXPECTATION_BYTES:
        raise BadEvent(f"the event is larger than {EXPECTATION_BYTES} bytes. Nothing was accepted.")
    spool = ExpectationSpool(settings.spool_dir)
    enqueue(event.key, data, settings, spool)
    return spool
