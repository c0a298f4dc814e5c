"""Whatever happens at whichever moment, what was accepted is kept, sent once, in order, and for
nobody else's sake late."""

import subprocess
import sys

import pytest

from tests.simulation.sabotage import FAULTS

SEEDS = 300
SEEDS_MOST = 2000  # within which each fault is found
# Found by one of the first seeds; `make simulation` has the others too.
QUICK = {
    "an answer is read twice",
    "an event is not synced",
    "settled before the answer",
    "the spool's lock is not taken",
    "threads import at once",
    "unlinked, then linked",
}


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_day_with_everything() -> None:
    """The promises hold in each of so many days; `python -m tests.simulation SEED` shows one."""
    result = simulate(f"1-{SEEDS}")
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_seed_is_one_day() -> None:
    """A seed gives the same day each time, step by step."""
    first, again = (simulate("28").stdout for _ in range(2))
    assert first.count("\n") > 1000
    assert first == again


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault" in metafunc.fixturenames:
        every = metafunc.config.getoption("--long")
        metafunc.parametrize("fault", [fault for fault in FAULTS if every or fault in QUICK])


def test_a_fault_is_found(fault: str) -> None:
    """A simulation that finds no fault that was put in would find none that was not."""
    result = simulate(f"1-{SEEDS_MOST}", fault)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "seed " in result.stdout, result.stderr
