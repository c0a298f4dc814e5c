"""The view: what the sub-commands of `pd-queue` look at, which is the spool and what its daemon
tells."""

import time
from functools import cached_property

from pdagent.config import Config
from pdagent.queue.holds import Held, Hold, told
from pdagent.queue.keys import lane, matches_key
from pdagent.queue.layout import is_served

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.queue.intervention import Intervention
    from pdagent.queue.listing import Listing
    from pdagent.queue.state import State


class View:
    """The queue of an agent with these settings, at the moment when it was made."""

    def __init__(self, settings: Config) -> None:
        self.settings = settings
        self.longest_name = max(map(len, settings.keys or ()), default=0)  # of an integration key
        self.root = settings.spool_dir
        self.wall = time.time()
        self.monotonic = time.monotonic()
        self.running = is_served(self.root)
        # What a daemon has told before it ended is no longer true.
        self.held: Held | None = told(settings.data_dir) if self.running else Held()

    # What `status` needs of these is above. The rest is imported for other sub-commands only.

    @cached_property
    def state(self) -> "State":
        """What the daemon remembers."""
        from pdagent.queue.state import State

        return State(self.settings.data_dir)

    def wall_of(self, monotonic: float) -> float:
        """A moment of the monotonic clock as seconds since the epoch."""
        return self.wall + monotonic - self.monotonic

    def lane(self, key: str) -> str:
        """The integration key that a key, or the name of one, stands for."""
        return lane(key, self.settings)

    def holds(self, key: str | None) -> list[Hold]:
        """The holds that concern a key; all holds for None."""
        held = self.held.holds if self.held else ()
        wanted = None if key is None else self.lane(key)
        return [h for h in held if wanted is None or not h.key or matches_key(h.key, wanted)]

    def listing(self) -> "Listing":
        """A listing of the events, with bounds of its own."""
        from pdagent.queue.listing import Listing

        return Listing(self.root, self.state, self.held, self.lane)

    def intervention(self) -> "Intervention":
        """What changes the queue."""
        from pdagent.queue.intervention import Intervention

        return Intervention(self.root, self.state, self.lane)
