"""The daemon's condition: how delivery fares, as the daemon tells whoever asks on this host.

It is one small file in `run_dir`, which every user may read. `run_dir` is in memory, so the file
can be written while the disk is full. It holds no key, no name of a key, and nothing of any event.

An empty line on the wake FIFO asks for it: the daemon writes it anew within a second. `told` says
when it was written, in monotonic seconds, which all processes of a host share. So whoever asked can
tell the answer from an older one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pdagent.config import Config
from pdagent.queue.holds import Cause
from pdagent.queue.regular import read_regular
from pdagent.shown import hour

VERSION = 1
FILE_BYTES = 65_536
TEXT_CHARS = 300


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that the service needs and does not have. `since` is when that began, by the wall
    clock. `kind` is one of KINDS in `daemon.needs`."""

    kind: str
    path: str
    why: str
    since: float

    @property
    def is_lesser(self) -> bool:
        """Whether events are taken and delivered all the same."""
        return self.kind == "metrics"

    def __str__(self) -> str:
        if self.kind == "disk":
            return f"the disk of {self.path} is full"
        if self.kind == "endpoint":
            return f"the local Events API is closed: {self.why}"
        if self.kind == "metrics":
            return f"metrics are not shown: {self.why}"
        if self.kind == "rejected":
            return f"the new configuration was not taken up: {self.why}"
        verb = "write" if self.kind in ("queue", "log") else "read"
        return f"the service cannot {verb} {self.path}: {self.why}"


@dataclass(frozen=True, slots=True)
class Condition:
    """How things stand. `unreachable` says why PagerDuty can't be reached, and is empty if it can.
    These are times of the wall clock: `oldest`, when the oldest pending event was accepted;
    `delivered`, the last delivery; `since`, when PagerDuty became unreachable; `next_try`. `holds`
    counts holds by their cause. `reloaded` is when the daemon last began to read the configuration
    again, in monotonic seconds; if it refused what it read, a trouble says so. `read` has the
    versions of the files that it has read last (see `versions`). `outdated` names
    settings that need a restart to be in use. `lost`: which of several relays are not reached, and
    since when, by the wall clock. `full`: senders of which no more events are taken, and how many
    of each are pending."""

    pid: int
    told: float
    pending: int = 0
    oldest: float | None = None
    delivered: float | None = None
    unreachable: str = ""
    since: float | None = None
    next_try: float | None = None
    holds: Mapping[str, int] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()
    reloaded: float | None = None
    read: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    lost: Mapping[str, float] = field(default_factory=dict)
    full: Mapping[str, int] = field(default_factory=dict)

    def dumps(self) -> str:
        """The text of the file."""
        return json.dumps({"version": VERSION, **asdict(self)})

    @classmethod
    def loads(cls, text: bytes) -> "Condition":
        """Raises ValueError for what `dumps` of this version did not make."""
        try:
            value = json.loads(text)
            if value.pop("version") != VERSION:
                raise ValueError("another version's")
            value["troubles"] = tuple(Trouble(**each) for each in value["troubles"])
            for name in ("read", "outdated"):
                value[name] = tuple(map(str, value[name]))
            return cls(**value)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a condition: {error}") from error

    def summary(self, now: float) -> str:
        """One line for a person: what is wrong and since when, or that all is well."""
        pending = f"{self.pending:,} pending"
        grave = [trouble for trouble in self.troubles if not trouble.is_lesser]
        if grave:
            [trouble, *more] = grave
            rest = f" (and {len(more)} more)" if more else ""
            return f"{trouble}, since {hour(trouble.since, now)}{rest}; {pending}"
        if self.unreachable:
            since = f" since {hour(self.since, now)}" if self.since is not None else ""
            return f"cannot reach PagerDuty{since}: {self.unreachable}; {pending}"
        held = [HELD[cause].format(number) for cause, number in self.holds.items() if cause in HELD]
        held += [f"{url} not reached since {hour(at, now)}" for url, at in self.lost.items()]
        held += [f"{lesser}, since {hour(lesser.since, now)}" for lesser in self.troubles]
        last = "nothing delivered yet"
        if self.delivered is not None:
            last = f"last delivery {hour(self.delivered, now)}"
        return "; ".join([*held, pending, last])


# What to say of holds, by their cause. Their number is put in.
HELD: dict[str, str] = {
    Cause.THROTTLED: "keys that PagerDuty throttles: {}",
    Cause.FAILING: "keys or incidents that PagerDuty fails on: {}",
    Cause.UNNAMED: "names of keys that nobody has: {}",
    Cause.UNREADABLE: "events that cannot be read: {}",
}


def path_of(settings: Config) -> str:
    """Where the daemon tells its condition."""
    return f"{settings.run_dir}/condition"


def read(settings: Config) -> Condition | None:
    """What the daemon last told; None where there is nothing that can be read."""
    try:
        return Condition.loads(read_regular(path_of(settings), FILE_BYTES))
    except (OSError, ValueError):
        return None
