"""The reference in docs/ says what the program says."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["commands.md", "configuration.md"])
def test_reference_is_current(tmp_path: Path, page: str) -> None:
    """What `make reference` writes is what docs/ holds."""
    script = REPOSITORY / "ci/reference.py"
    environment = {"PYTHONPATH": str(REPOSITORY / "agent")}
    subprocess.run([sys.executable, script, tmp_path], check=True, env=environment)
    assert (REPOSITORY / "docs" / page).read_text() == (tmp_path / page).read_text()
