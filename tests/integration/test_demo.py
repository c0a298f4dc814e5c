"""What a newcomer types first."""

import pytest

from tests.support import demo


def test_demo_holds(capsys: pytest.CaptureFixture[str]) -> None:
    """`make demo` shows an incident's whole life, and an outage that loses nothing."""
    assert demo.main() == 0
    shown = capsys.readouterr().out
    for word in ("is open", "is acknowledged", "is resolved", "cannot be reached", "is back"):
        assert word in shown
