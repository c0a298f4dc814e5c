"""Power cuts: a disk that forgets what was not synced, and real file systems cut off at work."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.power.disk import Disk, Tree


class Station:
    """Runs a disk below `mountpoint`, in this process's mount namespace, until it is switched
    off."""

    def __init__(self, mountpoint: Path, file: Path) -> None:
        self.mountpoint = mountpoint
        self._file = file
        self._server: subprocess.Popen[bytes] | None = None

    def on(self, tree: Tree | None = None) -> None:
        """Mounts a disk with this tree, or an empty one."""
        self._file.unlink(missing_ok=True)
        if tree is not None:
            self._file.write_bytes(pickle.dumps(tree))
        before = os.stat(self.mountpoint).st_dev
        server = [sys.executable, "-m", "tests.support.power.mount"]
        self._server = subprocess.Popen([*server, str(self.mountpoint), str(self._file)])
        wait_until(lambda: self._failed() or os.stat(self.mountpoint).st_dev != before)

    def _failed(self) -> bool:
        if self._server is None or self._server.poll() is None:
            return False
        pytest.skip("a FUSE file system can't be mounted here")

    def off(self) -> Disk:
        """The disk, with all that happened to it. Nothing may run on it any more."""
        assert self._server is not None
        subprocess.run(["umount", self.mountpoint], check=True)
        self._server.wait()
        self._server = None
        disk = pickle.loads(self._file.read_bytes())
        assert isinstance(disk, Disk)
        return disk

    def close(self) -> None:
        """Whatever state it is in."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            subprocess.run(["umount", "-l", self.mountpoint], check=False)


def kill(agent: Agent) -> None:
    """What a power cut does to processes."""
    if agent.daemon is not None:
        agent.end(signal.SIGKILL)
