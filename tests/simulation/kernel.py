"""What stands in for `os`, `posix`, `fcntl`, `select` and `open`: files on a disk that may lose its
power, FIFOs and pipes, and the errors that a seed draws. Each call lets others go on first.
"""

import errno
import io
import os
import select
import stat
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from zlib import crc32

from tests.simulation.files import Opened, Paths, Pipe, Raw, Scan, error, status
from tests.simulation.world import Process, World
from tests.support.power.disk import (
    Attributes,
    Change,
    Cuts,
    Disk,
    Inode,
    Make,
    Names,
    Operation,
    Rename,
    Sync,
    Tree,
    Truncate,
    Write,
)

PIPE_BYTES = 65_536
_PASSED = {"fsdecode", "fsencode", "strerror", "error", "stat_result"}
_FAULTS = (errno.EIO, errno.EIO, errno.ENOSPC, errno.EMFILE)
_NO_SPACE = {"write", "link", "rename", "mkdir", "open"}


class Kernel:
    """`observe` is told of each change of names; `excuse` of each error that was put in, with the
    path it is about."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.disk = Disk()
        self.errors = 0.0  # how likely a call fails
        self.observe: Callable[[Rename], None] = lambda _: None
        self.excuse: Callable[[str], None] = lambda _: None
        self.path = Paths(self)
        self.environ = {"PDAGENT_BOOT_ID": "boot"}
        self._files: dict[int, Opened] = {}
        self._next_fd = 10
        self._pipes: dict[int, Pipe] = {}  # by the FIFO's inode
        self._locks: dict[int, int] = {}  # descriptor by inode

    def __getattr__(self, name: str) -> Any:
        found = getattr(os, name)
        if name in _PASSED or not callable(found):
            return found
        raise AttributeError(f"the simulation has no os.{name}")

    # --- what happens to all of it --------------------------------------------------------------

    @property
    def process(self) -> Process:
        assert self.world.running is not None
        return self.world.running.process

    def kill(self, process: Process) -> None:
        process.dead = True
        for fd in [fd for fd, file in self._files.items() if file.process is process]:
            self._close(fd)

    def cut_power(self) -> None:
        """All processes must be dead."""
        self.disk = Disk(self.after_a_cut())
        self._pipes = {}

    def after_a_cut(self) -> Tree:
        """What would be found if the power failed now."""
        return Cuts(self.disk, Names.JOURNAL).after(len(self.disk.log), self.world.choice)

    def _call(self, name: str, path: str = "") -> None:
        self.world.wait(f"{name} {path}")
        # FIFOs are not on any disk.
        if path.endswith(("/wake", ".wait")) or not self.process.faulty:
            return
        if self.world.choice.random() < self.errors:
            number = self.world.choice.choice(_FAULTS)
            if number == errno.ENOSPC and name not in _NO_SPACE:
                number = errno.EIO
            self.excuse(path)
            raise error(number, path)

    def _do(self, operation: Operation) -> None:
        self.disk.do(operation)
        if isinstance(operation, Rename):
            self.observe(operation)

    # --- finding --------------------------------------------------------------------------------

    def _at(self, path: str) -> Inode:
        found = self.disk.tree.find(path)
        if found is None:
            raise error(errno.ENOENT, path)
        return self.disk.tree.inodes[found]

    def _parent(self, path: str) -> tuple[int, str]:
        directory, _, name = path.rpartition("/")
        return self._at(directory).number, name

    def exists(self, path: str) -> bool:
        return self.disk.tree.find(path) is not None

    def lstat(self, path: str) -> SimpleNamespace:
        self._call("lstat", path)
        if len(path.rpartition("/")[2]) > 255 or "\0" in path:
            raise error(errno.ENAMETOOLONG, path)
        return status(self._at(path))

    def stat(self, path: str) -> SimpleNamespace:
        return self.lstat(path)

    def getxattr(self, path: str, *_: object, **__: object) -> bytes:
        raise error(errno.ENODATA, path)  # nothing comes to the endpoint here

    def setxattr(self, where: object, *_: object) -> None:
        raise error(errno.ENOTSUP, str(where))

    def access(self, path: str, _: int) -> bool:
        self.world.wait(f"access {path}")
        return self.exists(path)

    def listdir(self, path: str) -> list[str]:
        self._call("listdir", path)
        return list(self._at(path).names)

    def scandir(self, path: str) -> Scan:
        self._call("scandir", path)
        return Scan(self, path, self._at(path))

    def statvfs(self, path: str) -> SimpleNamespace:
        self._call("statvfs", path)
        return SimpleNamespace(
            f_bavail=10**9, f_blocks=10**9, f_frsize=4096, f_favail=10**9, f_files=10**9
        )

    # --- changing names -------------------------------------------------------------------------

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        self._call("mkdir", path)
        self._make(path, stat.S_IFDIR | mode)

    def makedirs(self, path: str, mode: int = 0o777, exist_ok: bool = False) -> None:
        self._call("makedirs", path)
        parts = path.strip("/").split("/")
        for end in range(1, len(parts) + 1):
            if not self.exists(place := "/" + "/".join(parts[:end])):
                self._make(place, stat.S_IFDIR | mode)

    def mkfifo(self, path: str, mode: int) -> None:
        self._call("mkfifo", path)
        self._make(path, stat.S_IFIFO | mode)

    def _make(self, path: str, mode: int) -> Inode:
        directory, name = self._parent(path)
        if self.exists(path):
            raise error(errno.EEXIST, path)
        number = self.disk.tree.new_number()
        self._do(Make(number, mode, self.process.uid, 0))
        self._do(Rename((Change(directory, name, None, number),)))
        return self.disk.tree.inodes[number]

    def link(self, source: str, target: str) -> None:
        self._call("link", target)
        inode = self._at(source).number
        directory, name = self._parent(target)
        if self.exists(target):
            raise error(errno.EEXIST, target)
        self._do(Rename((Change(directory, name, None, inode),)))

    def unlink(self, path: str) -> None:
        self._call("unlink", path)
        inode = self._at(path)
        if stat.S_ISDIR(inode.mode):
            raise error(errno.EISDIR, path)
        directory, name = self._parent(path)
        self._do(Rename((Change(directory, name, inode.number, None),)))

    def rename(self, source: str, target: str) -> None:
        self._call("rename", source)
        inode = self._at(source).number
        old_place, new_place = self._parent(source), self._parent(target)
        replaced = self.disk.tree.find(target)
        self._do(Rename((Change(*new_place, replaced, inode), Change(*old_place, inode, None))))

    replace = rename

    # --- files ----------------------------------------------------------------------------------

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        self._call("open", path)
        if self.exists(path):
            if flags & os.O_EXCL:
                raise error(errno.EEXIST, path)
            inode = self._at(path)
            if not inode.mode & 0o777 and self.process.uid not in (0, inode.uid):
                raise error(errno.EACCES, path)
        elif flags & os.O_CREAT:
            inode = self._make(path, stat.S_IFREG | mode)
        else:
            raise error(errno.ENOENT, path)
        if flags & os.O_DIRECTORY and self.process.uid >= 1000:
            raise error(errno.EACCES, path)
        pipe = None
        if stat.S_ISFIFO(inode.mode):
            pipe = self._pipes.setdefault(inode.number, Pipe())
            if flags & os.O_ACCMODE == os.O_WRONLY and not pipe.readers:
                raise error(errno.ENXIO, path)
        if flags & os.O_TRUNC:
            self._do(Truncate(inode.number, 0))
        return self._opened(Opened(self.process, inode.number, flags, pipe))

    def pipe2(self, _: int) -> tuple[int, int]:
        pipe = Pipe()
        ends = (os.O_RDONLY, os.O_WRONLY)
        reader, writer = (self._opened(Opened(self.process, 0, end, pipe)) for end in ends)
        return reader, writer

    def _opened(self, file: Opened) -> int:
        self._next_fd += 1
        self._files[self._next_fd] = file
        if file.pipe is not None:
            file.pipe.readers += file.reads
            file.pipe.writers += file.writes
        return self._next_fd

    def close(self, fd: int) -> None:
        self.world.wait("close")
        self._file(fd)
        self._close(fd)

    def _close(self, fd: int) -> None:
        file = self._files.pop(fd)
        self._locks = {inode: holder for inode, holder in self._locks.items() if holder != fd}
        if file.pipe is not None:
            file.pipe.readers -= file.reads
            file.pipe.writers -= file.writes
            if not file.pipe.readers and not file.pipe.writers:
                file.pipe.data.clear()

    def _file(self, fd: int) -> Opened:
        if fd not in self._files:
            raise error(errno.EBADF)
        return self._files[fd]

    def read(self, fd: int, size: int) -> bytes:
        file = self._file(fd)
        if file.pipe is not None:
            self.world.wait("read pipe")
            if not file.pipe.data and file.pipe.writers:
                raise error(errno.EAGAIN)
            data = bytes(file.pipe.data[:size])
            del file.pipe.data[:size]
            return data
        self._call("read")
        data = bytes(self.disk.tree.inodes[file.inode].data[file.offset : file.offset + size])
        file.offset += len(data)
        return data

    def write(self, fd: int, data: bytes | memoryview) -> int:
        file = self._file(fd)
        if file.pipe is not None:
            self.world.wait("write pipe")
            if not file.pipe.readers:
                raise error(errno.EPIPE)
            if len(file.pipe.data) + len(data) > PIPE_BYTES:
                raise error(errno.EAGAIN)
            file.pipe.data += data
            return len(data)
        self._call("write")
        if self.process.faulty and self.errors and self.world.choice.random() < 0.1:
            data = data[: (len(data) + 1) // 2]
        self._do(Write(file.inode, file.offset, bytes(data)))
        file.offset += len(data)
        return len(data)

    def fsync(self, fd: int) -> None:
        self._call("fsync")
        self._do(Sync(self._file(fd).inode))

    def ftruncate(self, fd: int, size: int) -> None:
        self._call("ftruncate")
        self._do(Truncate(self._file(fd).inode, size))

    def fstat(self, fd: int) -> SimpleNamespace:
        self.world.wait("fstat")
        return status(self.disk.tree.inodes[self._file(fd).inode])

    def fchmod(self, fd: int, mode: int) -> None:
        self._call("fchmod")
        self._set_mode(self.disk.tree.inodes[self._file(fd).inode], mode)

    def chmod(self, path: str, mode: int) -> None:
        self._call("chmod", path)
        self._set_mode(self._at(path), mode)

    def _set_mode(self, inode: Inode, mode: int) -> None:
        mode |= stat.S_IFMT(inode.mode)
        self._do(Attributes(inode.number, mode, inode.uid, inode.gid))

    def utime(self, fd: int) -> None:
        self._call("utime")
        inode = self.disk.tree.inodes[self._file(fd).inode]
        self._set_mode(inode, inode.mode)

    def chown(self, *_: object) -> None:
        self.world.wait("chown")

    # --- the process ----------------------------------------------------------------------------

    def getpid(self) -> int:
        return 1 + crc32(self.process.name.encode()) % 30_000

    def geteuid(self) -> int:
        return self.process.uid

    def getegid(self) -> int:
        return 0

    def sysconf(self, _: str) -> int:
        return 1024

    def urandom(self, size: int) -> bytes:
        return self.world.choice.randbytes(size)

    # --- fcntl, select --------------------------------------------------------------------------

    def flock(self, fd: int, _: int) -> None:
        self.world.wait("flock")
        if self._locks.setdefault(self._file(fd).inode, fd) != fd:
            raise error(errno.EAGAIN)

    def fcntl(self, _: int, __: int, size: int) -> int:
        return size

    def has_room(self, fd: int) -> bool:
        pipe = self._file(fd).pipe
        return pipe is not None and len(pipe.data) <= PIPE_BYTES - select.PIPE_BUF

    def is_readable(self, fd: int) -> bool:
        file = self._files.get(fd)
        return file is not None and file.pipe is not None and bool(file.pipe.data)

    # --- open() ---------------------------------------------------------------------------------

    def open_file(
        self, file: str | int, mode: str = "r", encoding: str | None = None, **_: object
    ) -> Any:
        """The built-in `open`, as far as it is used."""
        fd = file if isinstance(file, int) else self.open(file, os.O_RDONLY)
        raw = Raw(self, fd)
        buffer: Any = io.BufferedWriter(raw) if "w" in mode else io.BufferedReader(raw)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding)
