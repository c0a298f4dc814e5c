"""Real file systems on a file: what is in it at a moment is what a power cut then would leave.

The kernel's caches, which a power cut empties, lie above the loop device; what a file system has
not written yet is not in the file.
"""

import os
import re
import subprocess
from pathlib import Path

from tests.support.mounts import mount, needs

# the least that each of them takes
SIZES = {"ext4": "16M", "xfs": "300M", "btrfs": "110M"}


class Image:
    """A file system of a kind on `file`, mounted at `place` in this mount namespace."""

    def __init__(self, kind: str, file: Path, place: Path) -> None:
        needs(f"mkfs.{kind}")
        self._kind = kind
        self._file = file
        self._place = place
        subprocess.run(["truncate", "-s", SIZES[kind], file], check=True)
        subprocess.run([f"mkfs.{kind}", "-q", file], check=True, stdout=subprocess.DEVNULL)
        self._mount()

    def cut(self) -> None:
        """Cuts the power, and mounts what is found, which replays the journal. Nothing may run on
        it any more."""
        copy = self._file.with_suffix(".copy")
        while True:
            before = self._written()
            subprocess.run(["cp", "--sparse=always", self._file, copy], check=True)
            if self._written() == before:  # else it is not of one moment, but of several
                break
        subprocess.run(["umount", self._place], check=True)
        os.replace(copy, self._file)
        if self._kind == "btrfs":  # it would take the copy for an older half of the original
            subprocess.run(["btrfs", "device", "scan", "--forget"], check=True)
        self._mount()

    def _mount(self) -> None:
        # -n: mount(8)'s own list of mounts knows no namespaces
        mount("-n", "-t", self._kind, "-o", "loop", self._file, self._place)

    def _written(self) -> str:
        """What the kernel has counted of writes to the file, when none is on its way."""
        while True:
            counted = (self._device() / "stat").read_text().split()
            if counted[8] == "0":
                return " ".join(counted[4:7])

    def _device(self) -> Path:
        listed = subprocess.run(["losetup", "-j", self._file], capture_output=True, text=True)
        found = re.match(r"/dev/(loop\d+):", listed.stdout)
        assert found, listed
        return Path("/sys/block") / found[1]
