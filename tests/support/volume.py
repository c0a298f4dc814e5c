"""Small file systems that can be filled up, and emptied again."""

import contextlib
import itertools
import os
import subprocess
from pathlib import Path

from tests.support.mounts import mount, needs

KINDS = ("tmpfs", "ext4")


class Volume:
    """A file system of a kind, mounted at `place` in this mount namespace. `file` may hold it."""

    def __init__(self, kind: str, file: Path, place: Path) -> None:
        self._place = place
        self._ballast = place / "ballast"
        self._numbers = itertools.count()
        # -n: mount(8)'s own list of mounts knows no namespaces
        if kind == "tmpfs":
            mount("-n", "-t", kind, "-o", "size=256k,nr_inodes=100", kind, place)
        else:
            needs(f"mkfs.{kind}")
            subprocess.run(["truncate", "-s", "4M", file], check=True)
            make = [f"mkfs.{kind}", "-q", "-N", "128", "-O", "^has_journal"]
            subprocess.run([*make, file], check=True)
            mount("-n", "-t", kind, "-o", "loop,errors=remount-ro", file, place)

    def fill(self, what: str) -> None:
        """Leaves no "bytes", or no "inodes". Once more fills what has come free since."""
        self._ballast.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            if what == "inodes":
                for number in self._numbers:
                    (self._ballast / f"{number}").touch(exist_ok=False)
            with (self._ballast / "bytes").open("ab", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass

    def empty(self) -> None:
        """Takes out what `fill` has put in."""
        for path in self._ballast.iterdir():
            os.unlink(path)

    def fail(self) -> None:
        """Has an ext4 find an error on its disk, which makes it read-only."""
        device = os.stat(self._place).st_dev
        block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
        Path(f"/sys/fs/ext4/{block.name}/trigger_fs_error").write_text("for a test")
