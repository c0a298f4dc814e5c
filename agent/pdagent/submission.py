"""A submission: what a `pd-send` command line asks for, as an event.

There are two ways of reading a command line: `quick`, and argparse in `commands.sending`. Both fill
in the same object and make the event here, so they can't differ. Built-in modules only.
"""

import posix

from pdagent import api
from pdagent.config import DEFAULT_KEY, may_exist
from pdagent.encoding import shorten_key, unless_blank
from pdagent.event import BadEvent, Event, bare_key, check_key, generated_dedup_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdagent.commands.sending import Submitted
    from pdagent.config import Config


class UsageError(Exception):
    """The command line can't be carried out. The text is what argparse would say."""


def invalid_choice(argument: str, value: str, choices: "Sequence[str]") -> UsageError:
    """The error about a value that is none of the choices."""
    known = ", ".join([repr(choice) for choice in choices])
    return UsageError(f"argument {argument}: invalid choice: {value!r} (choose from {known})")


class NothingToSend(Exception):
    """A monitoring tool tells something that concerns nobody on call. The text says why."""


class Request:
    """The options that all commands have which send. An option that was not given is None or
    empty."""

    command = ""
    key_option = "-k/--service-key"
    confirms = True  # prints a receipt
    # Options that take a text, and the attribute that it goes to. The quick way knows only these.
    texts: dict[str, str] = {}  # noqa: RUF012  (typing costs every pd-send)

    __slots__ = ("_key", "config", "dry_run", "fields", "incident_key", "key", "key_file", "quiet")

    def __init__(self) -> None:
        self.key: str | None = None
        self.key_file: str | None = None
        self.incident_key: str | None = None
        self.fields: list[str] = []
        self.quiet = False
        self.config: str | None = None
        self.dry_run = False
        self._key = ""

    def read(self, arguments: list[str]) -> bool:
        """Takes the options of a plain command line. Returns False if the command line is not
        plain; then this object is of no use any more."""
        rest = iter(arguments)
        for argument in rest:
            if argument in ("-q", "--quiet"):
                self.quiet = True
                continue
            if argument[:2] == "--" and "=" in argument:
                argument, _, value = argument.partition("=")
            else:
                value = next(rest, "-")
                if value[:1] == "-":
                    return False  # it may be an option, and only the complete way knows them all
            if argument in ("-f", "--field"):
                self.fields.append(value)
            elif argument in self.texts:
                setattr(self, self.texts[argument], value)
            else:
                return False
        return True

    def integration_key(self, settings: "Config") -> str:
        """The integration key from the first of these that there is: the option, the file, the
        environment, the key named default. It is read once, since a pipe can't be read again.
        Raises UsageError."""
        if not self._key:
            self._key = _integration_key(self.key, self.key_file, self.key_option, settings)
        return self._key


