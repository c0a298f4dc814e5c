"""The outbox: how the events of expectations get into the queue, each in the turn of its user or
sender. Users who expect thousands of things delay themselves only.
"""

import logging

from pdagent.config import Config
from pdagent.queue.expectation import Expectation, owner_of
from pdagent.queue.origins import Origins
from pdagent.shown import printable
from pdagent.spool import SpoolError
from pdagent.threads import importing

log = logging.getLogger("pdagent.expectations")


class Outbox:
    """For the spool of `settings`. Places are in microseconds since the epoch."""

    def __init__(self, settings: Config, origins: Origins) -> None:
        self._settings = settings
        self._origins = origins

    def configure(self, settings: Config) -> None:
        """Takes up a new configuration."""
        self._settings = settings

    def enqueue(self, identity: str, found: Expectation, body: bytes, place: int) -> None:
        """Puts an event into the queue, at this place. Raises SpoolError."""
        spool = self._origins.spool(found.by, owner_of(identity) or 0, lambda: place * 1000)
        spool.enqueue(found.key, body)

    def page(self, identity: str, found: Expectation, body: bytes, place: int) -> None:
        """As `enqueue`, but the page still goes out when the disk is full. A resolve can wait."""
        try:
            self.enqueue(identity, found, body, place)
        except SpoolError as error:
            with importing:
                from pdagent.wire import direct
            outcome = direct.instead(self._settings, error)
            log.warning("%s", printable(outcome.text))
            if not outcome.accepted:
                raise
