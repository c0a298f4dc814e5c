"""Findings, and the worst of them."""

import pytest

from pdagent.check.finding import Level, days, failed, few, ok, unknown, warning, worst


def test_worst() -> None:
    """The worst finding decides; what nobody could look at does not."""
    fine, hidden = ok("a", ""), unknown("b", "")
    warned, bad = warning("c", "", "x"), failed("d", "", "x")
    assert worst([]) is Level.OK
    assert worst([fine, hidden]) is Level.OK
    assert worst([warned, hidden, fine]) is Level.WARNING
    assert worst([bad, warned, fine]) is Level.FAILED


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (90, "90 s"),
        (600, "10 min"),
        (18_000, "5 h"),
        (3e5, "3 days"),
        (1e8, "3 years"),
    ],
)
def test_days(seconds: float, text: str) -> None:
    """Spans of time in the unit that people would use."""
    assert days(seconds) == text


def test_many_with_one_remedy() -> None:
    """Of twelve lines that one command ends, two are shown, and the rest is counted."""
    found = few([failed("queue", f"{number}", "repair") for number in range(12)])
    assert [each.text for each in found] == ["0", "1", "and 10 more of these"]
    assert {each.remedy for each in found} == {"repair"}
    assert len(few([failed("queue", f"{number}", f"{number}") for number in range(12)])) == 12
