"""The trial: a trigger and its resolve, sent through the spool and the daemon like any event."""

import os
from collections.abc import Iterator

from pdagent.acceptance import body
from pdagent.check.finding import Finding, failed, ok
from pdagent.check.host import Host
from pdagent.check.record import COPY_KEY
from pdagent.config import Config
from pdagent.event import Event
from pdagent.queue.state import State
from pdagent.shown import masked
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, Spool, SpoolError

SUBJECT = "test event"
SECONDS = 40.0
_LOOK_SECONDS = 0.02
_ACTIONS = ("trigger", "resolve")
_OTHERS = "See to the other lines that are not ok."


def trial(settings: Config, host: Host, key: str) -> Iterator[Finding]:
    """Sends the two events, and waits until each has left the queue."""
    deadline = host.monotonic() + SECONDS
    source = os.uname().nodename
    took = []
    for action in _ACTIONS:
        event = Event(
            key,
            action,
            description=f"Test of the PagerDuty Agent on {source}" if action == "trigger" else None,
            dedup_key=f"pdagent-check-{source}-{os.getpid()}",
            source=source,
            severity="info",
        )
        started = host.monotonic()
        try:
            name = Spool(settings.spool_dir).enqueue(key, body(event, settings))
        except SpoolError as error:
            yield failed(SUBJECT, str(error), _OTHERS)
            return
        wrong = _wait(settings, host, name, deadline)
        reason = State(settings.data_dir).reason(name)
        if wrong is not None and reason is not None and reason.is_about_key:
            text = f"PagerDuty does not know key {masked(key)}"
            yield failed(SUBJECT, f"{text}: the {action} {wrong}", COPY_KEY)
            return
        if wrong is not None:
            yield failed(SUBJECT, f"the {action} {wrong}", _OTHERS)
            return
        took.append(f"{action} {(host.monotonic() - started) * 1000:.0f} ms")
    yield ok(SUBJECT, f"left the queue for PagerDuty: {', '.join(took)}")


def _wait(settings: Config, host: Host, name: str, deadline: float) -> str | None:
    """What went wrong with an event; None if nothing did, or if this user can't see where the event
    went."""
    root = settings.spool_dir
    while os.path.lexists(f"{root}/{PENDING}/{name}"):
        if host.monotonic() >= deadline:
            return "was accepted, but is still in the queue; it stays there"
        host.sleep(_LOOK_SECONDS)
    if os.path.lexists(f"{root}/{IN_ERROR}/{name}"):
        reason = State(settings.data_dir).reason(name)
        return f"was refused: {reason.reason if reason else 'its reason can not be read'}"
    visible = os.access(f"{root}/{DELIVERED}", os.X_OK)
    if visible and not os.path.lexists(f"{root}/{DELIVERED}/{name}"):
        return "was removed from the queue by somebody"
    return None
