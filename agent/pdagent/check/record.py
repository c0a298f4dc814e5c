"""What the queue and the log tell of the last day: events that wait, events refused, keys that
PagerDuty has throttled."""

import os
import re
import time
from collections import Counter
from collections.abc import Iterator

from pdagent.check.finding import Finding, days, ok, several, warning
from pdagent.check.host import Host
from pdagent.config import Config
from pdagent.queue.backlog import Backlog
from pdagent.queue.names import stamp
from pdagent.queue.regular import read_regular
from pdagent.spool import IN_ERROR

QUEUE, RATE = "queue", "rate limits"
LATE_SECONDS = 600.0
DAY = 86_400.0
LOG_BYTES = 4 * 1_048_576
_THROTTLED = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ WARNING \S+ +pdagent\.delivery +"
    r"throttled \d+_(?P<key>\*\S*) "
)


def queue(settings: Config, host: Host) -> Iterator[Finding]:
    """How many events are pending, since when, and how many came to be in error."""
    root = settings.spool_dir
    try:
        names, _ = Backlog(root).scan()
        refused = _recent(f"{root}/{IN_ERROR}", host.now() - DAY)
    except FileNotFoundError:
        return  # `directories` says so
    text = f"{len(names)} pending"
    late = False
    if names:
        age = max(0.0, host.now() - stamp(names[0]) / 1e6)
        late = age > LATE_SECONDS
        text += f", the oldest for {days(age)}"
    if late:
        yield warning(QUEUE, text, "pd-queue status, and what else is not ok here, say why.")
    if refused:
        text = f"{text}; {refused}" if not late else f"{refused}"
        remedy = "sudo pd-queue list --state in-error says why; then pd-queue retry."
        yield warning(QUEUE, f"{text} in error since yesterday", remedy)
    if not late and not refused:
        yield ok(QUEUE, f"{text}, none in error since yesterday")


def _recent(directory: str, since: float) -> int:
    with os.scandir(directory) as entries:
        return sum(entry.stat(follow_symlinks=False).st_ctime >= since for entry in entries)


def rate_limits(settings: Config, host: Host) -> Iterator[Finding]:
    """Which keys were throttled within a day, as the log has it."""
    seen: Counter[str] = Counter()
    latest = 0.0
    for path in (f"{settings.log_dir}/pdagentd.log.1", f"{settings.log_dir}/pdagentd.log"):
        for line in _tail(path):
            found = _THROTTLED.match(line)
            if found is None:
                continue
            at = time.mktime(time.strptime(found["at"], "%Y-%m-%d %H:%M:%S"))
            if at >= host.now() - DAY:
                seen[found["key"]] += 1
                latest = max(latest, at)
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
    except (FileNotFoundError, ValueError):
        return []
