"""Texts and JSON are such as PagerDuty takes them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent import api
from pdagent.encoding import (
    MARK,
    Body,
    dumps,
    room_left,
    shorten,
    shorten_key,
    unless_blank,
    whole_number,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_dumps_says_what_json_reads(value: object) -> None:
    """Our encoder and Python's decoder agree on every value there is."""
    assert json.loads(dumps(value)) == value


@given(JSON)
def test_dumps_writes_what_python_would(value: object) -> None:
    """Byte for byte, except that DEL is escaped."""
    theirs = json.dumps(value, sort_keys=True, separators=(",", ":"))
    assert dumps(value) == theirs.replace("\x7f", "\\u007f")


@given(st.text(st.characters(), max_size=50))
def test_dumps_writes_valid_json_for_any_text(text: str) -> None:
    """Lone surrogates included, which neither UTF-8 nor PagerDuty has a place for."""
    read_back = json.loads(dumps(text))
    read_back.encode("utf-8")
    assert read_back == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") or any(
        "\ud800" <= c <= "\udfff" for c in text
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_dumps_has_words_for_what_json_has_not(value: float) -> None:
    """No NaN and no infinity leaves the house as a bare word."""
    assert json.loads(dumps([value])) == [str(value)]


@given(st.text(min_size=api.DEDUP_KEY_CHARS + 1), st.text(), st.text())
def test_long_dedup_keys_stay_different(stem: str, one: str, two: str) -> None:
    """Two keys that differ only past PagerDuty's limit name two incidents, for good."""
    first, second = shorten_key(stem + one), shorten_key(stem + two)
    assert first is not None
    assert len(first) == api.DEDUP_KEY_CHARS
    assert (first == second) == (one == two)
    assert first == shorten_key(stem + one)


@pytest.mark.parametrize("key", [None, "", "x", "\u00e9" * api.DEDUP_KEY_CHARS])
def test_a_dedup_key_within_the_limit_is_kept(key: str | None) -> None:
    """255 characters are not too many."""
    assert shorten_key(key) == key


def test_a_lone_surrogate_in_a_long_dedup_key_is_no_obstacle() -> None:
    """Bytes that are not UTF-8 do not keep a resolve from its trigger."""
    assert shorten_key("\udcff" * 300) == shorten_key("\udcff" * 300)


@given(st.text(max_size=300), st.text(max_size=300))
def test_keys_that_differ_stay_two(one: str, other: str) -> None:
    """Half a pair of surrogates is a byte that was not UTF-8."""
    short, shorter = shorten_key(one), shorten_key(other)
    assert (short == shorter) == (one == other)
    assert shorten_key(short) == short
    json.loads(dumps(short).encode("ascii"))


@given(st.text(), st.integers(0, 100))
def test_shorten_never_goes_past_the_limit(text: str, limit: int) -> None:
    """Whatever the limit, and never changes what fits."""
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short == text or len(text) > limit


@pytest.mark.parametrize(
    ("text", "limit", "short"),
    [
        ("x" * 20, 20, "x" * 20),
        ("x" * 21, 20, "x" * 5 + MARK),
        ("x" * 21, len(MARK), MARK),
        ("x" * 21, 3, "..."),
        ("x", 0, ""),
    ],
)
def test_what_is_left_of_a_text(text: str, limit: int, short: str) -> None:
    """As much as fits before the mark, or as much of the mark as fits."""
    assert shorten(text, limit) == short


@pytest.mark.parametrize(
    ("key", "short"),
    [
        ("x" * 300, "x" * 222 + "~0ca87c95ae2960615decdb050f1a92bd"),
        ("\udcff", "\ufffd~a68ae8481c8b5822836dbc78741a04aa"),
        ("a\ud800\udfff", "a\ufffd\ufffd~9d014f2bb84ff78da9a075b603890920"),
        ("\ud7ff\ue000", "\ud7ff\ue000"),
    ],
)
def test_a_dedup_key_is_shortened_for_ever_alike(key: str, short: str) -> None:
    """The resolve of another version of the agent has to find the trigger of this one."""
    assert shorten_key(key) == short


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (" ~\x1f\x7f", r'" ~\u001f\u007f"'),
        (
            "WXYZ wxyz 0123 !#$%&'()*+,-./:;<=>?@[]^_`{|}~\n",
            '"WXYZ wxyz 0123 !#$%&\'()*+,-./:;<=>?@[]^_`{|}~\\n"',
        ),
        ('a "b" c', r'"a \"b\" c"'),
        (r"C:\Temp", r'"C:\\Temp"'),
        ('"\\\n\r\t\b\f', r'"\"\\\n\r\t\b\f"'),
        ("\ud7ff\ud800\udfff\ue000", r'"\ud7ff\ufffd\ufffd\ue000"'),
        ("\uffff\U00010000\U0010ffff", r'"\uffff\ud800\udc00\udbff\udfff"'),
        ("\u00e9" * 10_000, '"' + r"\u00e9" * 10_000 + '"'),
    ],
)
def test_how_a_text_is_written(text: str, written: str) -> None:
    """At the bounds of what has to be escaped, and over many pieces."""
    assert dumps(text) == written


def test_other_values_are_written_as_texts() -> None:
    """What no JSON has a form for."""
    assert dumps({"a": (1, 2)}) == '{"a":"(1, 2)"}'


@pytest.mark.parametrize("value", [{"ab": ["c", 1, {"d": "ef", "g": 2}], "hi": ""}, [["a"], 1], ""])
def test_how_much_room_a_value_leaves(value: object) -> None:
    """As much as its JSON leaves, where that has no escapes."""
    chars = len(dumps(value))
    assert room_left(value, chars + 5) == 5
    assert room_left(value, chars) == 0
    assert all(room_left(value, room) < 0 for room in range(chars))


def test_room_is_left_for_what_fits() -> None:
    """What may be longer in JSON counts as little as it may be."""
    value: Body = {"a": None, "b": [], "c": {}, "d": 123, "e": "\u00e9", "f": True}
    assert room_left(value, len(dumps(value))) > 0


@pytest.mark.parametrize("many", [[[]] * 1_000_000, {f"{n}": {} for n in range(100_000)}])
def test_what_can_not_fit_is_not_looked_at_to_its_end(many: list[object] | Body) -> None:
    """A body may be nothing but brackets, millions of them."""
    assert -8 < room_left(many, 100) < 0


@pytest.mark.parametrize("digits", [1, 300, 301, 5000])
def test_a_number_that_is_too_long_is_a_text(digits: int) -> None:
    """Python itself refuses one of more than 4,300 digits."""
    text = "9" * digits
    assert whole_number(text) == (int(text) if digits <= 300 else text)


@pytest.mark.parametrize(("depth", "value"), [(2, [["a"]]), (2, {"a": {"b": 1}}), (0, "a")])
def test_how_deep_a_value_may_be(depth: int, value: object) -> None:
    """Each list and each object is a level; a text is none."""
    assert json.loads(dumps(value, depth)) == value
    for less in range(depth):
        with pytest.raises(RecursionError):
            dumps(value, less)


@pytest.mark.parametrize(
    ("text", "left"), [("a b", "a b"), (" a", " a"), ("", ""), (" \t\n", ""), (None, "")]
)
def test_what_is_blank(text: str | None, left: str) -> None:
    """Is as if it were not given."""
    assert unless_blank(text) == left
