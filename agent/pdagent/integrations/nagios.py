"""What Nagios, Icinga and Naemon report through `pd-nagios`, as events.

Each incident is about one service or one host. The notification that closes it must have the dedup
key of the one that opened it, so the key is made of names only. Pure, and built-in modules only.
"""

from pdagent import quick
from pdagent.encoding import unless_blank
from pdagent.event import Event
from pdagent.integrations.report import Report
from pdagent.submission import NothingToSend, UsageError, invalid_choice, pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pdagent.config import Config

# Macros that must be there, in the order in which the description names them. All but the state
# make up the dedup key.
_MACROS = {
    "service": ("SERVICEDESC", "SERVICESTATE", "HOSTNAME"),
    "host": ("HOSTNAME", "HOSTSTATE"),
}
_ACTIONS = {
    "PROBLEM": "trigger",
    "CUSTOM": "trigger",  # a person wants somebody paged
    "ACKNOWLEDGEMENT": "acknowledge",
    "RECOVERY": "resolve",
}
_FLAPPING = ("FLAPPINGSTART", "FLAPPINGSTOP", "FLAPPINGDISABLED", "FLAPPINGEND")
_DOWNTIME = ("DOWNTIMESTART", "DOWNTIMEEND", "DOWNTIMECANCELLED", "DOWNTIMEREMOVED")
TYPES = (*_ACTIONS, *_FLAPPING, *_DOWNTIME)  # Nagios's, and what Icinga 2 calls some of them

_WELL = ("OK", "UP")
_SEVERITIES = {
    "CRITICAL": "critical",
    "DOWN": "critical",
    "UNREACHABLE": "error",
    "UNKNOWN": "error",
    "WARNING": "warning",
    "OK": "info",
    "UP": "info",
}


class NagiosReport(Report):
    """One notification: `notification` is its type, `kind` what it is about."""

    command = "pd-nagios"
    confirms = True
    texts = {  # noqa: RUF012
        "-k": "key",
        "--service-key": "key",
        "--service-key-file": "key_file",
        "-t": "notification",
        "--event-type": "notification",
        "-i": "incident_key",
        "--incident-key": "incident_key",
        "-n": "kind",
        "--notification-type": "kind",
        "--events-api": "events_api",
        "--config": "config",
    }

    __slots__ = ("kind", "notification")

    def __init__(self) -> None:
        super().__init__()
        self.notification: str | None = None
        self.kind: str | None = None

    def events(self, settings: "Config") -> list[Event]:
        """What the notification means. Raises UsageError, NothingToSend."""
        self.integration_key(settings)
        notification = _choice("-t/--event-type", self.notification, TYPES, str.upper)
        kind = _choice("-n/--notification-type", self.kind, tuple(_MACROS), str.lower)
        macros = dict([pair(field) for field in self.fields])
        _check(kind, macros)
        if notification in _ACTIONS:
            return [self._event(settings, _ACTIONS[notification], kind, macros)]
        if notification == "FLAPPINGSTART":
            return [self._event(settings, "trigger", kind, macros, flapping=True)]
        events = []
        if notification in _FLAPPING:
            events.append(self._event(settings, "resolve", kind, macros, flapping=True))
        # While an object flaps or is in a downtime, Nagios tells no recovery, and it may never tell
        # one later: an incident from before would stay open.
        if notification != "DOWNTIMESTART" and _state(kind, macros) in _WELL:
            events.append(self._event(settings, "resolve", kind, macros))
        if not events:
            raise NothingToSend(f"{notification} opens and closes no incident.")
        return events

    def _event(
        self,
        settings: "Config",
        action: str,
        kind: str,
        macros: dict[str, object],
        flapping: bool = False,
    ) -> Event:
        names = _MACROS[kind]
        description = "; ".join([f"{name}={macros[name]}" for name in names])
        severity = _SEVERITIES.get(_state(kind, macros), "critical")
        dedup_key = unless_blank(self.incident_key) or _dedup_key(kind, macros)
        if flapping:  # it has an incident of its own, which only the end of the flapping closes
            description += "; FLAPPING"
            dedup_key += ";flapping"
            severity = "warning"
        check = str(macros.get(f"{kind.upper()}CHECKCOMMAND", ""))
        return self.event(
            settings,
            action,
            dedup_key,
            description,
            {**macros, "pd_nagios_object": kind},
            source=str(macros["HOSTNAME"]),
            severity=severity,
            component=str(macros.get("SERVICEDESC", "")),
            group=str(macros.get("SERVICEGROUPNAME") or macros.get("HOSTGROUPNAME") or ""),
            event_class=check.partition("!")[0] or kind,  # its arguments may hold passwords
        )


def _dedup_key(kind: str, macros: dict[str, object]) -> str:
    if kind == "service":
        names = f"host_name={macros['HOSTNAME']};service_desc={macros['SERVICEDESC']}"
        return f"event_source=service;{names}"
    return f"event_source=host;host_name={macros['HOSTNAME']}"


def _state(kind: str, macros: dict[str, object]) -> str:
    return str(macros[f"{kind.upper()}STATE"]).upper()


def _check(kind: str, macros: dict[str, object]) -> None:
    state = f"{kind.upper()}STATE"
    # If the state is there but empty, the event still pages.
    missing = [n for n in _MACROS[kind] if not macros.get(n) and (n != state or n not in macros)]
    if missing:
        options = " ".join([f"-f {name}='${name}$'" for name in missing])
        raise UsageError(
            f"Missing fields for type '{kind}'.  {', '.join(_MACROS[kind])} required; missing or "
            f"empty: {', '.join(missing)} (the command hands them over by {options})"
        )


def _choice(
    option: str, value: str | None, choices: tuple[str, ...], form: "Callable[[str], str]"
) -> str:
    if value is None:
        raise UsageError(f"argument {option} is required")
    if form(value) not in choices:
        raise invalid_choice(option, value, choices)
    return form(value)


def main(arguments: list[str]) -> None:
    """The quick way of `pd-nagios`."""
    quick.send(NagiosReport(), arguments)
