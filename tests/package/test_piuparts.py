"""piuparts, Debian's own trial: installed, removed and purged, the packages leave nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.package.packages import ROOT


@pytest.mark.skipif(not shutil.which("piuparts"), reason="piuparts is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change into another root")
def test_piuparts(dist: Path, tmp_path: Path) -> None:
    """In the root file system of a test host, which has no repository and needs none."""
    made = subprocess.run(
        [ROOT / "ci/hosts/rootfs.sh", "deb-bookworm"], check=True, stdout=subprocess.PIPE, text=True
    )
    host = tmp_path / "host"
    host.mkdir()
    subprocess.run(["tar", "-C", host, "-xf", made.stdout.strip()], check=True)
    command: list[str | Path] = [
        "piuparts",
        *("--existing-chroot", host, "--tmpdir", tmp_path),
        *("--keep-sources-list", "--skip-minimize", "--no-eatmydata"),
        *("--log-level", "error"),
        *dist.glob("*_amd64.deb"),
        *dist.glob("pdagent-integrations_*.deb"),  # pdagent-selinux is for hosts with SELinux
    ]
    seen = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    shutil.rmtree(host)
    assert seen.returncode == 0, seen.stdout[-5000:]
