"""Each family's own checker has nothing to say that we have not answered."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.package.packages import ROOT
from tests.support.repository import Repo


@pytest.fixture(scope="session")
def packages(dist: Path, repo: Repo) -> list[Path]:
    """All that a publication has: those of `make packages`, and the keyring's."""
    keyring = (repo.top / "pdagent").rglob("pdagent-archive-keyring*")
    return [*dist.iterdir(), *(path for path in keyring if path.is_file())]


def of(packages: list[Path], family: str) -> list[Path]:
    found = [path for path in packages if path.suffix == f".{family}"]
    # two architectures, two packages of neither, and the keyring
    assert len(found) == 5
    return found


@pytest.mark.skipif(not shutil.which("lintian"), reason="lintian is not installed")
def test_lintian(packages: list[Path]) -> None:
    """lintian has nothing to say of a deb."""
    command: list[str | Path] = ["lintian", "--no-cfg", "--allow-root"]
    command += ["--fail-on", "error,warning", *of(packages, "deb")]
    seen = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert (seen.returncode, seen.stdout) == (0, "")


@pytest.mark.skipif(not shutil.which("rpmlint"), reason="rpmlint is not installed")
def test_rpmlint(packages: list[Path]) -> None:
    """rpmlint has nothing to say of an rpm."""
    command: list[str | Path] = ["rpmlint", "--config", ROOT / "packaging/rpmlint.toml"]
    command += of(packages, "rpm")
    seen = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "5 packages and 0 specfiles checked; 0 errors, 0 warnings" in seen.stdout, seen.stdout
