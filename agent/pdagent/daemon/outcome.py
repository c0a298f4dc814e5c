"""Outcome: what the log says of a verdict, for whoever asks later where an event has gone.

One line per event and verdict, without the integration key or anything of the body but its dedup
key.
"""

import logging

from pdagent.log import masked_name, printable, redacted
from pdagent.queue.holds import Ruling
from pdagent.queue.pending import Pending
from pdagent.schedule.lane import Entry
from pdagent.wire.verdict import Delivered, Refused, Throttled, Troubled, Unreachable, Verdict

log = logging.getLogger("pdagent.delivery")


def report(
    entry: Entry,
    pending: Pending,
    verdict: Verdict,
    ruling: Ruling,
    seconds: float,
    outage: bool = False,
) -> None:
    """What happened, where, and how long it took. `outage`: PagerDuty can't be reached, which was
    said."""
    what = redacted(
        f"{masked_name(entry.name)} "
        + printable(f"({pending.action}, incident_key = {pending.dedup_key})"),
        entry.key,
    )
    match verdict:
        case Delivered(status):
            log.info("delivered %s: %d in %.0f ms", what, status, seconds * 1000)
        case Refused(status, reason):
            log.error("refused %s: %d %s", what, status, redacted(reason, entry.key))
        case Throttled(status):
            log.warning("throttled %s: %d; key held for %.1f s", what, status, ruling.seconds)
        case Troubled(why):
            held = f"{ruling.scope} held for {ruling.seconds:.1f} s" if ruling.scope else "given up"
            log.warning("failed %s: %s; %s", what, redacted(why, entry.key), held)
        case Unreachable(why):
            # an outage was said once, loudly; that others get past what stops this one was not
            say = log.debug if outage else log.warning
            say(
                "not sent %s: %s; next try in %.1f s",
                what,
                redacted(why, entry.key),
                ruling.seconds,
            )
