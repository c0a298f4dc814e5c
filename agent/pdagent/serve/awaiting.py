"""Expectations of others: a body that comes to the endpoint, as what `pd-send expect` does."""

import json
import time

from pdagent.acceptance import enqueue
from pdagent.config import Config, may_exist
from pdagent.encoding import Body
from pdagent.event import BadEvent, encode
from pdagent.queue.elapsed import present
from pdagent.queue.expectation import EXPECTATION_BYTES, TERM_LEAST, TERM_MOST, written
from pdagent.queue.numbers import is_number
from pdagent.queue.renewal import ExpectationSpool
from pdagent.serve.intake import Intake, Invalid
from pdagent.shown import masked

WITHIN = "within"
# How long the answer waits for the daemon to take it over. Otherwise one sender could post faster
# than the daemon takes, and what all senders expect would wait behind that.
TAKEN_SECONDS = 0.25


def expect(event: Intake, settings: Config, sender: str) -> None:
    """Takes an expectation of `sender` ("" without a name) into the spool: a trigger with a term in
    seconds, or a resolve, which cancels it. Raises Invalid, BadEvent, SpoolError."""
    if not may_exist(event.key, settings):
        raise BadEvent(f"no integration key is named {masked(event.key)}")
    whole = event.body("v2", time.time_ns())
    _see_small(whole)  # before it is parsed once more
    body: Body = json.loads(whole)
    term = _term(event, body.pop(WITHIN, None))
    data = written(encode({**body, "event_action": "trigger"}), term, present(), sender)
    _see_small(data)
    spool = ExpectationSpool(settings.spool_dir)
    enqueue(event.key, data, settings, spool)
    spool.see_taken(TAKEN_SECONDS)


def _see_small(data: bytes) -> None:
    if len(data) > EXPECTATION_BYTES:
        raise BadEvent(f"the event is larger than {EXPECTATION_BYTES} bytes")


def _term(event: Intake, within: object) -> float:
    if event.action == "resolve":
        return 0.0
    if event.action != "trigger":
        raise Invalid(["'event_action' is invalid (must be one of: trigger, resolve)"])
    if not is_number(within):
        raise Invalid([f"'{WITHIN}' is missing or no number of seconds"])
    if not TERM_LEAST <= within <= TERM_MOST:
        limits = f"{TERM_LEAST:.0f} to {TERM_MOST:.0f}"
        raise Invalid([f"'{WITHIN}' is invalid (must be from {limits} seconds)"])
    return float(within)
