"""What the simulated kernel hands out: open files, pipes, walks through a directory, `os.path`, and
what `stat` and errors say."""

import io
import os
import posixpath
import stat
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zlib import crc32

from tests.simulation.world import Process
from tests.support.power.disk import Inode

if TYPE_CHECKING:
    from tests.simulation.kernel import Kernel


class Pipe:
    def __init__(self) -> None:
        self.data = bytearray()
        self.readers = self.writers = 0


class Opened:
    """An open file, directory, or end of a pipe."""

    def __init__(self, process: Process, inode: int, flags: int, pipe: Pipe | None = None) -> None:
        self.process = process
        self.inode = inode
        self.offset = 0
        self.pipe = pipe
        self.reads = flags & os.O_ACCMODE in (os.O_RDONLY, os.O_RDWR)
        self.writes = flags & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR)


class Scan:
    """A walk through a directory by the hashes of its names, as ext4 does it: what comes meanwhile
    is seen if it lands behind the reader."""

    def __init__(self, kernel: "Kernel", path: str, directory: Inode) -> None:
        self._kernel = kernel
        self._path = path
        self._directory = directory

    def __iter__(self) -> Iterator["Entry"]:
        place = (-1, "")
        while True:
            self._kernel.world.wait("next entry")
            names = self._directory.names
            rest = [found for name in names if (found := (crc32(name.encode()), name)) > place]
            if not rest:
                return
            place = min(rest)
            yield Entry(self._kernel, f"{self._path}/{place[1]}", names[place[1]])

    def __enter__(self) -> "Scan":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Entry:
    """A name that was found, and asks for the file by its name: another may have it by now."""

    def __init__(self, kernel: "Kernel", path: str, inode: int) -> None:
        self.name = posixpath.basename(path)
        self._kernel = kernel
        self._path = path
        self._inode = inode

    def inode(self) -> int:
        return self._inode

    def stat(self, follow_symlinks: bool = True) -> SimpleNamespace:
        return self._kernel.lstat(self._path)


class Paths:
    """`os.path`."""

    def __init__(self, kernel: "Kernel") -> None:
        self._kernel = kernel
        self.basename = posixpath.basename
        self.dirname = posixpath.dirname
        self.samestat = posixpath.samestat

    def lexists(self, path: str) -> bool:
        self._kernel.world.wait(f"lexists {path}")
        return self._kernel.exists(path)

    exists = lexists  # there are no links

    def isdir(self, path: str) -> bool:
        self._kernel.world.wait(f"isdir {path}")
        found = self._kernel.disk.tree.find(path)
        return found is not None and stat.S_ISDIR(self._kernel.disk.tree.inodes[found].mode)

    def islink(self, path: str) -> bool:
        return False


class Raw(io.RawIOBase):
    def __init__(self, kernel: "Kernel", fd: int) -> None:
        self._kernel = kernel
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._kernel.read(self._fd, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        return self._kernel.write(self._fd, bytes(data))

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._kernel.close(self._fd)


def status(inode: Inode) -> SimpleNamespace:
    return SimpleNamespace(
        st_mode=inode.mode,
        st_uid=inode.uid,
        st_gid=inode.gid,
        st_dev=1,
        st_ino=inode.number,
        st_nlink=inode.links,
        st_size=len(inode.data),
        st_blocks=8,
        st_ctime=inode.changed / 1e9,
        st_ctime_ns=inode.changed,
        st_mtime=inode.changed / 1e9,
        st_mtime_ns=inode.changed,
    )


def error(number: int, path: str = "") -> OSError:
    return OSError(number, os.strerror(number), path)
