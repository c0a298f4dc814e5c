"""Paging: what follows from the end of a job: a trigger, a resolve, or nothing.

`openings` says what a crash leaves.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from pdagent.event import Event
from pdagent.jobs.openings import Opening, exists, path_of

Put = Callable[[Event], bool]  # whether the event was accepted


@dataclass(frozen=True, slots=True)
class Paging:
    """How to page for one job. `put` gets an event accepted, or says why that failed. `complain`
    says what else is wrong. `failures` is how many failures in a row it takes to page."""

    spool: str
    resolve: Event
    failures: int
    put: Put
    complain: Callable[[str], None]

    @property
    def _path(self) -> str:
        return path_of(self.spool, self.resolve.key, self.resolve.dedup_key or "")

    def failed(self, trigger: Event) -> None:
        """The job has failed."""
        try:
            with Opening(self._path, makes=True) as opening:
                # A failure that can't be counted pages, since nobody would know of it otherwise.
                count = self.failures if opening.failures is None else opening.failures + 1
                is_open = opening.is_open or count >= self.failures
                if not opening.note(count, is_open) or count >= self.failures:
                    self.put(trigger)
        except OSError as error:
            self._complain(error)
            self.put(trigger)

    def succeeded(self) -> None:
        """The job has ended well."""
        if not exists(self._path):
            return
        with Opening(self._path, makes=False) as opening:
            if not opening.is_open or self.put(self.resolve):
                opening.remove()

    def _complain(self, error: OSError) -> None:
        why = os.strerror(error.errno or 0)
        self.complain(f"cannot write to {self._path}: {why}. No success will resolve the incident")
