"""Lines of entries."""

from hypothesis import given
from hypothesis import strategies as st

from pdagent.schedule.entry import Entry, Line


def entry(name: str, retried: bool = False) -> Entry:
    return Entry(name, "K", retried)


def names(line: Line) -> list[str]:
    return [each.name for each in line]


@given(st.lists(st.sampled_from(["append", "take", "prepend"]), max_size=30))
def test_a_line_is_a_list(actions: list[str]) -> None:
    """Whatever is done to it, in whatever order."""
    line, model = Line(), list[str]()
    for number, action in enumerate(actions):
        if action == "append":
            line.append(entry(f"{number}_K.txt"))
            model.append(f"{number}_K.txt")
        elif action == "prepend":
            line.prepend([entry(f"{number}_K.txt"), entry(f"{number}_L.txt")])
            model[:0] = [f"{number}_K.txt", f"{number}_L.txt"]
        else:
            taken = line.take()
            assert (taken.name if taken else None) == (model.pop(0) if model else None)
        assert (names(line), len(line)) == (model, len(model))


def test_what_is_retried_joins_where_its_name_says() -> None:
    """All others join at the end, whatever their clock said."""
    line = Line()
    for name in ("3_K.txt", "1_K.txt", "5_K.txt"):
        line.join(entry(name))
    line.join(entry("4_K.txt", retried=True))
    assert names(line) == ["3_K.txt", "1_K.txt", "4_K.txt", "5_K.txt"]
    assert [each.name for each in line.take_all()] == ["3_K.txt", "1_K.txt", "4_K.txt", "5_K.txt"]
    assert line.first is None


def test_what_is_retried_joins_behind_what_is_on_its_way() -> None:
    """Whatever its name says."""
    line = Line()
    first = entry("5_K.txt")
    line.join(first)
    line.join(entry("4_K.txt", retried=True), behind=first)
    line.join(entry("3_K.txt", retried=True), behind=first)
    assert names(line) == ["5_K.txt", "3_K.txt", "4_K.txt"]
