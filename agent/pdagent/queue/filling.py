"""Filling in: an event that names its integration key (see `keys`) gets the key at delivery.

An event with a name that nobody has yet stays pending: a page must not be lost to a typo in the
configuration.
"""

from dataclasses import replace

from pdagent.config import Config, key_named
from pdagent.event import BadEvent, encode
from pdagent.queue.pending import Hostile, Pending, key_field
from pdagent.shown import masked


class Unnamed(Exception):
    """No key has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no integration key is named {masked(name)}")
        self.name = name


def filled_in(pending: Pending, settings: Config) -> Pending:
    """The event as PagerDuty is to get it. Raises Unnamed, and Hostile where a script's event can't
    be encoded with its key."""
    if pending.key[:1] != "@":
        return pending
    key = key_named(pending.key, settings)
    if key is None:
        raise Unnamed(pending.key)
    body = pending.body
    body[key_field(body)] = key
    try:
        return replace(pending, key=key, data=encode(body))
    except (BadEvent, RecursionError) as error:
        raise Hostile("it can't be written with its key") from error
