"""What other users of the host do: they drop files, change them, and write to the wake-up FIFO."""

import contextlib
import json
import os
from typing import TYPE_CHECKING

from pdagent.spool import PENDING, wake_fifo
from tests.simulation.model import STRANGER
from tests.simulation.places import ROOT
from tests.simulation.world import Process

if TYPE_CHECKING:
    from tests.simulation.day import Day


class Strangers:
    def __init__(self, day: "Day") -> None:
        self._day = day
        self._world = day.world
        self._choice = day.choice
        self._kernel = day.kernel

    def meddle(self) -> None:
        stranger = Process("stranger", 1003)
        stamp = 1_700_001_000_000_000 + self._choice.randrange(10**9)
        name = f"{ROOT}/{PENDING}/{stamp}_{STRANGER}.txt"
        body = json.dumps({"routing_key": STRANGER, "event_action": "trigger"}).encode()
        noise = self._choice.choice([b"\n", b"..\n\n/\n", b"x" * 4000, *self._some_names()])
        end = self._choice.choice([b"", body[9:]])
        times = 1 if self._day.steps else self._choice.choice([1, 20])
        deeds = [
            lambda: self._kernel.mkdir(name),
            lambda: self._drop(name, body[:9], end),
            lambda: self._drop_and_change(name, body),
            lambda: self._shout(noise, times),
        ]
        self._day.begin(stranger, self._choice.choice(deeds))

    def _drop_and_change(self, path: str, body: bytes) -> None:
        """A file of one's own may be changed while the daemon is about it."""
        self._drop(path, body)
        with contextlib.suppress(OSError):  # it is settled
            match self._choice.choice(["locked", "linked", "gone", "a directory"]):
                case "locked":
                    self._kernel.chmod(path, 0)
                    self._world.sleep(self._choice.choice([0.3, 20.0]))
                    self._kernel.chmod(path, 0o644)
                case "linked":
                    self._kernel.link(path, path.replace("_", "0_"))
                case "gone":
                    self._kernel.unlink(path)
                case "a directory":
                    self._kernel.unlink(path)
                    self._kernel.mkdir(path)

    def _some_names(self) -> list[bytes]:
        names = self._kernel.listdir(f"{ROOT}/{PENDING}")
        return [name.encode() + b"\n" for name in names[:3]]

    def _drop(self, path: str, *parts: bytes) -> None:
        fd = self._kernel.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        for part in parts:
            self._kernel.write(fd, part)
            self._world.sleep(self._choice.choice([0.0, 0.3, 3.0]))
        self._kernel.close(fd)

    def _shout(self, noise: bytes, times: int) -> None:
        with contextlib.suppress(OSError):
            fd = self._kernel.open(wake_fifo(ROOT), os.O_WRONLY | os.O_NONBLOCK)
            try:
                for _ in range(times):
                    self._kernel.write(fd, noise)
            finally:
                self._kernel.close(fd)
