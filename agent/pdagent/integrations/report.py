"""A report: what a monitoring tool tells through its command, and how it becomes accepted events.

`pd-nagios`, `pd-zabbix` and `pd-sensu` differ in what they are told (`nagios`, `zabbix`, `sensu`);
what they have in common is here. The monitoring server waits for them, so built-in modules only,
and a quick way as `pd-send` has (`quick`).
"""

import posix

from pdagent import config, exits
from pdagent.event import BadEvent, Event, shorten_key
from pdagent.spool import SpoolError
from pdagent.submission import (
    UsageError,
    accept,
    agent_id,
    integration_key,
    receipt,
    say,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.config import Config


class NothingToSend(Exception):
    """What is told concerns nobody on call; the text says why."""


class Report:
    """The options of one command, as given: None or empty where they were not."""

    command = ""
    key_option = "-k/--service-key"
    confirms = False  # prints what pd-send does
    texts: dict[str, str] = {}  # noqa: RUF012  (typing costs every report)

    __slots__ = (
        "config",
        "dry_run",
        "events_api",
        "fields",
        "incident_key",
        "key",
        "key_file",
        "quiet",
    )

    def __init__(self) -> None:
        self.key: str | None = None
        self.key_file: str | None = None
        self.incident_key: str | None = None
        self.events_api: str | None = None
        self.config: str | None = None
        self.fields: list[str] = []
        self.dry_run = False
        self.quiet = False

    def read(self, arguments: list[str]) -> bool:
        """Fills in what a plain command line gives; False for one that is not plain."""
        from pdagent.quick import fill

        return fill(self, self.texts, arguments)

    def events(self, settings: "Config") -> list[Event]:
        """The events to send, in order. Raises UsageError, BadEvent and NothingToSend."""
        raise NotImplementedError

    def event(
        self,
        settings: "Config",
        action: str,
        dedup_key: str,
        description: str,
        details: dict[str, object],
        client_url: str | None = None,
        source: str | None = None,
        severity: str | None = None,
        component: str | None = None,
        group: str | None = None,
        event_class: str | None = None,
    ) -> Event:
        """An event of this report's key and command, for the Events API that is wanted."""
        v1 = self.wanted_api(settings) == "v1"
        client = self.command.removeprefix("pd-").capitalize() if client_url else None
        # the old agent always sent these two, and so it stays for those who look at v1 bodies
        empty = "" if v1 else None
        return Event(
            self.integration_key(),
            action,
            description=description,
            dedup_key=shorten_key(dedup_key),
            details=details,
            client=client or empty,
            client_url=client_url or empty,
            source=source,
            severity=severity,
            component=component or None,
            group=group or None,
            event_class=event_class or None,
            queued_by=self.command,
            agent_id=agent_id(settings.data_dir) if v1 else None,
            events_api="v1" if v1 else "v2",
        )

    def wanted_api(self, settings: "Config") -> str:
        wanted = self.events_api or settings.integrations_events_api
        if wanted not in ("v1", "v2"):
            raise UsageError(
                f"argument --events-api: invalid choice: {wanted!r} (choose from 'v1', 'v2')"
            )
        return wanted

    def integration_key(self) -> str:
        """The key; where an absolute path is given instead, from that file. (A key can't hold a
        slash, and tools hand over a contact's address as it is.) Raises UsageError."""
        key, path = self.key or None, self.key_file
        if key is not None and key[0] == "/":
            key, path = None, key
        if key is not None or path is None:
            return integration_key(key, None, self.key_option)
        if path not in _KEYS:
            _KEYS[path] = integration_key(None, path)
        return _KEYS[path]


_KEYS: dict[str, str] = {}  # by path: a pipe can be read once, and the complete way asks again


def main(report: Report, arguments: list[str]) -> None:
    """The quick way: sends and exits, or returns having done nothing."""
    if not report.read(arguments):
        return
    try:
        settings, problems = config.load(config.path_from(report.config))
        if config.told_to_senders(problems):
            return
        events = report.events(settings)
        for event in events:
            accept(event, settings)
            if report.confirms and not report.quiet:
                say(receipt(event))
    except NothingToSend as nothing:
        if not report.quiet:
            say(f"Nothing to send: {nothing}")
    except (UsageError, BadEvent, SpoolError):
        return
    posix._exit(exits.DONE)
