"""What Sensu reports through `pd-sensu`, as events: a check result of Sensu Core or an event of
Sensu Go, as JSON on stdin. Built-in modules only.
"""

import posix

from pdagent import quick
from pdagent.encoding import unless_blank, whole_number
from pdagent.event import BadEvent, Event
from pdagent.integrations.report import Report
from pdagent.submission import NothingToSend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.config import Config

MAX_BYTES = 16_777_216
_SPACE = " \t\r\n\0"
_SEVERITIES = ("info", "warning", "critical")  # by status; any other status is an "error"


class SensuReport(Report):
    """One event, on stdin."""

    command = "pd-sensu"
    key_option = "-k/--integration-key"
    texts = {  # noqa: RUF012
        "-k": "key",
        "--integration-key": "key",
        "--service-key-file": "key_file",
        "-i": "incident_key",
        "--incident-key": "incident_key",
        "--events-api": "events_api",
        "--config": "config",
    }

    __slots__ = ("_data",)

    def __init__(self) -> None:
        super().__init__()
        self._data: bytes | None = None

    def read(self, arguments: list[str]) -> bool:
        return super().read(arguments) and not self.fields

    def events(self, settings: "Config") -> list[Event]:
        """What stdin means. Raises UsageError, BadEvent, NothingToSend."""
        self.integration_key(settings)
        self.wanted_api(settings)
        document = loads(self._stdin())
        if not isinstance(document, dict):
            raise BadEvent("what is on stdin is not an event of Sensu's: it is no JSON object")
        go = isinstance(document.get("entity"), dict)
        about = _go(document) if go else _core(document)
        dedup_key = unless_blank(self.incident_key) or unless_blank(about.dedup_key)
        if not dedup_key:
            raise BadEvent(
                "the event names no client and check, and has no id: without them the incident has "
                "no name. The event was not queued. Name it with -i"
            )
        event = self.event(
            settings,
            about.action,
            dedup_key,
            f"{dedup_key} : {about.output}",
            document,
            source=unless_blank(about.source) or "sensu",
            severity=_severity(about.status),
            component=about.component,
            group=about.group,
            event_class=about.event_class,
        )
        return [event]

    def _stdin(self) -> str:
        """What is on stdin. It can be read only once, and the complete way may ask again, so it is
        kept. Raises BadEvent if it can't be read, or is too long."""
        if self._data is None:
            self._data = _read()
        if len(self._data) > MAX_BYTES:
            raise BadEvent(f"the event on stdin is longer than {MAX_BYTES} bytes")
        # Two keys that differ in bytes that are not UTF-8 must stay two: see `shorten_key`.
        text = self._data.decode("utf-8", "surrogateescape")
        return text.removeprefix("\ufeff").strip(_SPACE)


class _About:
    """What we want to know of an event, whether Sensu Core or Sensu Go tells it."""

    def __init__(
        self,
        action: str,
        dedup_key: str,
        output: str,
        status: object,
        source: str,
        component: str,
        group: str,
        event_class: str,
    ) -> None:
        self.action = action
        self.dedup_key = dedup_key
        self.output = output
        self.status = status
        self.source = source
        self.component = component
        self.group = group
        self.event_class = event_class


def _core(document: dict[str, object]) -> _About:
    client, check = _part(document, "client"), _part(document, "check")
    action, status = document.get("action"), check.get("status")
    if action is None and status is None:
        raise BadEvent("the check result has neither an action nor a status")
    well = action == "resolve" if action is not None else status == 0
    source, component = _text(client, "name"), _text(check, "name")
    return _About(
        "resolve" if well else "trigger",
        f"{source}/{component}" if source and component else _text(document, "id"),
        _text(check, "output"),
        status,
        source,
        component,
        _text(client, "environment"),
        _text(check, "type"),
    )


def _go(document: dict[str, object]) -> _About:
    entity, check = _part(document, "entity"), _part(document, "check")
    if not check:
        raise NothingToSend("an event that has metrics, but no check.")
    source = _text(_part(entity, "metadata"), "name")
    component = _text(_part(check, "metadata"), "name")
    namespace = _text(_part(entity, "metadata"), "namespace")
    dedup_key = f"{source}/{component}" if source and component else _text(document, "id")
    if dedup_key and namespace not in ("", "default"):  # a namespace has its own names
        dedup_key = f"{namespace}/{dedup_key}"
    return _About(
        "resolve" if check.get("status") == 0 else "trigger",
        dedup_key,
        _text(check, "output").strip(),
        check.get("status"),
        source,
        component,
        namespace,
        _text(entity, "entity_class"),
    )


def _part(document: dict[str, object], name: str) -> dict[str, object]:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


def _text(part: dict[str, object], name: str) -> str:
    value = part.get(name)
    return "" if value is None else str(value)


def _severity(status: object) -> str:
    if isinstance(status, int) and 0 <= status < len(_SEVERITIES):
        return _SEVERITIES[status]
    return "error"


def _read() -> bytes:
    """Stdin to its end, but not much more than an event may have. Raises BadEvent."""
    parts = []
    size = 0
    try:
        while size <= MAX_BYTES and (part := posix.read(0, 1_048_576)):
            parts.append(part)
            size += len(part)
    except OSError as error:
        why = posix.strerror(error.errno or 0)
        raise BadEvent(f"cannot read the event from stdin: {why}") from error
    return b"".join(parts)


class _Rules:
    """How the scanner reads JSON: it takes a little more than the standard allows."""

    strict = False  # control characters may stand in strings
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = whole_number
    parse_constant = str  # NaN and Infinity become texts


def loads(text: str) -> object:
    """The value of a JSON text. To import the json package would cost more than all the rest. Its
    scanner in C needs nothing else of the package, and is enough here. Raises BadEvent."""
    if not text:
        raise BadEvent("there is no event on stdin")
    try:
        from _json import make_scanner

        value, end = make_scanner(_Rules)(text, 0)  # type: ignore[arg-type]
    except StopIteration as error:
        raise BadEvent(f"what is on stdin is not JSON, at character {error.value}") from error
    except (ValueError, RecursionError) as error:
        raise BadEvent(f"what is on stdin is not JSON: {error}") from error
    except (ImportError, SystemError) as error:
        # The scanner gets its exception from the json package, which can't be imported on the quick
        # way. Then the complete way reads the text again, and says what is wrong with it.
        raise BadEvent("what is on stdin is not JSON") from error
    if end != len(text):
        raise BadEvent(f"what is on stdin is more than one JSON value, at character {end}")
    return value


def main(arguments: list[str]) -> None:
    """The quick way of `pd-sensu`."""
    quick.send(SensuReport(), arguments)
