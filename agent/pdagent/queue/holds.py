"""Holds: what keeps pending events back. The scheduler makes them, the daemon writes them to a file
for `pd-queue`, and there a person reads why nothing goes.

Pure, but for `told`. Times are monotonic seconds of this boot, which all processes of a host share.
So a stepped wall clock makes no hold longer, on the screen either.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from pdagent.queue.numbers import is_number
from pdagent.queue.regular import read_regular

VERSION = 3
NUMBER_MOST = 1e10
_BYTES = 16 * 1_048_576  # what is read of the file at most; the daemon writes less


class Scope(StrEnum):
    """What a hold keeps back: the events of one dedup chain, those of one integration key, or
    all."""

    CHAIN = "chain"
    KEY = "key"
    DESTINATION = "destination"


class Cause(StrEnum):
    """Why something is held."""

    UNREACHABLE = "unreachable"  # no way leads to PagerDuty
    THROTTLED = "throttled"  # PagerDuty wants fewer events of the key
    FAILING = "failing"  # PagerDuty fails on the event, or is in trouble itself
    UNNAMED = "unnamed"  # no integration key has the name that the event gives
    UNREADABLE = "unreadable"  # the event can't be read yet
    UNFINISHED = "unfinished"  # the event's sender may not be done with it


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold begins at `since` and ends at `until`; then the next try is made. `key` is empty for
    the destination. `chain` is as in Pending: "=" and a dedup key, or the name of an event that has
    none."""

    scope: Scope
    cause: Cause
    why: str
    since: float
    until: float
    key: str = ""
    chain: str = ""

    @property
    def is_told(self) -> bool:
        """Whether a person is told of it. An unfinished event is not worth it, since its sender is
        done within seconds. An unreachable PagerDuty is told once, as the destination's hold, and
        not again for each key and chain that waits for it."""
        if self.cause is Cause.UNREACHABLE:
            return self.scope is Scope.DESTINATION
        return self.cause is not Cause.UNFINISHED

    def covers(self, key: str, chain: str) -> bool:
        """Whether events of this key and chain wait for it."""
        return self.scope is Scope.DESTINATION or (
            self.key == key and (self.scope is Scope.KEY or self.chain == chain)
        )


@dataclass(frozen=True, slots=True)
class Tries:
    """How often a pending event was sent in vain, when last, and what came of that."""

    number: int
    at: float
    why: str


@dataclass(frozen=True, slots=True)
class Figures:
    """The scheduler in figures: how many events are pending, and the name of the oldest. `holds`
    gives, by scope, how many holds there are and how many events wait for them. `keys` counts the
    held keys by cause."""

    pending: int
    oldest: str | None
    holds: dict[str, tuple[int, int]]
    reachable: bool
    keys: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """All holds of one moment, the widest first. There are `more` that are not listed. `tries`
    tells, by file name, which events were sent in vain; `lost`, which of several relays are not
    reached, and since when."""

    holds: tuple[Hold, ...] = ()
    tries: Mapping[str, Tries] = field(default_factory=dict)
    more: int = 0
    lost: Mapping[str, float] = field(default_factory=dict)

    def over(self, key: str, chain: str) -> Hold | None:
        """The hold that an event has to wait for: of those that cover it, the one that ends
        last."""
        over = [hold for hold in self.holds if hold.covers(key, chain)]
        return max(over, key=lambda hold: hold.until) if over else None

    def dumps(self) -> str:
        """The text of the file."""
        return json.dumps(
            {
                "version": VERSION,
                "holds": [asdict(hold) for hold in self.holds],
                "tries": {name: asdict(tries) for name, tries in self.tries.items()},
                "more": self.more,
                "lost": dict(self.lost),
            }
        )

    @classmethod
    def loads(cls, text: str) -> "Held":
        """Raises ValueError for what `dumps` of this version did not make."""
        try:
            value = json.loads(text)
            if value["version"] != VERSION:
                raise ValueError(f"version {value['version']}")
            holds = tuple(_hold(**hold) for hold in value["holds"])
            tries = {name: _tries(**each) for name, each in value["tries"].items()}
            lost = {str(url): _number(since) for url, since in value["lost"].items()}
            return cls(holds, tries, int(_number(value["more"])), lost)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not holds: {error}") from error


def path(data_dir: str) -> str:
    """The file."""
    return f"{data_dir}/db/holds"


def told(data_dir: str) -> Held | None:
    """What the running daemon last told, None where nobody knows. Raises PermissionError."""
    try:
        return Held.loads(read_regular(path(data_dir), _BYTES).decode())
    except PermissionError:
        raise
    except (OSError, ValueError):
        return None


def _hold(
    scope: str, cause: str, why: object, since: object, until: object, key: object, chain: object
) -> Hold:
    times = _number(since), _number(until)
    return Hold(Scope(scope), Cause(cause), _text(why), *times, _text(key), _text(chain))


def _tries(number: object, at: object, why: object) -> Tries:
    return Tries(int(_number(number)), _number(at), _text(why))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _number(value: object) -> float:
    """A number, also of seconds. Raises ValueError where it can't be shown as a time."""
    if not is_number(value, NUMBER_MOST):
        raise ValueError("not a number")
    return value
