"""What Zabbix reports through `pd-zabbix`, as events.

An alert script gets three words: the recipient, the subject and the message of Zabbix's media type.
They are the integration key, what happened, and the body: lines of `name:value`. Built-in modules
only.
"""

from pdagent import quick
from pdagent.encoding import unless_blank
from pdagent.event import BadEvent, Event
from pdagent.integrations.report import Report
from pdagent.submission import NothingToSend, UsageError, invalid_choice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.config import Config

_ACTIONS = {
    "trigger": "trigger",
    "problem": "trigger",
    "acknowledge": "acknowledge",
    "acknowledged": "acknowledge",
    "resolve": "resolve",
    "resolved": "resolve",
    "recovery": "resolve",
    "ok": "resolve",
}
_UPDATES = ("update", "updated")
MESSAGES = ("trigger", "acknowledge", "resolve", "update")

# These fields may hold anything, so the body ends with them: what follows is part of their text.
_TEXTS = ("opdata", "update_message")
_CANCELLED = "escalation cancel"  # some versions of Zabbix write "canceled", others "cancelled"
_CONVERTED = " (converted from trigger to resolve by pdagent integration)"

_SEVERITIES = {
    "not classified": "info",
    "information": "info",
    "warning": "warning",
    "average": "error",
    "high": "critical",
    "disaster": "critical",
}
_BY_NUMBER = tuple(_SEVERITIES.values())  # {EVENT.NSEVERITY}, whatever the names are on this server

WORD_CHARS = 200  # how much of Zabbix's words a message quotes

FLAGS = ("-h", "--help", "--version", "-q", "--quiet", "--dry-run")


class ZabbixReport(Report):
    """One message. `words` are the message's type and its body; before them stands the key, if no
    option gives it."""

    command = "pd-zabbix"
    key_option = "KEY"
    texts = {  # noqa: RUF012
        "--service-key-file": "key_file",
        "--events-api": "events_api",
        "--config": "config",
    }

    __slots__ = ("body", "message", "words")

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.message: str | None = None
        self.body: str | None = None

    def read(self, arguments: list[str]) -> bool:
        options, self.words = split(arguments)
        return super().read(options) and not self.fields

    def events(self, settings: "Config") -> list[Event]:
        """What the message means. Raises UsageError, BadEvent, NothingToSend."""
        if len(self.words) not in (2, 3):
            raise UsageError(
                "three words are needed, behind any options: the integration key, the message type "
                "and the body"
            )
        self.key = self.words[0] if len(self.words) == 3 else None
        message, body = self.words[-2:]
        self.integration_key(settings)
        fields = parse(body, "" if self.wanted_api(settings) == "v1" else "\n")
        action = _action(message, fields)
        if action == "trigger" and _CANCELLED in fields.get("NOTE", "").lower():
            # Zabbix tells nobody of the recovery after this.
            action = "resolve"
            fields["NOTE"] += _CONVERTED
        _check(fields)
        name = fields.get("name") or f"Trigger {fields['id']}"
        status = fields.get("status") or ("OK" if action == "resolve" else "PROBLEM")
        url = fields.get("url", "")
        event = self.event(
            settings,
            action,
            unless_blank(fields.get("incident_key")) or f"{fields['id']}-{fields['hostname']}",
            f"{name} : {status} for {fields['hostname']}",
            dict(fields),
            client_url=url if url.strip() else None,
            source=fields["hostname"].strip(),
            severity=_severity(fields),
            component=fields.get("item", "").strip(),
            group=fields.get("hostgroup", "").strip(),
            event_class=fields.get("trigger", "").strip(),
        )
        return [event]


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The options, and the words behind them. Options end at the first word that is none, since a
    body may begin with "-"."""
    at = 0
    while at < len(arguments) and arguments[at][:1] == "-":
        at += 1 if arguments[at] in FLAGS or "=" in arguments[at] else 2
    return arguments[:at], arguments[at:]


def parse(body: str, between: str) -> dict[str, str]:
    """The fields of a body. A line without a colon continues the value above it, and `between` is
    put between the two; the old agent put nothing there.

    A line is no field either if it is part of one of _TEXTS, or if its name was there before. What
    a monitored host says must not decide which incident this is about, or what becomes of it.
    """
    fields: dict[str, str] = {}
    last = ""
    for line in body.strip().split("\n"):
        line = line.strip()
        name, colon, value = line.partition(":")
        if last in _TEXTS:
            fields[last] += "\n" + line
        elif colon and name not in fields:
            fields[name] = value
            last = name
        elif fields:
            fields[last] += between + line
        else:
            fields[line] = line
            last = line
    return fields


def _action(message: str, fields: dict[str, str]) -> str:
    # A subject may have more behind the type: "Problem: Disk is full".
    word = (message.split() or [""])[0].rstrip(":").lower()
    if word in _ACTIONS:
        return _ACTIONS[word]
    if word in _UPDATES:
        return _update(fields)
    raise invalid_choice("TYPE", message, MESSAGES)


def _update(fields: dict[str, str]) -> str:
    """What an update of a problem means, by {EVENT.UPDATE.ACTION}: "acknowledged, commented and
    changed severity from Warning to High"."""
    done = fields.get("update_action", "").lower()
    items = [item.strip() for item in done.replace(" and ", ",").split(",")]
    # The names of severities are the administrator's, and may be any words.
    words = " ".join([item for item in items if not item.startswith("changed severity")]).split()
    if "closed" in words:
        return "resolve"
    if "acknowledged" in words:
        return "acknowledge"
    if not done and fields.get("ack", "").strip().lower() == "yes":
        return "acknowledge"
    # A comment must not open an incident again that somebody resolved. A new severity may, while
    # the problem lasts.
    if "changed severity" in done and fields.get("value", "1").strip() != "0":
        return "trigger"
    kind = repr(done[:WORD_CHARS]) if done else "of no kind given"  # repr() escapes what it has to
    raise NothingToSend(f"an update ({kind}) that changes no incident.")


def _check(fields: dict[str, str]) -> None:
    missing = [name for name in ("id", "hostname") if not unless_blank(fields.get(name))]
    if missing:
        raise BadEvent(
            f"the body lacks {' and '.join(missing)}: without them the incident has no name. "
            "The event was not queued. Have the message template say "
            "id:{TRIGGER.ID} and hostname:{HOST.NAME}, a line each"
        )


def _severity(fields: dict[str, str]) -> str:
    number = fields.get("nseverity", "").strip()
    if len(number) == 1 and number in "012345":
        return _BY_NUMBER[int(number)]
    return _SEVERITIES.get(fields.get("severity", "").strip().lower(), "critical")


def main(arguments: list[str]) -> None:
    """The quick way of `pd-zabbix`."""
    quick.send(ZabbixReport(), arguments)
