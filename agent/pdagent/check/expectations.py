"""What is expected: whether it is watched, and what has lapsed."""

import os
from collections.abc import Iterator

from pdagent.check.finding import Finding, days, failed, ok, warning
from pdagent.check.host import Host
from pdagent.config import Config
from pdagent.queue.expected import Kept, kept
from pdagent.queue.layout import EXPECT
from pdagent.shown import masked, printable, redacted

SUBJECT = "expectations"
LATE_SECONDS = 60.0
LOOK_MOST = 10_000
_SHOWN = 3


def expectations(settings: Config, host: Host) -> Iterator[Finding]:
    """How many there are, which have lapsed, and whether new ones are taken over."""
    try:
        age = _oldest(f"{settings.spool_dir}/{EXPECT}", host.now())
        found = list(kept(settings.spool_dir))
    except FileNotFoundError:
        return  # `directories` says so
    good = True
    if age is not None and age > LATE_SECONDS:
        good = False
        text = f"pdagentd does not take them over: one has waited for {days(age)}"
        yield failed(SUBJECT, text, "The lines daemon, delivery and directories say why.")
    lapsed = [each for each in found if each.lapsed]
    if lapsed:
        names = ", ".join(map(_named, lapsed[:_SHOWN]))
        more = f" and {len(lapsed) - _SHOWN} more" if len(lapsed) > _SHOWN else ""
        text = f"not heard of in time, and paged: {names}{more}"
        remedy = "See why it does not run. What is to be expected no longer: "
        yield warning(SUBJECT, text, f"{remedy}sudo pd-queue cancel -i KEY")
    elif found and good:
        yield ok(SUBJECT, f"{len(found)} waited for, none has lapsed")


def _named(each: Kept) -> str:
    found = each.expectation
    name = printable(redacted(found.dedup_key, found.key))[:60]
    return f"{name} (user {each.owner}, key {masked(found.key)})"


def _oldest(directory: str, now: float) -> float | None:
    """For how many seconds the oldest of LOOK_MOST files has waited; None if there is none.
    Directories are nobody's expectation."""
    ages: list[float] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if len(ages) >= LOOK_MOST:
                break
            try:
                if not entry.is_dir(follow_symlinks=False):
                    ages.append(now - entry.stat(follow_symlinks=False).st_ctime)
            except FileNotFoundError:
                continue
    return max(ages, default=None)
