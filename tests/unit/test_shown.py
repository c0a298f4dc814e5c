"""Whatever came from outside is one safe line, and no integration key shows."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pdagent
from pdagent.shown import escaped, masked, masked_name, printable, redacted

SOURCES = sorted(Path(pdagent.__file__).parent.rglob("*.py"))
ANYTHING = st.text(alphabet=st.characters(exclude_categories=()))
KEY = "c7a4f1e2b9d84c6fa0b1c2d3e4f50617"


# keys


@pytest.mark.parametrize(
    ("key", "shown"),
    [(KEY, "*0617"), ("KEY1", "*"), ("12345678", "*"), ("123456789", "*6789"), ("", "*")],
)
def test_a_key_shows_its_last_four(key: str, shown: str) -> None:
    """And a short one nothing."""
    assert masked(key) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (f"1795402356123456_{KEY}.txt", "1795402356123456_*0617"),
        ("1795402356123456_KEY1.txt", "1795402356123456_*"),
        (f"1795402356123456_a_{KEY}.txt", "1795402356123456_*0617"),
        (KEY, "*0617"),
        (f"{KEY}.txt", "*0617"),
        (f"{KEY}_x.txt", "*0617"),
        ("nonsense", "nonsense"),
        ("a\nb", "a?b"),
        ("\udcff.txt", "?"),
        ("-" * 255, "-" * 40),
        ("x" * 255, "*xxxx"),
    ],
)
def test_a_name_shows_when_and_not_whose(name: str, shown: str) -> None:
    """One short line, whatever a vandal called his file."""
    assert masked_name(name) == shown


@given(st.text(min_size=9, max_size=128), st.text(), st.text())
def test_a_key_never_gets_through_in_somebody_elses_words(
    key: str, before: str, after: str
) -> None:
    """PagerDuty's answers may quote it."""
    text = redacted(f"{before}{key}{after}", key)
    assert len(text) < len(before + key + after)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the latest contest, tested", "the latest contest, tested"),
        ("test (test) k=test _test_ 'test'", "* (*) k=* _*_ '*'"),
    ],
)
def test_a_short_key_is_masked_where_it_stands_alone(text: str, shown: str) -> None:
    """It is no key of PagerDuty's, and hides no part of other words."""
    assert redacted(text, "test") == shown
    assert redacted("axb a.b", "a.b") == "axb *"
    assert redacted("in error @db", "@db") == "in error @db"


def test_no_key_nothing_to_hide() -> None:
    """The old agent accepted an empty key."""
    assert redacted("words", "") == "words"


@given(st.text())
def test_printable_is_one_line_that_any_encoding_has(text: str) -> None:
    """No line breaks, no terminal's escapes, no lone surrogates: a log can't be forged."""
    shown = printable(text)
    assert len(shown) == len(text)
    assert shown.isprintable()
    shown.encode("utf-8")


# terminals


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Straße 日本", "Straße 日本"),
        ("\x1b[31mred", "\\u001b[31mred"),
        ("\x9b31m", "\\u009b31m"),  # CSI in one byte
        ("two\nlines\tand\rmore", "two\\nlines\\tand\\rmore"),
        ("\u202egnp.exe", "\\u202egnp.exe"),  # right to left
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\udb40\\udc41"),  # an invisible tag
    ],
)
def test_escaped(text: str, shown: str) -> None:
    """Letters of all languages stay; what commands, hides or turns around is shown in escapes."""
    assert escaped(text) == shown


@given(ANYTHING)
def test_nothing_gets_through(text: str) -> None:
    """Whatever it is, it is one line of characters that can be printed, and encoded."""
    assert escaped(text).isprintable()
    escaped(text).encode()


# its one home


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_other_module_makes_text_printable(path: Path) -> None:
    """Else one of the places would forget what another one knows."""
    assert path.name == "shown.py" or "isprintable() else" not in path.read_text()
