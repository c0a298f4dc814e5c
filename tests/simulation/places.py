"""Where events are: the spool's directories on the simulated disk, looked into from outside."""

from pdagent.spool import DELIVERED, IN_ERROR, PENDING
from tests.simulation.kernel import Kernel
from tests.support.power.disk import Tree

ROOT = "/var/lib/pdagent/outqueue"
ALL = (PENDING, DELIVERED, IN_ERROR)


class Places:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def files(self, place: str, tree: Tree | None = None) -> list[tuple[str, bytes]]:
        """Names and contents, now or in another `tree`."""
        tree = tree or self._kernel.disk.tree
        directory = tree.find(f"{ROOT}/{place}")
        names = {} if directory is None else tree.inodes[directory].names
        return [(name, bytes(tree.inodes[number].data)) for name, number in names.items()]

    def of(self, body: bytes) -> str | None:
        """The place of the event with this body."""
        for place in ALL:
            if any(data == body for _, data in self.files(place)):
                return place
        return None

    def names(self, body: bytes) -> list[str]:
        return [name for place in ALL for name, data in self.files(place) if data == body]

    def survives(self, body: bytes) -> bool:
        """Whether an event would be there if the power failed now."""
        tree = self._kernel.after_a_cut()
        return any(data == body for place in ALL for _, data in self.files(place, tree))

    def has_reason(self, name: str) -> bool:
        return self._kernel.exists(f"/var/lib/pdagent/db/reasons/{name}")
