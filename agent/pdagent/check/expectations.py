"""What is expected: whether it is watched, and what has lapsed."""

import contextlib
import os
import stat
from collections.abc import Iterator
from itertools import islice

from pdagent.check.configuration import REPAIR
from pdagent.check.finding import Finding, days, failed, ok, warning
from pdagent.check.host import Host
from pdagent.config import Config
from pdagent.queue.expected import Kept, kept
from pdagent.queue.layout import EXPECT, EXPECTED
from pdagent.shown import masked, printable, redacted

SUBJECT = "expectations"
LATE_SECONDS = 60.0
LOOK_MOST = 10_000
_SHOWN = 3


def expectations(settings: Config, host: Host) -> Iterator[Finding]:
    """How many there are, which have lapsed, and whether new ones are taken over."""
    try:
        age = _oldest(f"{settings.spool_dir}/{EXPECT}", host.now())
        shut = _shut(f"{settings.spool_dir}/{EXPECTED}")
        found = list(kept(settings.spool_dir))
    except FileNotFoundError:
        return  # `directories` says so
    good = True
    if age is not None and age > LATE_SECONDS:
        good = False
        text = f"pdagentd does not take them over: one has waited for {days(age)}"
        why = "The lines daemon, delivery and directories say why."
        yield failed(SUBJECT, text, f"{why} After an accident with chown or chmod: {REPAIR}")
    if shut:
        good = False
        text = f"pdagentd may not read {shut} of them, and pages for none of these"
        yield failed(SUBJECT, text, REPAIR)
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


def _shut(directory: str) -> int:
    """How many of LOOK_MOST files in a directory of the agent's are not for the agent to read, by
    their modes and as the package has them."""
    shut = 0
    with os.scandir(directory) as entries:
        agent = os.stat(directory)
        for entry in islice(entries, LOOK_MOST):
            with contextlib.suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                by_owner = found.st_uid == agent.st_uid and found.st_mode & stat.S_IRUSR
                by_group = found.st_gid == agent.st_gid and found.st_mode & stat.S_IRGRP
                shut += not (by_owner or by_group or found.st_mode & stat.S_IROTH)
    return shut
