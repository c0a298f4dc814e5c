"""The conclusion: what `pd-send` does once it knows how a job has ended.

Perhaps nobody reads what it says, so that goes to the system's log too.
"""

from collections.abc import Mapping

from pdagent.acceptance import body, doubt, enqueue, say
from pdagent.commands import common, sending
from pdagent.config import DEFAULT_KEY, Config, may_exist
from pdagent.encoding import unless_blank
from pdagent.event import BadEvent, Event
from pdagent.integrations import syslog
from pdagent.jobs.paging import Paging
from pdagent.shown import masked, redacted
from pdagent.spool import SpoolError
from pdagent.submission import Submission, UsageError

COMMAND = "pd-send"


class Conclusion:
    """The events of a job, as the options `asked` describe them. `failures`: see `Paging`."""

    def __init__(self, asked: Submission, settings: Config, failures: int = 1) -> None:
        self._asked = asked
        self._settings = settings
        self._failures = failures
        self._description = unless_blank(asked.description)
        self._accepted = True
        asked.key = self._key()
        asked.key_file = None

    def check(self, parser: common.Parser) -> None:
        """Says what is wrong with the options before anything is done."""
        try:
            event = self._event("trigger", "it failed")
        except UsageError as error:
            parser.error(str(error))
        if not self._asked.quiet and (text := doubt(event, self._settings)):
            say(f"{COMMAND}: warning: {text}", 2)

    def failed(self, summary: str, details: Mapping[str, object]) -> bool:
        """Pages. False if it could not."""
        trigger = self._event("trigger", summary)
        trigger.details = {**details, **trigger.details}
        self._paging().failed(trigger)
        return self._accepted

    def succeeded(self) -> bool:
        """Resolves what an earlier failure opened. False if it could not."""
        self._paging().succeeded()
        return self._accepted

    def _paging(self) -> Paging:
        resolve = self._event("resolve", None)
        spool = self._settings.spool_dir
        return Paging(spool, resolve, self._failures, self._put, complain)

    def _event(self, action: str, description: str | None) -> Event:
        self._asked.action = action
        self._asked.description = (self._description or description) if description else None
        return self._asked.event(self._settings)

    def _key(self) -> str:
        """The integration key. Nothing that is wrong with it keeps a job from being run: a page
        then waits in the queue until its key is there."""
        try:
            key = self._asked.integration_key(self._settings)
        except UsageError as error:
            then = "waits in the queue until a key is named default"
            if may_exist(DEFAULT_KEY, self._settings):
                then = f"goes by {DEFAULT_KEY}"
            complain(syslog.without_keys(f"{error}. A page {then}"))
            return DEFAULT_KEY
        if not may_exist(key, self._settings):
            named = masked(key)
            complain(f"no integration key is named {named}. A page waits in the queue until one is")
        return key

    def _put(self, event: Event) -> bool:
        self._accepted = self._is_accepted(event)
        return self._accepted

    def _is_accepted(self, event: Event) -> bool:
        try:
            enqueue(event.key, body(event, self._settings), self._settings)
        except SpoolError as error:
            outcome = sending.directly(COMMAND, event, self._settings, error)
            if outcome.text and not (outcome.accepted and self._asked.quiet):
                say(common.one_line(f"{COMMAND}: {redacted(outcome.text, event.key)}"), 2)
            return outcome.accepted
        except BadEvent as error:
            complain(str(error))
            return False
        return True


def complain(text: str) -> None:
    """Says what is wrong, in one line."""
    say(common.one_line(f"{COMMAND}: {text}"), 2)
    syslog.error(COMMAND, text)
