"""Direct delivery: what becomes of an event that the spool can't take, for all front doors.

The page still goes out: the process that has the event sends it itself. It sends the body that the
spool should have had, and goes the daemon's way. The event counts as accepted only once PagerDuty
has it.

Order: a direct event may overtake pending events of its dedup key. For a trigger that is the lesser
evil. But a resolve or an acknowledgement that overtakes its trigger would be lost, and the incident
would stay open for ever. So these wait for a while, until the spool takes them after all or the
trigger is gone. If the trigger is known to be still pending, they are not sent.
"""

import os
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from pdagent import threads
from pdagent.acceptance import enqueue
from pdagent.config import Config, load_keys
from pdagent.queue.backlog import Backlog
from pdagent.queue.filling import Unnamed, filled_in
from pdagent.queue.keys import lane
from pdagent.queue.names import key_of
from pdagent.queue.pending import Hostile, Pending, Unfinished, understand
from pdagent.shown import redacted
from pdagent.spool import PENDING, Spool, SpoolError

if TYPE_CHECKING:
    from pdagent.wire.verdict import Verdict

TRIES = 2
# For one try altogether. Monitoring tools give up on a command after half a minute.
TRY_SECONDS = 10.0
PAUSE_SECONDS = 1.0
# A resolve or an acknowledgement looks this many times whether it would overtake, once a second.
LOOKS = 5
LOOK_MOST = 10_000  # files that one look looks at


class Others(Enum):
    """Whether earlier events of an incident are in the queue."""

    PENDING = auto()
    GONE = auto()
    UNKNOWN = auto()  # this user may not look, or there are too many files


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether the event is accepted all the same. `text` tells a person how, or why not; it is
    empty if there is nothing to say."""

    accepted: bool
    text: str


def instead(settings: Config, error: SpoolError, spool: Spool | None = None) -> Outcome:
    """Delivers the event that the spool could not take, if the configuration wants that. `spool` is
    where it is queued if there is room after all."""
    if not settings.direct_delivery:
        text = f"{error} With direct_delivery = on it would have been delivered at once."
        return Outcome(False, text)
    event = understand("direct", error.body)
    load_keys(settings)  # as far as this user may
    if event.action in ("acknowledge", "resolve"):
        outcome = _queue_or_wait(event, settings, error, spool)
        if outcome is not None:
            return outcome
    problem = _deliver(event, settings)
    if problem is None:
        text = f"{error.cause}. {error.remedy}".rstrip()
        return Outcome(True, f"{text} The event was delivered directly to PagerDuty.")
    return Outcome(False, f"{error} Direct delivery failed too: {problem}")


def _queue_or_wait(
    event: Pending, settings: Config, error: SpoolError, spool: Spool | None
) -> Outcome | None:
    """Waits for the queue to take the event after all. None: it has to be delivered directly."""
    for look in range(LOOKS + 1):
        others = _others(event, settings)
        if others is Others.GONE:
            return None
        if look == LOOKS:
            break
        threads.pause(PAUSE_SECONDS)
        try:
            # The daemon may have made room by now. Then the queue keeps the order.
            enqueue(error.key, error.body, settings, spool)
        except SpoolError:
            continue
        return Outcome(True, "")
    if others is Others.PENDING:
        text = f"{error} It can't be delivered directly: earlier events of its incident key are"
        return Outcome(False, f"{text} still pending.")
    return None  # this user may not look into the queue, so it has waited for as long as it can


def _others(event: Pending, settings: Config) -> Others:
    """Whether other events of this chain are in the queue."""
    backlog = Backlog(settings.spool_dir)
    try:
        names = os.listdir(f"{settings.spool_dir}/{PENDING}")
    except (FileNotFoundError, NotADirectoryError):
        return Others.GONE
    except OSError:
        return Others.UNKNOWN
    if len(names) > LOOK_MOST:
        return Others.UNKNOWN
    key = lane(event.key, settings)
    for name in names:
        found = key_of(name)
        if found is None or lane(found, settings) != key:
            continue
        try:
            other = backlog.load(name)
        except Unfinished as unfinished:
            other = unfinished.pending
        except (Hostile, OSError):
            continue
        if other.dedup_key == event.dedup_key:
            return Others.PENDING
    return Others.GONE


def _deliver(event: Pending, settings: Config) -> str | None:
    """Delivers the event. Returns what went wrong; None once PagerDuty has it."""
    from pdagent.wire import environment
    from pdagent.wire.ranking import ranked
    from pdagent.wire.verdict import Delivered, Refused, Throttled, Troubled, Unreachable

    try:
        event = filled_in(event, settings)
    except (Unnamed, Hostile) as error:
        return str(error)
    hidden = environment.take_over(os.environ)
    order = ranked(settings.relays, event.key, event.chain)
    problem = ""
    for number in range(TRIES):
        if number:
            threads.pause(PAUSE_SECONDS)
        match _try(event, settings.toward(order[number % len(order)])):
            case Delivered():
                return None
            case Refused(_, reason):
                return f"PagerDuty refused the event: {redacted(reason, event.key)}"
            case Throttled():
                problem = "PagerDuty is throttling this integration key"
            case Troubled(why) | Unreachable(why):
                problem = redacted(why, event.key)
    if hidden:
        problem += f" (the agent's proxy settings are unknown: {hidden})"
    return problem


def _try(event: Pending, settings: Config) -> "Verdict":
    from pdagent.wire.delivery import Delivery
    from pdagent.wire.verdict import Delivered, Troubled

    delivery = Delivery(settings)
    verdicts: list[Verdict] = []
    # It gets a thread, since nothing can end the look-up of a name.
    thread = threads.start(lambda: verdicts.append(delivery.deliver(event)), "Direct")
    if thread is None:  # without a thread it may take longer, but is delivered
        return delivery.deliver(event)
    thread.join(TRY_SECONDS)
    if verdicts:
        return verdicts[0]
    delivery.abort_all()
    thread.join(PAUSE_SECONDS)
    if verdicts and isinstance(verdicts[0], Delivered):  # it had its answer at the last moment
        return verdicts[0]
    return Troubled(f"no answer within {TRY_SECONDS:.0f} s")
