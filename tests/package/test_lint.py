"""Each family's own checker has nothing to say that we have not answered."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.package.packages import ROOT


@pytest.mark.skipif(not shutil.which("lintian"), reason="lintian is not installed")
def test_lintian(dist: Path) -> None:
    command: list[str | Path] = [
        "lintian",
        "--no-cfg",
        "--allow-root",
        "--fail-on",
        "error,warning",
        *dist.glob("*.deb"),
    ]
    seen = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert (seen.returncode, seen.stdout) == (0, "")


@pytest.mark.skipif(not shutil.which("rpmlint"), reason="rpmlint is not installed")
def test_rpmlint(dist: Path) -> None:
    command: list[str | Path] = [
        "rpmlint",
        "--config",
        ROOT / "packaging/rpmlint.toml",
        *dist.glob("*.rpm"),
    ]
    seen = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "3 packages and 0 specfiles checked; 0 errors, 0 warnings" in seen.stdout, seen.stdout
