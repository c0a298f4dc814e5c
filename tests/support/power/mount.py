"""A `Disk`, mounted: FUSE's view of it, in a process of its own.

usage: python -m tests.support.power.mount MOUNTPOINT FILE
Mounts a disk with the tree that is pickled in FILE, or an empty one. Once it is unmounted, the disk
is there, with all that happened to it.
"""

import errno
import os
import pickle
import stat
import sys
from pathlib import Path
from typing import Any

import mfusepy

from tests.support.power.disk import (
    Attributes,
    Change,
    Disk,
    Inode,
    Make,
    Rename,
    Sync,
    Truncate,
    Write,
)

BLOCK = 4096
BLOCKS = 1 << 20


class Mounted(mfusepy.Operations):  # type: ignore[misc]
    """The kernel checks permissions, and that names are there or not; the rest is here. A file
    handle is an inode's number."""

    use_ns = True

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    # --- looking --------------------------------------------------------------------------------

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        node = self._node(path, fh)
        times = dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), node.changed)
        return times | {
            "st_ino": node.number,
            "st_mode": node.mode,
            "st_nlink": node.links,
            "st_uid": node.uid,
            "st_gid": node.gid,
            "st_size": len(node.data),
            "st_blocks": -(-len(node.data) // 512),
        }

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        found = [(name, self.disk.tree.inodes[n]) for name, n in self._node(path).names.items()]
        found += [(".", self._node(path)), ("..", self._node(os.path.dirname(path)))]
        return [(name, {"st_ino": n.number, "st_mode": n.mode}, 0) for name, n in found]

    def readlink(self, path: str) -> str:
        return os.fsdecode(bytes(self._node(path).data))

    def open(self, path: str, flags: int) -> int:
        return self._node(path).number

    def opendir(self, path: str) -> int:
        return self._node(path).number

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._node(path, fh).data[offset : offset + size])

    def statfs(self, path: str) -> dict[str, int]:
        sizes = {"f_bsize": BLOCK, "f_frsize": BLOCK, "f_namemax": 255}
        blocks = dict.fromkeys(("f_blocks", "f_bfree", "f_bavail"), BLOCKS)
        return sizes | blocks | dict.fromkeys(("f_files", "f_ffree", "f_favail"), BLOCKS)

    # --- changing -------------------------------------------------------------------------------

    def create(self, path: str, mode: int) -> int:
        return self._make(path, mode)

    def mknod(self, path: str, mode: int, dev: int) -> int:
        self._make(path, mode)
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        self._make(path, stat.S_IFDIR | mode)
        return 0

    def symlink(self, target: str, source: str) -> int:
        inode = self._make(target, stat.S_IFLNK | 0o777)
        self.disk.do(Write(inode, 0, os.fsencode(source)))
        return 0

    def link(self, target: str, source: str) -> int:
        self._change((target, self._node(source).number))
        return 0

    def unlink(self, path: str) -> int:
        self._change((path, None))
        return 0

    def rmdir(self, path: str) -> int:
        if self._node(path).names:
            raise OSError(errno.ENOTEMPTY, path)
        self._change((path, None))
        return 0

    def rename(self, old: str, new: str) -> int:
        self._change((old, None), (new, self._node(old).number))
        return 0

    def chmod(self, path: str, mode: int) -> int:
        node = self._node(path)
        self.disk.do(Attributes(node.number, mode, node.uid, node.gid))
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        node = self._node(path)
        keep = 0xFFFF_FFFF
        owner = node.uid if uid in (-1, keep) else uid, node.gid if gid in (-1, keep) else gid
        self.disk.do(Attributes(node.number, node.mode, *owner))
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        return 0  # nobody here asks

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        self.disk.do(Truncate(self._node(path, fh).number, length))
        return 0

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self.disk.do(Write(fh, offset, bytes(data)))
        return len(data)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self.disk.do(Sync(fh))
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        self.disk.do(Sync(fh))
        return 0

    # --- between --------------------------------------------------------------------------------

    def _node(self, path: str | None, fh: int | None = None) -> Inode:
        inode = fh or self.disk.tree.find(path or "/")
        if inode is None:
            raise OSError(errno.ENOENT, path)
        return self.disk.tree.inodes[inode]

    def _make(self, path: str, mode: int) -> int:
        uid, gid, _ = mfusepy.fuse_get_context()
        parent = self._node(os.path.dirname(path))
        if parent.mode & stat.S_ISGID:
            gid = parent.gid
            mode |= stat.S_ISGID if stat.S_ISDIR(mode) else 0
        inode = self.disk.tree.new_number()
        self.disk.do(Make(inode, mode, uid, gid))
        self._change((path, inode))
        return inode

    def _change(self, *changes: tuple[str, int | None]) -> None:
        found = []
        for path, new in changes:
            directory, name = os.path.split(path)
            old = self.disk.tree.find(path)
            found.append(Change(self._node(directory).number, name, old, new))
        self.disk.do(Rename(tuple(found)))


def main(mountpoint: str, file: str) -> None:
    kept = Path(file)
    disk = Disk(pickle.loads(kept.read_bytes())) if kept.exists() else Disk()
    # Nothing is cached in the kernel: it takes two names of a file for two files.
    mfusepy.FUSE(
        Mounted(disk),
        mountpoint,
        foreground=True,
        nothreads=True,
        allow_other=True,
        default_permissions=True,
        use_ino=True,
        hard_remove=True,
        direct_io=True,
        attr_timeout=0,
        entry_timeout=0,
        negative_timeout=0,
    )
    kept.write_bytes(pickle.dumps(disk))


if __name__ == "__main__":
    main(*sys.argv[1:])
