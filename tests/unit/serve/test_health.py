"""Healthy is who accepts events and sends them as soon as it can."""

import os
from pathlib import Path

import pytest

from pdagent.serve.health import Health, spool_problem
from tests.support.faults import mounted
from tests.support.users import ROOT


@pytest.mark.parametrize(
    ("loop", "spool", "reachable", "good"),
    [
        (True, "", True, True),
        (True, "", False, True),
        (False, "", True, False),
        (True, "full", True, False),
    ],
)
def test_health(loop: bool, spool: str, reachable: bool, good: bool) -> None:
    """That PagerDuty is away is no illness of ours."""
    health = Health(loop, spool, reachable, 3, 1.5)
    assert health.good is good
    assert health.document()["status"] == ("ok" if good else "failed")
    assert health.document()["destination"] == ("reachable" if reachable else "unreachable")


def test_spool(root: Path) -> None:
    """A directory that is gone makes it unusable."""
    assert spool_problem(str(root)) == ""
    os.rmdir(root / "suc")
    assert "suc can't be" in spool_problem(str(root))


@pytest.mark.skipif(not ROOT, reason="only root may mount")
def test_full_disk(tmp_path: Path) -> None:
    """It makes the spool unusable."""
    with mounted(tmp_path, "size=64k") as root:
        for name in ("tmp", "pdq", "suc", "err"):
            (root / name).mkdir()
        assert spool_problem(str(root)) == "the disk is full"
