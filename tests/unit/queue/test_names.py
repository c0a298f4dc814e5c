"""What a file's name says, whoever gave it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent.queue.names import key_of, order, stamp
from pdagent.spool import file_name


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("1795402356123456_KEY1.txt", "KEY1"),
        ("5_K.txt", "K"),
        ("1795402356123456_a_b c.txt", "a_b c"),
        ("1795402356123456_.txt", ""),
        ("1795402356123456_x.txt.txt", "x.txt"),
        ("1795402356123456_\udcff.txt", "\udcff"),
        ("nonsense", None),
        ("abc_KEY.txt", None),
        ("123.txt", None),
        ("_KEY.txt", None),
        (".hidden", None),
        ("123_KEY.txt~", None),
        ("123_KEY.TXT", None),
        (" 123_KEY.txt", None),
        ("-1_KEY.txt", None),
        ("\u0661_KEY.txt", None),
        ("9" * 21 + "_KEY.txt", None),
        ("1_a/b.txt", None),
        ("1_../../x.txt", None),
        ("1_a\0b.txt", None),
        ("", None),
    ],
)
def test_key_of(name: str, key: str | None) -> None:
    """The key is all between the first underscore and .txt; what can't be a file has none."""
    assert key_of(name) == key


@given(st.text(alphabet=st.characters(exclude_characters="/\0")), st.integers(0, 10**16))
def test_every_name_that_we_make_gives_its_key_back(key: str, microseconds: int) -> None:
    """Underscores, dots, newlines: nothing in a key confuses its name."""
    assert key_of(file_name(microseconds, key)) == key


def test_order_is_by_number() -> None:
    """A clock in 1970 writes fewer digits, a script any number of them."""
    names = ["5_B.txt", "0000000000000006_A.txt", "20_A.txt", "20_B.txt"]
    mixed = [names[number] for number in (2, 0, 3, 1)]
    assert sorted(mixed, key=order) == names
    assert [stamp(name) for name in names] == [5, 6, 20, 20]
