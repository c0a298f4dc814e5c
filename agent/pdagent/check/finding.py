"""Findings: what a check has to say. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import groupby


class Level(Enum):
    """How good or bad a finding is, from best to worst. UNKNOWN: nobody could look, or nobody was
    allowed to."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    FAILED = "failed"


_ORDER = list(Level)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for a person: what was looked at, what was seen, and, unless all is well, what to
    do."""

    level: Level
    subject: str
    text: str
    remedy: str = ""


def ok(subject: str, text: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, subject, text)


def unknown(subject: str, text: str, remedy: str = "") -> Finding:
    """It could not be seen."""
    return Finding(Level.UNKNOWN, subject, text, remedy)


def warning(subject: str, text: str, remedy: str) -> Finding:
    """Pages go out, but something is wrong or soon will be."""
    return Finding(Level.WARNING, subject, text, remedy)


def failed(subject: str, text: str, remedy: str) -> Finding:
    """Pages do not go out, or not for long, or not for all."""
    return Finding(Level.FAILED, subject, text, remedy)


def worst(findings: Iterable[Finding]) -> Level:
    """The level of the worst of them. UNKNOWN counts as OK: it is no sign of a fault."""
    found = max((finding.level for finding in findings), key=_ORDER.index, default=Level.OK)
    return Level.OK if found is Level.UNKNOWN else found


LIKE_MOST = 3


def few(findings: Iterable[Finding]) -> list[Finding]:
    """The findings, with at most LIKE_MOST in a row of those that have the same remedy. An accident
    with chown would show in twelve lines, and one command ends it."""
    shown = []
    for (level, subject, remedy), group in groupby(
        findings, lambda each: (each.level, each.subject, each.remedy)
    ):
        found = list(group)
        if remedy and len(found) > LIKE_MOST:
            rest = len(found) - LIKE_MOST + 1
            found[LIKE_MOST - 1 :] = [Finding(level, subject, f"and {rest} more of these", remedy)]
        shown += found
    return shown


_UNITS = ((1, 120, "s"), (60, 120, "min"), (3600, 48, "h"), (86_400, 730, "days"))


def days(seconds: float) -> str:
    """A span of time as people say it: 90 s, 12 min, 5 h, 3 days, 2 years."""
    for size, most, unit in _UNITS:
        if seconds < size * most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 31_557_600:.0f} years"


def several(count: int, one: str, more: str) -> str:
    """A number with its noun: 1 address, 2 addresses."""
    return f"{count:,} {one if count == 1 else more}"
