"""The states of an event: pending, in error, delivered. Each is a directory of the spool, and names
are enough to count."""

import os
from collections import Counter
from dataclasses import dataclass

from pdagent.queue.names import key_of
from pdagent.spool import DELIVERED, IN_ERROR, PENDING

STATES = {PENDING: "pending", IN_ERROR: "in error", DELIVERED: "delivered"}
UNSETTLED = (PENDING, IN_ERROR)


class NoSuchEvent(Exception):
    """No event has this name, or begins like it; the text is for a person."""


class Ambiguous(Exception):
    """Several events begin like this; the text is for a person."""


@dataclass(frozen=True, slots=True)
class Count:
    """Events of one key by state, as files in the spool's directories."""

    pending: int
    delivered: int
    in_error: int


def counts(root: str) -> dict[str, Count]:
    """The events of the spool at `root`, by key and state. Raises OSError."""
    pending, delivered, in_error = (_keys(f"{root}/{d}") for d in (PENDING, DELIVERED, IN_ERROR))
    return {
        key: Count(pending[key], delivered[key], in_error[key])
        for key in sorted(pending.keys() | delivered.keys() | in_error.keys())
    }


def _keys(directory: str) -> Counter[str]:
    return Counter(key for name in os.listdir(directory) if (key := key_of(name)) is not None)
