"""Direct delivery: what `pd-send` does when the spool can't be written and `direct_delivery =
on`."""

import json
import threading
import time

from pdagent import submission
from pdagent.backlog import Pending
from pdagent.config import Config
from pdagent.delivery import TOTAL_SECONDS, Delivery
from pdagent.event import Event
from pdagent.verdict import Delivered, Refused, Throttled

PAUSES = (0.0, 1.0, 3.0)  # seconds before each try; whoever runs pd-send is waiting


def deliver(event: Event, config: Config) -> str | None:
    """Sends the event now. Returns None once PagerDuty has it, else what went wrong."""
    data = submission.body(event, config)
    pending = Pending("direct", data, json.loads(data), "direct")
    delivery = Delivery(config)
    threading.Thread(target=_watch, args=(delivery,), daemon=True).start()
    problem = None
    patience = time.monotonic() + TOTAL_SECONDS  # for another try
    for pause in PAUSES:
        if time.monotonic() + pause > patience:
            break
        time.sleep(pause)
        verdict = delivery.deliver(pending)
        if isinstance(verdict, Delivered):
            return None
        if isinstance(verdict, Refused):
            return f"PagerDuty refused the event: {verdict.reason}"
        problem = (
            "PagerDuty is throttling this integration key"
            if isinstance(verdict, Throttled)
            else verdict.why
        )
    return problem


def _watch(delivery: Delivery) -> None:
    while True:
        time.sleep(1)
        delivery.abort_overdue(time.monotonic())
