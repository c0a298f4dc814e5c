"""Holds: what keeps pending events back and why, as the scheduler sees it and a person is told.

Pure. Passes from the daemon to `pd-queue` as text. Times are monotonic seconds of this boot, which
all processes of a host share: a stepped wall clock makes no hold longer, on the screen either.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum, auto

VERSION = 1


class Fate(Enum):
    """What became of an event after a verdict."""

    DELIVERED = auto()
    REFUSED = auto()
    GIVEN_UP = auto()
    WAITS = auto()


@dataclass(frozen=True, slots=True)
class Ruling:
    """A fate, and for one that waits the hold: its scope ("event", "key", "destination") and
    seconds to its end."""

    fate: Fate
    scope: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Hold:
    """`scope` is "destination", "key" or "chain". `chain` is as in Pending: "=" and a dedup key, or
    the name of an event that has none. It began at `since`; the next try is at `until`."""

    scope: str
    why: str
    since: float
    until: float
    key: str = ""
    chain: str = ""

    @property
    def cause(self) -> str:
        """What kind of trouble it is: "unreachable", "throttled", "unnamed", "unreadable" or
        "failing"."""
        return cause_of(self.scope, self.why)

    def covers(self, key: str, chain: str) -> bool:
        """Whether events of this key and chain wait for it."""
        return self.scope == "destination" or (
            self.key == key and (self.scope == "key" or self.chain == chain)
        )


THROTTLED = "throttled: "
UNNAMED = "no integration key is named "
UNREADABLE = "an event can't be read"


def cause_of(scope: str, why: str) -> str:
    """The cause of a hold of this scope, from how its reason begins."""
    if scope == "destination":
        return "unreachable"
    causes = {THROTTLED: "throttled", UNNAMED: "unnamed", UNREADABLE: "unreadable"}
    return next((cause for word, cause in causes.items() if why.startswith(word)), "failing")


@dataclass(frozen=True, slots=True)
class Tries:
    """How often a pending event was sent in vain, when last, and what came of that."""

    number: int
    at: float
    why: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand: pending events, the name of the oldest, and by scope ("destination", "key",
    "chain") how many holds there are, and how many events wait for them. `keys` counts the held
    keys by cause."""

    pending: int
    oldest: str | None
    holds: dict[str, tuple[int, int]]
    reachable: bool
    keys: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """All holds of one moment: the widest first, `more` that are not listed, and by file name what
    was tried in vain."""

    holds: tuple[Hold, ...] = ()
    tries: Mapping[str, Tries] = field(default_factory=dict)
    more: int = 0

    def over(self, key: str, chain: str) -> Hold | None:
        """Of the holds over an event the one that ends last."""
        over = [hold for hold in self.holds if hold.covers(key, chain)]
        return max(over, key=lambda hold: hold.until) if over else None

    def dumps(self) -> str:
        return json.dumps(
            {
                "version": VERSION,
                "holds": [asdict(hold) for hold in self.holds],
                "tries": {name: asdict(tries) for name, tries in self.tries.items()},
                "more": self.more,
            }
        )

    @classmethod
    def loads(cls, text: str) -> "Held":
        """Raises ValueError for what `dumps` of this version did not make."""
        try:
            value = json.loads(text)
            if value["version"] != VERSION:
                raise ValueError(f"version {value['version']}")
            holds = tuple(Hold(**hold) for hold in value["holds"])
            tries = {name: Tries(**each) for name, each in value["tries"].items()}
            return cls(holds, tries, int(value["more"]))
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not holds: {error}") from error
