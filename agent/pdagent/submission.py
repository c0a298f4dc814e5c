"""A submission: what a `pd-send` command line asks for, and how it becomes an accepted event.

Both ways of reading a command line, the quick one (`quick`) and argparse (`commands.send`), fill in
a `Submission` and go on here, so that they can't differ. Built-in modules only.
"""

import posix
import time

from pdagent import api
from pdagent.config import may_exist
from pdagent.event import BadEvent, Event, check_key, generated_dedup_key, shorten_key
from pdagent.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.config import Config
    from pdagent.serve.intake import Intake

    Submitted = Event | Intake


class UsageError(Exception):
    """The command line can't be carried out; the text is what argparse would say."""


class Submission:
    """The options of one `pd-send`, as given: None or empty where they were not."""

    __slots__ = (
        "action",
        "change",
        "client",
        "client_url",
        "component",
        "config",
        "description",
        "dry_run",
        "event_class",
        "fields",
        "group",
        "images",
        "incident_key",
        "json",
        "key",
        "key_file",
        "links",
        "quiet",
        "severity",
        "source",
        "wait",
    )

    def __init__(self) -> None:
        self.key: str | None = None
        self.key_file: str | None = None
        self.action: str | None = None
        self.change = False
        self.description: str | None = None
        self.incident_key: str | None = None
        self.client: str | None = None
        self.client_url: str | None = None
        self.fields: list[str] = []
        self.quiet = False
        self.severity: str | None = None
        self.source: str | None = None
        self.component: str | None = None
        self.group: str | None = None
        self.event_class: str | None = None
        self.links: list[str] = []
        self.images: list[str] = []
        self.config: str | None = None
        self.dry_run = False
        self.json: str | None = None
        self.wait: float | None = None

    def event(self, config: "Config") -> Event:
        """The event asked for. Raises UsageError."""
        key = integration_key(self.key, self.key_file)
        action = "change" if self.change else self.action
        if self.change and self.action is not None:
            raise UsageError("argument --change: not allowed with argument -t/--event-type")
        if action is None:
            raise UsageError("argument -t/--event-type is required")
        if not self.change and action not in api.ACTIONS:
            choices = ", ".join([repr(choice) for choice in api.ACTIONS])
            raise UsageError(
                f"argument -t/--event-type: invalid choice: {action!r} (choose from {choices})"
            )
        if action in ("trigger", "change") and not (self.description or "").strip():
            raise UsageError(f"Event type '{action}' requires description")
        if action in ("acknowledge", "resolve") and not self.incident_key:
            raise UsageError(f"Event type '{action}' requires incident key")
        if self.severity is not None and self.severity not in api.SEVERITIES:
            choices = ", ".join([repr(choice) for choice in api.SEVERITIES])
            raise UsageError(
                f"argument --severity: invalid choice: {self.severity!r} (choose from {choices})"
            )
        dedup_key = shorten_key(self.incident_key) or None
        if action == "trigger" and dedup_key is None:
            dedup_key = generated_dedup_key(_random())
        return Event(
            key,
            action,
            description=self.description,
            dedup_key=dedup_key,
            details=dict([pair(field) for field in self.fields]),
            client=self.client,
            client_url=self.client_url,
            source=self.source or posix.uname().nodename,
            severity=self.severity,
            component=self.component,
            group=self.group,
            event_class=self.event_class,
            links=tuple([_address_and_rest(link) for link in self.links]),
            images=tuple([_address_and_rest(image) for image in self.images]),
            agent_id=agent_id(config.data_dir) if config.events_api == "v1" else None,
        )


def integration_key(key: str | None, key_file: str | None, option: str = "-k/--service-key") -> str:
    """The key from the first of these that there is: the option, the file, the environment. Raises
    UsageError."""
    if key is not None:
        origin = f"argument {option}"
    elif key_file is not None:
        origin = "argument --service-key-file"
        key = _first_line(key_file)
    elif b"PD_SERVICE_KEY" in posix.environ:
        origin = "PD_SERVICE_KEY"
        key = posix.environ[b"PD_SERVICE_KEY"].decode("utf-8", "surrogateescape")
    else:
        raise UsageError(f"argument {option} is required")
    try:
        return check_key(key)
    except BadEvent as error:
        raise UsageError(f"{origin}: {error}") from error


def body(event: "Submitted", config: "Config") -> bytes:
    """The body for `event` that goes into the spool."""
    wanted = event.events_api or config.events_api
    return event.body("v1" if wanted == "v1" else "v2", time.time_ns())


def accept(event: "Submitted", config: "Config", spool: Spool | None = None) -> None:
    """Puts the event on stable storage. Raises SpoolError, and BadEvent for a key by a name that
    nobody has."""
    # Where the names can't all be read the daemon says it, and keeps the event: see `keys`.
    if event.key[:1] == "@" and not may_exist(event.key, config):
        raise BadEvent(f"no integration key is named {event.key}. The event was not queued.")
    (spool or Spool(config.spool_dir)).enqueue(event.key, body(event, config))


def receipt(event: "Submitted") -> str:
    """What a person, or a script, reads after the event was accepted."""
    if event.dedup_key is None:  # a change event's
        return "Event processed."
    return f"Event processed. Incident Key: {event.dedup_key}"


def say(text: str, fd: int = 1) -> None:
    """Prints a line past Python's streams: a closed stdout, or one that can't encode a key, must
    not turn an accepted event into a failure."""
    try:
        posix.write(fd, text.encode("utf-8", "surrogateescape") + b"\n")
    except (OSError, UnicodeEncodeError):
        pass


def agent_id(data_dir: str) -> str | None:
    """The id that the daemon gave this host, None while it has not. Up to 1.7.4 the file lay one
    directory higher."""
    for path in (f"{data_dir}/db/agent_id.txt", f"{data_dir}/agent_id.txt"):
        try:
            text = _first_line(path)
        except UsageError:
            continue
        if len(text) == 36 and text.isascii() and text.isprintable():
            return text
    return None


def _random() -> bytes:
    return posix.urandom(16)


def pair(field: str) -> tuple[str, object]:
    """A detail of KEY=VALUE. Raises UsageError."""
    name, equals, value = field.partition("=")
    if not equals:
        raise UsageError(f"argument -f/--field: {field!r} is not of the form KEY=VALUE")
    return name, value


def _address_and_rest(text: str) -> tuple[str, str]:
    address, _, rest = text.strip().partition(" ")
    return address, rest.strip()


def _first_line(path: str) -> str:
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)  # a pipe's writer may take a while
        try:
            data = posix.read(fd, 4096)
        finally:
            posix.close(fd)
    except OSError as error:
        why = posix.strerror(error.errno or 0)
        raise UsageError(f"argument --service-key-file: cannot read {path}: {why}") from error
    return data.decode("utf-8", "surrogateescape").partition("\n")[0].strip()
