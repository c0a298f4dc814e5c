"""Sending, the complete way: all commands that send come here, with what the quick way has handed
over or what argparse has read."""

from pdagent import config, exits, quick
from pdagent.acceptance import accept, body, confirm, receipt, say
from pdagent.commands import common
from pdagent.config import Config
from pdagent.event import BadEvent
from pdagent.integrations import syslog
from pdagent.shown import redacted
from pdagent.spool import Spool, SpoolError
from pdagent.submission import NothingToSend, Request, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol, TypeVar

    from pdagent.event import Event
    from pdagent.serve.intake import Intake
    from pdagent.wire.direct import Outcome

    Submitted = Event | Intake
    AnyRequest = TypeVar("AnyRequest", bound=Request)

    class Sending(Protocol):
        """What every command that sends fills in: a `Request` that makes its events."""

        command: str
        confirms: bool
        config: str | None
        quiet: bool
        dry_run: bool

        def read(self, arguments: list[str]) -> bool: ...
        def events(self, settings: Config) -> Sequence[Submitted]: ...


def understood(parser: common.Parser, request: "AnyRequest", arguments: list[str]) -> "AnyRequest":
    """The options of a command line. The quick way has read them, or argparse fills them into
    `request`."""
    handed = quick.handover.request
    if isinstance(handed, type(request)):
        return handed
    parser.parse_args(arguments, namespace=request)
    request.fields = request.fields or []  # argparse's None where there was none
    return request


def settings_of(request: "Sending") -> Config:
    """The configuration. A mistake in it is only warned of, since a page must not be lost for
    it."""
    settings, problems = config.load(config.path_from(request.config))
    if not request.quiet:
        common.warn(request.command, config.told_to_senders(problems))
    return settings


def send(
    parser: common.Parser,
    request: "Sending",
    settings: Config,
    spool: Spool | None = None,
    unread: bool = False,
) -> int:
    """Gets the events accepted that are not accepted yet, and returns the exit code. `unread`:
    nobody reads the command's stderr, so errors go to the system's log too."""
    handed = quick.handover
    try:
        events = handed.events
        if events is None:
            events = list(request.events(settings))
        if request.dry_run:
            for event in events:
                common.show(body(event, settings))
            return exits.DONE
        while events:
            error = handed.error or _enqueue(events[0], settings, spool)
            handed.error = None
            outcome = None
            if error is not None:
                outcome = directly(request.command, events[0], settings, error, spool)
            if outcome is not None and not outcome.accepted:
                return common.fail(request.command, outcome.text, exits.TRY_AGAIN)
            confirm(request, events.pop(0), settings)
            if outcome is not None and outcome.text and not request.quiet:
                say(common.one_line(f"{request.command}: warning: {outcome.text}"), 2)
    except NothingToSend as nothing:
        if not request.quiet:
            say(f"Nothing to send: {nothing}")
    except UsageError as error:
        parser.error(str(error))
    except BadEvent as error:
        if unread:
            syslog.error(request.command, str(error))
        return common.fail(request.command, str(error), exits.BAD_DATA)
    return exits.DONE


def directly(
    command: str,
    event: "Submitted",
    settings: Config,
    error: SpoolError,
    spool: Spool | None = None,
) -> "Outcome":
    """Delivers an event that the spool did not take, if the configuration wants that. The system's
    log has the only trace of such an event, since it is neither in the queue nor in the agent's
    log."""
    from pdagent.wire import direct  # which most commands never need, and which takes longest

    outcome = direct.instead(settings, error, spool)
    if outcome.text:
        text = f"{outcome.text} {receipt(event)}" if outcome.accepted else outcome.text
        syslog.error(command, redacted(text, event.key))
    return outcome


def _enqueue(event: "Submitted", settings: Config, spool: Spool | None) -> SpoolError | None:
    try:
        accept(event, settings, spool)
    except SpoolError as error:
        return error
    return None
