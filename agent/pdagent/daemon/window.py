"""The window: the pending events that the daemon keeps in mind.

An event takes about a kilobyte of memory if each has a key of its own. Anyone can make a million
files, so each user has a bound: OWNER_MOST events, and fewer if several users have events pending.
The others stay in pdq/, and are taken in queue order as there is room.

Order holds across the edge of the window: if an event of a lane is left out, all later events of
that lane are left out too, whoever made them.
"""

from pdagent.daemon.workers import Workers
from pdagent.queue.names import key_of, order, place

OWNER_MOST = 100_000
OWNER_LEAST = 100
# This many lanes of which an event was left out are remembered. With more of them the order of
# events is no longer kept: only somebody who means harm makes files of that many keys.
LANES_MOST = 50_000

Place = tuple[int, str]


class Window:
    """Decides which events `workers` get."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._left_out: dict[str, Place] = {}  # by lane, the oldest that was left out
        self._more = 0  # how many events were left out
        self._found: dict[int, list[str]] = {}  # names by owner, in the present look
        self._room: dict[int, int] = {}

    # --- a look ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """A look at all entries begins."""
        self._found = {}
        self._room = {}
        self._left_out = {}
        self._more = 0

    def see(self, name: str, owner: int) -> None:
        """The look has found an entry that is not known."""
        names = self._found.get(owner)
        if names is None:
            names = self._found[owner] = []
            self._room.clear()  # one owner more shares the room
        names.append(name)
        room = self._room_of(owner)
        if len(names) >= 2 * max(room, OWNER_LEAST):
            # The list is kept short: a million names would take 100 MB.
            self._cut(owner, room)

    def admitted(self) -> list[tuple[str, int]]:
        """The look is over. Returns the names that are let in, and their owners, in queue order."""
        for owner in self._found:
            self._cut(owner, self._room_of(owner))
        found = [(name, owner) for owner, names in self._found.items() for name in names]
        found.sort(key=lambda entry: place(entry[0]))
        self._found = {}
        admitted = found
        if self._left_out:
            admitted = [entry for entry in found if self._keeps_order(entry[0])]
            self._more += len(found) - len(admitted)
        self._workers.left_out = self._more
        return admitted

    def _room_of(self, owner: int) -> int:
        room = self._room.get(owner)
        if room is None:
            room = self._room[owner] = max(0, self._most() - self._workers.pending_of(owner))
        return room

    def _most(self) -> int:
        owners = max(1, self._workers.owners, len(self._found))
        return max(OWNER_LEAST, OWNER_MOST // owners)

    def _cut(self, owner: int, room: int) -> None:
        names = self._found[owner]
        if len(names) <= room:
            return
        names.sort(key=place)
        for name in names[room:]:
            self._leave_out(name)
        del names[room:]

    def _leave_out(self, name: str) -> None:
        self._more += 1
        if key_of(name) is None:
            return
        lane = self._workers.lane(name)
        oldest = self._left_out.get(lane)
        if oldest is not None or len(self._left_out) < LANES_MOST:
            self._left_out[lane] = min(order(name), oldest or order(name))

    def _keeps_order(self, name: str) -> bool:
        """Whether no older event of its lane was left out."""
        if key_of(name) is None:
            return True
        oldest = self._left_out.get(self._workers.lane(name))
        return oldest is None or order(name) < oldest

    # --- one event, between looks ---------------------------------------------------------------

    def admits(self, name: str, owner: int) -> bool:
        """Whether a new event is let in. If not, a later look will find it."""
        if not self._more and self._workers.pending_of(owner) < OWNER_LEAST:
            return True  # this is so nearly always
        if self._workers.pending_of(owner) < self._most() and self._keeps_order(name):
            return True
        self._leave_out(name)
        self._workers.left_out = self._more
        return False

    @property
    def has_left_out(self) -> bool:
        """Whether events were left out. Another look may let some of them in."""
        return self._more > 0
