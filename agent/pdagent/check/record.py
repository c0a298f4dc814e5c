"""The record of the last day, in the queue and the log: events that wait, events refused, keys that
PagerDuty has throttled."""

import os
from collections import Counter
from collections.abc import Iterator

from pdagent import log
from pdagent.check.configuration import REPAIR
from pdagent.check.finding import Finding, days, ok, several, warning
from pdagent.check.host import Host
from pdagent.config import Config
from pdagent.queue import history
from pdagent.queue.backlog import Backlog
from pdagent.queue.names import stamp
from pdagent.queue.regular import read_regular
from pdagent.queue.state import Reason, State
from pdagent.shown import printable
from pdagent.spool import IN_ERROR, PENDING

QUEUE, RATE = "queue", "rate limits"
LATE_SECONDS = 600.0
DAY = 86_400.0
COPY_KEY = "Copy the key again from the service's Integrations page, and see service_region."
LOG_BYTES = 4 * 1_048_576


def queue(settings: Config, host: Host) -> Iterator[Finding]:
    """How many events are pending, since when, and how many came to be in error and why."""
    root = settings.spool_dir
    try:
        names = Backlog(root).names(PENDING)
        refused = _recent(f"{root}/{IN_ERROR}", host.now() - DAY)
    except FileNotFoundError:
        return  # the line directories says so
    text = f"{len(names)} pending"
    late = False
    if names:
        age = max(0.0, host.now() - stamp(names[0]) / 1e6)
        late = age > LATE_SECONDS
        text += f", the oldest for {days(age)}"
    if late:
        yield warning(QUEUE, text, "The lines daemon and delivery say why.")
    if refused:
        reason = State(settings.data_dir).reason(refused[-1])
        why = printable(reason.reason)[:200] if reason else "its reason is not known"
        said = f"{len(refused):,} in error since yesterday; the last: {why}"
        yield warning(QUEUE, said if late else f"{text}; {said}", _remedy(reason))
    if not late and not refused:
        yield ok(QUEUE, f"{text}, none in error since yesterday")


def _recent(directory: str, since: float) -> list[str]:
    """The names of the entries that came there since then, the latest last."""
    with os.scandir(directory) as entries:
        found = [(entry.stat(follow_symlinks=False).st_ctime, entry.name) for entry in entries]
    return [name for at, name in sorted(found) if at >= since]


def _remedy(reason: Reason | None) -> str:
    """What to do with an event that is in error for this reason."""
    if reason is not None and reason.is_about_key:
        return (
            f"{COPY_KEY} sudo pd-queue list --state in-error names the event; then: "
            "sudo pd-queue retry EVENT --to-key KEY"
        )
    if reason is not None and ("can't be read" in reason.reason or "may not read" in reason.reason):
        return f"{REPAIR} && sudo pd-queue retry --all-keys"
    return (
        "sudo pd-queue list --state in-error names them. Send what they say anew, then: "
        "sudo pd-queue purge --state in-error"
    )


def rate_limits(settings: Config, host: Host) -> Iterator[Finding]:
    """Which keys were throttled within a day, according to the log."""
    seen: Counter[str] = Counter()
    latest = 0
    for path in log.files(settings.log_dir)[-2:]:
        for line in _tail(path):
            told = history.read(line)
            if told is None or told.what != "throttled" or told.at < host.now() - DAY:
                continue
            key = told.name.partition("_")[2]
            if key[:1] == "*":
                seen[key] += 1
                latest = max(latest, int(told.at))
    if not seen:
        yield ok(RATE, "none met within a day")
        return
    keys = ", ".join(
        f"{key} {several(count, 'time', 'times')}" for key, count in seen.most_common(3)
    )
    more = f" and {len(seen) - 3} more" if len(seen) > 3 else ""
    text = f"throttled: key {keys}{more}, last {days(max(0.0, host.now() - latest))} ago"
    yield warning(RATE, text, "Send fewer events a minute, or spread them over several keys.")


def _tail(path: str) -> list[str]:
    try:
        return read_regular(path, LOG_BYTES, last=True).decode("utf-8", "replace").split("\n")
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return []
