"""The states of events, counted by names."""

from pathlib import Path

from pdagent.queue.states import Count, counts
from tests.unit.queue.entries import put


def test_counts(root: Path) -> None:
    """By key and state, keys sorted; what is no event does not count."""
    for place, name in [
        ("pdq", "1_B.txt"), ("pdq", "2_B.txt"), ("suc", "1_A.txt"), ("err", "1_B.txt"),
        ("pdq", "junk"), ("err", "x_B.txt"), ("tmp", "1_C.txt"),
    ]:  # fmt: skip
        put(root, name, place=place)
    assert list(counts(str(root)).items()) == [("A", Count(0, 1, 0)), ("B", Count(2, 0, 1))]