class Submission(Request):
    """The options of one `pd-send`."""

    command = "pd-send"
    texts = {  # noqa: RUF012
        "-k": "key",
        "--service-key": "key",
        "-t": "action",
        "--event-type": "action",
        "-d": "description",
        "--description": "description",
        "-i": "incident_key",
        "--incident-key": "incident_key",
        "-c": "client",
        "--client": "client",
        "-u": "client_url",
        "--client-url": "client_url",
        "--severity": "severity",
        "--source": "source",
        "--component": "component",
        "--group": "group",
        "--class": "event_class",
        "--config": "config",
    }

    __slots__ = (
        "action",
        "change",
        "client",
        "client_url",
        "component",
        "description",
        "event_class",
        "group",
        "images",
        "json",
        "links",
        "severity",
        "source",
        "wait",
    )

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.change = False
        self.description: str | None = None
        self.client: str | None = None
        self.client_url: str | None = None
        self.severity: str | None = None
        self.source: str | None = None
        self.component: str | None = None
        self.group: str | None = None
        self.event_class: str | None = None
        self.links: list[str] = []
        self.images: list[str] = []
        self.json: str | None = None
        self.wait: float | None = None

    def events(self, settings: "Config") -> "Sequence[Submitted]":
        """The one event asked for. Raises UsageError."""
        return [self.event(settings)]

    def event(self, settings: "Config") -> Event:
        """The event asked for. Raises UsageError."""
        key = self.integration_key(settings)
        action = self._checked_action()
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
            source=self.host(),
            severity=self.severity,
            component=self.component,
            group=self.group,
            event_class=self.event_class,
            links=tuple([_first_word(link) for link in self.links if unless_blank(link)]),
            images=tuple([_image(image) for image in self.images if unless_blank(image)]),
            agent_id=agent_id(settings.data_dir) if settings.events_api == "v1" else None,
        )

    def host(self) -> str:
        """What the event is about: this host unless another source is given."""
        return unless_blank(self.source) or posix.uname().nodename

    def _checked_action(self) -> str:
        """The action. Raises UsageError where an option is missing, or is not allowed with it."""
        action = "change" if self.change else self.action
        if self.change and self.action is not None:
            raise UsageError("argument --change: not allowed with argument -t/--event-type")
        if action is None:
            raise UsageError("argument -t/--event-type is required")
        if not self.change and action not in api.ACTIONS:
            raise invalid_choice("-t/--event-type", action, api.ACTIONS)
        if action in ("trigger", "change") and not unless_blank(self.description):
            raise UsageError(f"Event type '{action}' requires description")
        if action in ("acknowledge", "resolve") and not self.incident_key:
            raise UsageError(f"Event type '{action}' requires incident key")
        if self.change and unless_blank(self.incident_key):
            raise UsageError("argument -i/--incident-key: a change event has none")
        if self.change and self.images:
            raise UsageError("argument --image: a change event has links only (--link)")
        if self.severity is not None and self.severity not in api.SEVERITIES:
            raise invalid_choice("--severity", self.severity, api.SEVERITIES)
        return action


def _integration_key(key: str | None, key_file: str | None, option: str, settings: "Config") -> str:
    if key is not None:
        origin = f"argument {option}"
    elif key_file is not None:
        origin = "argument --service-key-file"
        key = _first_line(key_file)
    elif posix.environ.get(b"PD_SERVICE_KEY"):
        origin = "PD_SERVICE_KEY"
        key = posix.environ[b"PD_SERVICE_KEY"].decode("utf-8", "surrogateescape")
    elif may_exist(DEFAULT_KEY, settings):
        return DEFAULT_KEY
    else:
        raise UsageError(f"argument {option} is required")
    try:
        return check_key(key)
    except BadEvent as error:
        raise UsageError(f"{origin}: {error}") from error


def agent_id(data_dir: str) -> str | None:
    """The id that the daemon has given this host; None if it has not yet. Up to version 1.7.4 the
    file was one directory higher."""
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


def _first_word(text: str) -> tuple[str, str]:
    word, _, rest = text.strip().partition(" ")
    return word, rest.strip()


def _image(text: str) -> tuple[str, str, str]:
    """The parts of 'SRC [URL] [TEXT]'."""
    src, rest = _first_word(text)
    href, alt = _first_word(rest)
    return (src, href, alt) if "://" in href else (src, "", rest)


_LINE_BYTES = 4096


def _first_line(path: str) -> str:
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)  # a pipe's writer may take a while
        try:
            data = b""
            # A pipe gives what has been written so far, which may be a part of the key.
            while len(data) < _LINE_BYTES and b"\n" not in data.lstrip():
                part = posix.read(fd, _LINE_BYTES)
                if not part:
                    break
                data += part
        finally:
            posix.close(fd)
    except OSError as error:
        why = posix.strerror(error.errno or 0)
        raise UsageError(f"argument --service-key-file: cannot read {path}: {why}") from error
    return bare_key(data.decode("utf-8", "surrogateescape")).partition("\n")[0].strip()
