"""What is expected: whether it is watched, and what has lapsed."""

import os
from collections.abc import Iterator

from pdagent.check.finding import Finding, days, failed, ok, warning
from pdagent.check.host import Host
from pdagent.config import Config
from pdagent.queue.expected import kept
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
        found = [(each.owner, each.expectation, each.lapsed) for each in kept(settings.spool_dir)]
    except FileNotFoundError:
        return  # `directories` says so
    good = True
    if age is not None and age > LATE_SECONDS:
        good = False
        text = f"pdagentd does not take them over: one has waited for {days(age)}"
        yield failed(SUBJECT, text, "The lines daemon, delivery and directories say why.")
    lapsed = [(owner, each) for owner, each, is_lapsed in found if is_lapsed]
    if lapsed:
        names = ", ".join(
            f"{printable(redacted(each.dedup_key, each.key))[:60]} (user {owner}, key "
            f"{masked(each.key)})"
            for owner, each in lapsed[:_SHOWN]
        )
        more = f" and {len(lapsed) - _SHOWN} more" if len(lapsed) > _SHOWN else ""
        text = f"not heard of in time, and paged: {names}{more}"
        remedy = "See why it does not run. What is to be expected no longer: "
        yield warning(SUBJECT, text, f"{remedy}sudo pd-queue cancel -i KEY")
    elif found and good:
        yield ok(SUBJECT, f"{len(found)} waited for, none has lapsed")


def _oldest(directory: str, now: float) -> float | None:
    """For how long the longest of them has waited, as far as one look goes; None if there is
    none. Directories are nobody's expectation."""
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
