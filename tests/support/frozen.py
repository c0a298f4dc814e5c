"""The frozen program, for tests that are about it: `make freeze` builds it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "build" / "freeze" / "pdagent"

needs_program = pytest.mark.skipif(
    not PROGRAM.exists(), reason="build/freeze/pdagent is not there: run 'make freeze'"
)


def one_file() -> bool:
    """Whether it was built on our own runtime; the stock one is a directory."""
    return PROGRAM.exists() and not (PROGRAM.parent / "_internal").exists()


needs_one_file = pytest.mark.skipif(
    not one_file(), reason="build/freeze/pdagent is not the one-file program: run 'make freeze'"
)
