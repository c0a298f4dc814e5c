"""The manual pages, as they are made from the parsers, the settings and the pages of docs/."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import REPOSITORY


@pytest.fixture(scope="module")
def manuals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("manuals")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY / "agent")}
    script = REPOSITORY / "ci/documents.py"
    subprocess.run([sys.executable, script, place], check=True, env=environment)
    return place / "man"


def section(page: Path, title: str) -> str:
    """One section of a page, without the signs of roff."""
    text = gzip.decompress(page.read_bytes()).decode().replace("\\-", "-")
    return text.partition(f".SH {title}\n")[2].partition("\n.SH ")[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pd-send.1", "127 where there is no such command"),
        ("pdagent.1", "0 for OK, 1 for WARNING, 2 for CRITICAL"),
    ],
)
def test_exit_codes_of_their_own(manuals: Path, name: str, said: str) -> None:
    """Those of `pd-send run` and of `check --nagios`, which are not in the table."""
    assert said in section(manuals / f"{name}.gz", "EXIT STATUS")


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("pd-send.1", "PD_SERVICE_KEY"),
        ("pd-queue.1", "NO_COLOR"),
        ("pdagent.1", "PD_SERVICE_KEY"),
    ],
)
def test_environment(manuals: Path, name: str, variable: str) -> None:
    """What a command takes from its environment, `pdagent check --send-test` too."""
    assert f".B {variable}\n" in section(manuals / f"{name}.gz", "ENVIRONMENT")


def test_mistakes_in_the_configuration(manuals: Path) -> None:
    """What one does, the two exceptions included."""
    said = section(manuals / "pdagent.conf.5.gz", "DESCRIPTION")
    assert "its default is used" in said
    assert "hide data_dir" in said
