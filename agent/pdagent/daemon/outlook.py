"""Outlook: whether any user of this host expects anything. Most hosts have no expectation, and an
idle daemon does without the modules for expectations until there is one."""

import math
import os
from collections.abc import Callable

from pdagent.config import Config
from pdagent.queue.layout import EXPECT, EXPECTED
from pdagent.queue.origins import Origins
from pdagent.queue.state import State
from pdagent.serve.tally import Tally
from pdagent.threads import importing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.daemon.expecting import Expecting


class Outlook:
    """What the main thread knows of `Expecting`, which takes the same arguments."""

    def __init__(
        self,
        settings: Config,
        state: State,
        tally: Tally,
        origins: Origins,
        nudge: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._state = state
        self._tally = tally
        self._origins = origins
        self._nudge = nudge
        self._wanted = False
        self._expecting: Expecting | None = None

    def start(self) -> None:
        """Takes over what is there, before any event is sent."""
        if self._is_any():
            self._begin().start()

    def configure(self, settings: Config) -> None:
        """Takes up a new configuration."""
        self._settings = settings
        if self._expecting is not None:
            self._expecting.configure(settings)

    def want(self) -> None:
        """There may be something new. Any thread may call this."""
        self._wanted = True
        if self._expecting is not None:
            self._expecting.want()

    def tick(self) -> None:
        """Called once in a while: looks whether there is something new that no wake has told of."""
        if self._expecting is not None:
            self._expecting.tick()
        elif self._is_any():
            self._wanted = True

    def tend(self, now: float) -> float:
        """Lets the thread of expectations do what there is to do. Returns when to call again, in
        monotonic seconds."""
        if self._expecting is None:
            if not self._wanted:
                return math.inf
            self._begin()  # it wants a first look
        assert self._expecting is not None
        return self._expecting.tend(now)

    def _begin(self) -> "Expecting":
        with importing:
            from pdagent.daemon.expecting import Expecting
        self._expecting = Expecting(
            self._settings, self._state, self._tally, self._origins, self._nudge
        )
        return self._expecting

    def _is_any(self) -> bool:
        try:
            for name in (EXPECT, EXPECTED):
                with os.scandir(f"{self._settings.spool_dir}/{name}") as entries:
                    for _ in entries:
                        return True
        except OSError:
            return True  # `Expecting` finds out what is wrong, and says it
        return False
