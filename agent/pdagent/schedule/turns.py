"""Turns: whose event goes next. Users take turns, and each user's keys take turns.

Pure. Anyone may add files of any number of keys. If keys alone took turns, a user with 50,000 of
them would make everybody else wait for 50,000 turns. So the owners of events' files take turns
first. Root is an owner like any other. So is each sender to the endpoint, by a number below 0.

Whoever has the next turn must also find a place, though all posts of another user may hang:

- All users together have the `places` of the limits. If one user has taken them all, `SPARE` more
  are there for users who have no event on its way.
- Large events have few places, since each holds much memory. One user gets half of these.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice

from pdagent.schedule.entry import Entry
from pdagent.schedule.lane import Lane
from pdagent.schedule.limits import Limits

SPARE = 4
HEAVY_PLACES = 8
HEAVY_OF_ONE = 4


class Owner:
    """A user who has events pending or on their way."""

    __slots__ = ("claimed", "heavy_claimed", "heavy_lanes", "lanes", "pending", "uid")

    def __init__(self, uid: int) -> None:
        self.uid = uid
        self.pending = 0
        self.claimed = 0
        self.heavy_claimed = 0
        self.lanes: deque[Lane] = deque()
        self.heavy_lanes: deque[Lane] = deque()


class Turns:
    """Lanes that may have something to send."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.claimed = 0
        self._heavy_claimed = 0
        self._owners: dict[int, Owner] = {}
        self._senders = 0  # of these owners, those who are senders to the endpoint
        self._pending_of_senders = 0
        self._round: deque[Owner] = deque()  # only owners who have lanes
        self._heavy_round: deque[Owner] = deque()

    def __bool__(self) -> bool:
        """Whether there is any lane that finds a place."""
        return self._next_heavy() is not None or self._next_light() is not None

    # --- who has how many -----------------------------------------------------------------------

    @property
    def owners(self) -> int:
        """How many users have events; all senders to the endpoint are one, the agent's."""
        return len(self._owners) - max(0, self._senders - 1)

    def pending(self, uid: int, with_senders: bool = False) -> int:
        """How many events of this user are pending, and `with_senders` those of all senders too."""
        owner = self._owners.get(uid)
        own = owner.pending if owner is not None else 0
        return own + self._pending_of_senders if with_senders else own

    def add(self, uid: int) -> None:
        """An event of this user is pending now."""
        owner = self._owners.get(uid)
        if owner is None:
            owner = self._owners[uid] = Owner(uid)
            self._senders += uid < 0
        owner.pending += 1
        self._pending_of_senders += uid < 0

    def remove(self, uid: int) -> None:
        """An event of this user is no longer pending."""
        owner = self._owners[uid]
        owner.pending -= 1
        self._pending_of_senders -= uid < 0
        self._drop_if_done(owner)

    # --- whose turn it is -----------------------------------------------------------------------

    def offer(self, lane: Lane) -> None:
        """A lane may have something to send."""
        uid = lane.owner
        if lane.queued or lane.is_full(self.limits.per_key) or uid is None:
            return
        owner = self._owners[uid]
        lanes, waiting = (
            (owner.heavy_lanes, self._heavy_round) if lane.heavy else (owner.lanes, self._round)
        )
        lanes.append(lane)
        if len(lanes) == 1:
            try:
                waiting.append(owner)
            except MemoryError:
                lanes.pop()
                raise
        lane.queued = True

    def next(self) -> Lane | None:
        """Takes out the lane whose turn it is; None if nobody who waits finds a place."""
        if (owner := self._next_heavy()) is not None:
            return self._taken(owner, owner.heavy_lanes, self._heavy_round)
        if (owner := self._next_light()) is not None:
            return self._taken(owner, owner.lanes, self._round)
        return None

    def _next_heavy(self) -> Owner | None:
        if self._heavy_claimed >= HEAVY_PLACES:
            return None
        for owner in self._in_turn(self._heavy_round):
            if owner.heavy_claimed < HEAVY_OF_ONE and self._has_place(owner):
                return owner
        return None

    def _next_light(self) -> Owner | None:
        return next(filter(self._has_place, self._in_turn(self._round)), None)

    def _in_turn(self, waiting: deque[Owner]) -> Iterator[Owner]:
        # An owner finds no place only if he has something on its way. There are no more such owners
        # than places, so among the first places + 1 owners is one who finds a place, if any does.
        return islice(waiting, self.limits.places + SPARE + 1)

    def _has_place(self, owner: Owner) -> bool:
        if self.claimed < self.limits.places:
            return True
        return not owner.claimed and self.claimed < self.limits.places + SPARE

    def _taken(self, owner: Owner, lanes: deque[Lane], waiting: deque[Owner]) -> Lane:
        lane = lanes.popleft()
        lane.queued = False
        waiting.remove(owner)
        if lanes:
            waiting.append(owner)
        self._drop_if_done(owner)
        return lane

    def _drop_if_done(self, owner: Owner) -> None:
        if not (owner.pending or owner.lanes or owner.heavy_lanes):
            self._senders -= owner.uid < 0 and owner.uid in self._owners
            self._owners.pop(owner.uid, None)

    # --- who is on the way ----------------------------------------------------------------------

    def claim(self, entry: Entry, heavy: bool) -> None:
        """An event is on its way. If it is `heavy`, it takes one of the places for large events."""
        owner = self._owners[entry.owner]
        entry.heavy = heavy
        self.claimed += 1
        self._heavy_claimed += heavy
        owner.claimed += 1
        owner.heavy_claimed += heavy

    def release(self, entry: Entry) -> None:
        """An event is no longer on its way."""
        owner = self._owners[entry.owner]
        self.claimed -= 1
        self._heavy_claimed -= entry.heavy
        owner.claimed -= 1
        owner.heavy_claimed -= entry.heavy
        entry.heavy = False
