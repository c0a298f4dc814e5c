"""A disk in memory that knows what of its contents would survive a power cut, at any moment.

It keeps every operation, so that afterwards the power can be cut at each of them, many times over,
with another choice each time of what the kernel happened to have written by then. Knows nothing of
FUSE.

What makes an operation durable:

- fsync of a file: its data, its attributes, and every change of a name of it so far. That the
  names come too is not POSIX; journalling file systems do it, and the spool relies on it (see
  Spool._sync_link).
- fsync of a directory: every change of a name in it so far.

Of what is not durable each write may be lost, torn, or there as zeros. And of the names:

- JOURNAL, as ext4 and XFS: they come in order, up to the last commit of the journal, and an fsync
  commits all that came before it.
- ANY: each change on its own may be there or not. No file system is as bad; btrfs, and a journal in
  writeback, are somewhere between.
"""

import copy
import math
import random
import time
from dataclasses import dataclass, field
from enum import Enum, auto
from stat import S_IFDIR, S_ISDIR

ROOT = 1


class Names(Enum):
    """In which order changes of names reach the disk."""

    JOURNAL = auto()
    ANY = auto()


@dataclass(frozen=True, slots=True)
class Make:
    """An inode comes to be. Until a name leads to it, nobody can tell."""

    inode: int
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Attributes:
    """Its mode and owner change."""

    inode: int
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Write:
    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class Change:
    """A name in a directory leads to another inode. `new` None: it goes."""

    directory: int
    name: str
    old: int | None
    new: int | None


@dataclass(frozen=True, slots=True)
class Rename:
    """Changes of names that happen all at once: one for link(2) and unlink(2), two for
    rename(2)."""

    changes: tuple[Change, ...]

    def concerns(self, inode: int) -> bool:
        """Whether an fsync of this file or directory makes it durable."""
        return any(inode in (change.directory, change.old, change.new) for change in self.changes)


@dataclass(frozen=True, slots=True)
class Sync:
    inode: int


Operation = Make | Attributes | Write | Truncate | Rename | Sync


@dataclass(slots=True)
class Inode:
    number: int
    mode: int
    uid: int
    gid: int
    links: int = 0
    data: bytearray = field(default_factory=bytearray)  # of a symbolic link: where it leads
    names: dict[str, int] = field(default_factory=dict)
    changed: int = 0  # nanoseconds since the epoch


class Tree:
    """Files and directories."""

    def __init__(self) -> None:
        self.inodes = {ROOT: Inode(ROOT, S_IFDIR | 0o755, 0, 0, links=1)}

    def apply(self, operation: Operation) -> None:
        match operation:
            case Make(inode, mode, uid, gid):
                self.inodes[inode] = Inode(inode, mode, uid, gid)
            case Attributes(inode, mode, uid, gid):
                node = self.inodes[inode]
                node.mode, node.uid, node.gid = mode, uid, gid
            case Write(inode, offset, data):
                node = self.inodes[inode]
                if data:  # nothing written leaves no hole before it
                    node.data.extend(bytes(max(0, offset - len(node.data))))
                node.data[offset : offset + len(data)] = data
            case Truncate(inode, size):
                node = self.inodes[inode]
                del node.data[size:]
                node.data.extend(bytes(size - len(node.data)))
            case Rename(changes):
                for change in changes:
                    self._change(change)
        self._touch(operation)

    def _change(self, change: Change) -> None:
        names = self.inodes[change.directory].names
        # After a cut the name may lead elsewhere than when the operation was done.
        before = names.get(change.name)
        if change.new is None:
            if before != change.old:
                return
            names.pop(change.name, None)
        else:
            names[change.name] = change.new
            self.inodes[change.new].links += 1
        if before is not None:
            self.inodes[before].links -= 1

    def _touch(self, operation: Operation) -> None:
        now = time.time_ns()
        match operation:
            case Rename(changes):
                for change in changes:
                    touched = {change.directory, change.old, change.new} - {None}
                    for inode in touched:
                        self.inodes[inode or ROOT].changed = now
            case Make() | Attributes() | Write() | Truncate():
                self.inodes[operation.inode].changed = now

    def new_number(self) -> int:
        """For a new inode."""
        return max(self.inodes) + 1

    def find(self, path: str) -> int | None:
        """The inode that a path leads to; symbolic links are not followed."""
        inode = ROOT
        for name in path.split("/"):
            if name:
                node = self.inodes[inode]
                if not S_ISDIR(node.mode) or name not in node.names:
                    return None
                inode = node.names[name]
        return inode

    def files(self, path: str) -> dict[str, bytes]:
        """The contents of a directory's files, by name."""
        inode = self.find(path)
        names = self.inodes[inode].names if inode is not None else {}
        return {name: bytes(self.inodes[number].data) for name, number in names.items()}


class Disk:
    """A tree as it is, as it was on stable storage once, and all that happened to it since."""

    def __init__(self, tree: Tree | None = None) -> None:
        self.tree = tree or Tree()
        self.stable = copy.deepcopy(self.tree)
        self.log: list[tuple[float, Operation]] = []

    def do(self, operation: Operation) -> None:
        """Carries an operation out, and remembers when, in monotonic seconds."""
        self.tree.apply(operation)
        self.log.append((time.monotonic(), operation))


class Cuts:
    """What may be found on a disk after a power cut, with names reaching it in that order."""

    def __init__(self, disk: Disk, names: Names) -> None:
        self._stable = disk.stable
        self._log = disk.log
        self._names = names
        self._synced_at = self._syncs()

    def __len__(self) -> int:
        """How many operations there are to cut after."""
        return len(self._log)

    def time(self, length: int) -> float:
        """The latest moment at which no more than so many operations had been done."""
        return self._log[length][0] if length < len(self._log) else math.inf

    def after(self, length: int, choice: random.Random) -> Tree:
        """What is there if the power failed after so many operations, before the next."""
        found = copy.deepcopy(self._stable)
        commit = choice.randint(0, length)
        for place, (_, operation) in enumerate(self._log[:length]):
            if isinstance(operation, Make) or self._synced_at[place] < length:
                found.apply(operation)
            elif isinstance(operation, Write):
                found.apply(_torn(operation, choice))
            elif place < commit if self._names is Names.JOURNAL else choice.random() < 0.5:
                found.apply(operation)
        return found

    def _syncs(self) -> list[int]:
        """For each operation the place of the fsync that makes it durable; beyond all where there
        is none."""
        synced_at = [len(self._log)] * len(self._log)
        waiting: list[int] = []
        for end, (_, operation) in enumerate(self._log):
            if isinstance(operation, Sync):
                reached = [place for place in waiting if self._reaches(operation.inode, place)]
                for place in reached:
                    synced_at[place] = end
                waiting = [place for place in waiting if synced_at[place] != end]
            else:
                waiting.append(end)
        return synced_at

    def _reaches(self, synced: int, place: int) -> bool:
        operation = self._log[place][1]
        if isinstance(operation, Rename):
            return self._names is Names.JOURNAL or operation.concerns(synced)
        if isinstance(operation, Attributes):
            return self._names is Names.JOURNAL or operation.inode == synced
        return operation.inode == synced


def _torn(write: Write, choice: random.Random) -> Operation:
    """What a write may leave that was not synced: nothing, a part, zeros, or all of it."""
    data = write.data
    part = choice.randint(0, len(data))
    return Write(
        write.inode, write.offset, choice.choice([b"", data[:part], bytes(len(data)), data])
    )
