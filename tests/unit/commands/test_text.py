"""What is shown to a person is what it is, and never a command to the terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent.commands.text import cut, padded, parse_span, span, width
from pdagent.shown import escaped

ANYTHING = st.text(alphabet=st.characters(exclude_categories=()))


@given(ANYTHING.map(escaped), st.integers(0, 20))
def test_padded_is_as_wide_as_asked(text: str, columns: int) -> None:
    """Letters that take two columns, or none, included."""
    assert width(padded(text, columns)) == columns
    assert width(cut(text, columns)) <= columns


def test_cut_leaves_a_mark() -> None:
    """What fits is left alone; half a wide letter does not fit; an accent of its own takes no
    column."""
    assert cut("four", 4) == "four"
    assert cut("fours", 4) == "fou~"
    assert cut("日本語", 4) == "日~"
    assert cut("e\u0301" * 9, 4) == "e\u0301" * 3 + "~"
    assert cut("four", 0) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0s"), (0.9, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"),
     (172_799, "47h"), (172_800, "2d"), (10_000_000, "115d")],
)  # fmt: skip
def test_span(seconds: float, text: str) -> None:
    """Four columns, the coarser the longer."""
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86_400)]
)
def test_parse_span(text: str, seconds: float) -> None:
    """A number and a unit; seconds without one."""
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5m", "5 m", "5y", "1e3", "inf", "\u0661s"])
def test_parse_span_of_anything_else(text: str) -> None:
    """It says what is wanted."""
    with pytest.raises(ValueError, match="must be a number and s, m, h, d or w"):
        parse_span(text)
