"""An arm64 Debian: a root file system of its own for each module."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.frozen import ROOT


@dataclass
class Debian:
    """A root file system, and the emulator that runs its programs."""

    root: Path
    emulator: Path

    def packages(self, directory: Path) -> None:
        """Puts the packages of a directory into /packages."""
        place = self.root / "packages"
        place.mkdir(exist_ok=True)
        for old in place.iterdir():
            old.unlink()
        for package in (*directory.glob("*_arm64.deb"), *directory.glob("pdagent-i*.deb")):
            (place / package.name).write_bytes(package.read_bytes())


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debian]:
    made = subprocess.run(
        [ROOT / "ci/arm64-root.sh"], check=True, stdout=subprocess.PIPE, text=True
    )
    emulator, archive = made.stdout.split()
    root = tmp_path_factory.mktemp("arm64") / "root"
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", archive], check=True)
    yield Debian(root, Path(emulator))
    subprocess.run(["rm", "-rf", root], check=True)
