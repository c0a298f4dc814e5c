"""The rules: what follows from a verdict on an event. They are one table, which docs/promises.md
shows too.

What a verdict means depends on what else is known (`Known`). The table says which holds end, which
begin, and what becomes of the event. What is not in the table can't happen.
"""

from dataclasses import dataclass
from enum import Enum, auto

from pdagent.queue.holds import Cause, Scope
from pdagent.wire.verdict import Delivered, Refused, Throttled, Troubled, Unreachable, Verdict

TROUBLES_IN_A_ROW = 3  # with this many the key counts as failing, and not only the events


class Known(Enum):
    """What is known when a verdict comes. The values are the words of the table in the docs."""

    ANY = "any"
    FEW_FAILURES = f"fewer than {TROUBLES_IN_A_ROW} failures in a row on the key"
    MANY_FAILURES = f"{TROUBLES_IN_A_ROW} failures in a row on the key, or more"
    TRIED_ENOUGH = "tried often and long enough, while others were delivered"
    PATH_OPEN = "PagerDuty answers an empty request"
    REACHED_SINCE = "PagerDuty was reached again after this event was sent"
    OTHERS_DELIVERED = "this event missed PagerDuty before, and others were delivered since"
    RELAY_MISSES = "its relay is not reached, and another may be"
    EVENT_MISSES = "no other event misses PagerDuty"
    KEY_MISSES = "another event of the key misses it too"
    ALL_MISS = "an event of another key misses it too"


class Fate(Enum):
    """What becomes of an event after a verdict."""

    DELIVERED = auto()
    REFUSED = auto()
    GIVEN_UP = auto()
    WAITS = auto()


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. `ends`: scopes whose hold ends, if there is one. `holds`: scopes that
    are held from now on because of `cause`, the widest last."""

    fate: Fate
    ends: tuple[Scope, ...]
    holds: tuple[Scope, ...] = ()
    cause: Cause | None = None


CHAIN, KEY, DESTINATION = Scope.CHAIN, Scope.KEY, Scope.DESTINATION

RULES: dict[tuple[type[Verdict], Known], Rule] = {
    (Delivered, Known.ANY): Rule(Fate.DELIVERED, (KEY, DESTINATION)),
    (Refused, Known.ANY): Rule(Fate.REFUSED, (KEY, DESTINATION)),
    (Throttled, Known.ANY): Rule(Fate.WAITS, (DESTINATION,), (KEY,), Cause.THROTTLED),
    (Troubled, Known.FEW_FAILURES): Rule(Fate.WAITS, (KEY, DESTINATION), (CHAIN,), Cause.FAILING),
    (Troubled, Known.MANY_FAILURES): Rule(Fate.WAITS, (DESTINATION,), (CHAIN, KEY), Cause.FAILING),
    (Troubled, Known.TRIED_ENOUGH): Rule(Fate.GIVEN_UP, (DESTINATION,)),
    (Unreachable, Known.PATH_OPEN): Rule(Fate.WAITS, (DESTINATION,), (CHAIN,), Cause.FAILING),
    (Unreachable, Known.REACHED_SINCE): Rule(Fate.WAITS, (), (CHAIN,), Cause.UNREACHABLE),
    (Unreachable, Known.OTHERS_DELIVERED): Rule(Fate.WAITS, (), (CHAIN,), Cause.FAILING),
    (Unreachable, Known.RELAY_MISSES): Rule(Fate.WAITS, (), (CHAIN,), Cause.UNREACHABLE),
    (Unreachable, Known.EVENT_MISSES): Rule(Fate.WAITS, (), (CHAIN,), Cause.UNREACHABLE),
    (Unreachable, Known.KEY_MISSES): Rule(Fate.WAITS, (), (CHAIN, KEY), Cause.UNREACHABLE),
    (Unreachable, Known.ALL_MISS): Rule(Fate.WAITS, (), (CHAIN, DESTINATION), Cause.UNREACHABLE),
}


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the scheduler has decided about an event. For one that waits, `scope` is the widest that
    is held, and `seconds` is how long the longest hold lasts."""

    fate: Fate
    scope: Scope | None = None
    seconds: float = 0.0
