"""A report: what a monitoring tool tells through its command, and how it becomes events.

`nagios`, `zabbix` and `sensu` know what their tool tells. What `pd-nagios`, `pd-zabbix` and
`pd-sensu` have in common is here. The monitoring server waits for them, so they have the quick way
of `pd-send` (`quick`), and import built-in modules only.
"""

from pdagent.encoding import shorten_key
from pdagent.event import Event, bare_key
from pdagent.submission import Request, agent_id, invalid_choice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.config import Config


_APIS = ("v1", "v2")


class Report(Request):
    """The options of one command. Each subclass has a method `events` that makes events of
    them."""

    confirms = False

    __slots__ = ("events_api",)

    def __init__(self) -> None:
        super().__init__()
        self.events_api: str | None = None

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
        """An event by this report's key, for the Events API that is wanted."""
        v1 = self.wanted_api(settings) == "v1"
        client = self.command.removeprefix("pd-").capitalize() if client_url else None
        # The old agent always sent `client` and `client_url`, and somebody may look at v1 bodies.
        empty = "" if v1 else None
        return Event(
            self.integration_key(settings),
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
        """The Events API to write for, "v1" or "v2". Raises UsageError."""
        wanted = self.events_api or settings.integrations_events_api
        if wanted not in _APIS:
            raise invalid_choice("--events-api", wanted, _APIS)
        return wanted

    def integration_key(self, settings: "Config") -> str:
        """The integration key. If an absolute path is given in its place, the key is read from that
        file: tools hand over a contact's address as it is, and no key has a slash. Raises
        UsageError."""
        key = bare_key(self.key or "")
        if key[:1] == "/":
            self.key, self.key_file = None, key
        else:
            self.key = key or None
        return super().integration_key(settings)
