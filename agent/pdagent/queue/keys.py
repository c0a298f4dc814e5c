"""Names of integration keys: an event in the spool may say `@db` where its key belongs, for senders
who may page but need not see the key.

The name is filled in at delivery. An event with a name that nobody has yet stays pending: a page
must not be lost to a typo in the configuration.
"""

from dataclasses import replace

from pdagent.config import Config, key_named
from pdagent.event import BadEvent, encode
from pdagent.queue.backlog import Hostile, Pending


class Unnamed(Exception):
    """No key has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no integration key is named {name}")
        self.name = name


def lane(key: str, settings: Config) -> str:
    """The key whose events those of `key` have to keep their order with."""
    return (key_named(key, settings) or key) if key[:1] == "@" else key


def filled_in(pending: Pending, settings: Config) -> Pending:
    """The event as PagerDuty is to get it. Raises Unnamed, or Hostile for one that a script made
    and that can't be written."""
    field = "routing_key" if "routing_key" in pending.body else "service_key"
    name = pending.body[field]
    if not (isinstance(name, str) and name[:1] == "@"):
        return pending
    key = key_named(name, settings)
    if key is None:
        raise Unnamed(name)
    body = {**pending.body, field: key}
    try:
        return replace(pending, body=body, data=encode(body))
    except (BadEvent, RecursionError) as error:
        raise Hostile("it can't be written with its key") from error
