"""Lines of entries."""

from hypothesis import given
from hypothesis import strategies as st

from pdagent.schedule.entry import Entry, Line


def entry(name: str, retried: bool = False) -> Entry:
    return Entry(name, "K", retried)


def names(line: Line) -> list[str]:
    return [each.name for each in line]


def test_a_new_entry() -> None:
    """Nothing is known of it yet."""
    made = Entry("1_K.txt", "K")
    assert (made.name, made.key, made.owner, made.retried) == ("1_K.txt", "K", 0, False)
    assert (made.chain, made.next, made.relay, made.missed_at) == (None, None, "", None)
    assert (made.delay, made.heavy) == (None, False)
    assert (made.troubles, made.troubled_since, made.troubled_at) == (0, 0.0, 0.0)
    assert Entry("1_K.txt", "K", owner=1003).owner == 1003


def test_an_entry_remembers_since_when() -> None:
    """Each thing for itself, from the first time on."""
    made = entry("1_K.txt")
    assert made.since("denied", 5.0) == 5.0
    assert made.since("denied", 7.0) == 5.0
    assert made.since("unfinished", 8.0) == 8.0
    assert made.since("denied", 9.0) == 5.0


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
            assert taken is None or taken.next is None
            assert (taken.name if taken else None) == (model.pop(0) if model else None)
        assert (names(line), len(line)) == (model, len(model))


def test_what_is_retried_joins_where_its_name_says() -> None:
    """All others join at the end, whatever their clock said."""
    line = Line()
    for name in ("3_K.txt", "1_K.txt", "5_K.txt"):
        line.join(entry(name))
    line.join(entry("4_K.txt", retried=True))
    assert names(line) == ["3_K.txt", "1_K.txt", "4_K.txt", "5_K.txt"]
    taken = [each.name for each in iter(line.take, None)]
    assert taken == ["3_K.txt", "1_K.txt", "4_K.txt", "5_K.txt"]
    assert line.first is None


def test_what_is_retried_joins_behind_what_is_on_its_way() -> None:
    """Whatever its name says."""
    line = Line()
    first = entry("5_K.txt")
    line.join(first)
    line.join(entry("4_K.txt", retried=True), behind=first)
    line.join(entry("3_K.txt", retried=True), behind=first)
    assert names(line) == ["5_K.txt", "3_K.txt", "4_K.txt"]


def test_what_is_retried_joins_behind_its_equals() -> None:
    """As it does in an empty line, and in one of which it is the first or the last."""
    line = Line()
    for name in ("2_K.txt", "2_K.txt", "1_K.txt", "3_K.txt"):
        line.join(entry(name, retried=True))
    first, second = list(line)[1:3]
    assert names(line) == ["1_K.txt", "2_K.txt", "2_K.txt", "3_K.txt"]
    line.join(latest := entry("2_K.txt", retried=True))
    assert list(line)[1:4] == [first, second, latest]
    line.append(entry("0_K.txt"))
    assert names(line)[-1] == "0_K.txt"


def test_an_entry_forgets_since_when() -> None:
    """Each thing for itself. Then it counts anew."""
    made = entry("1_K.txt")
    made.is_no_longer("denied")
    made.since("denied", 5.0)
    made.since("incomplete", 7.0)
    made.is_no_longer("unreadable")
    made.is_no_longer("denied")
    assert made.since("denied", 9.0) == 9.0
    assert made.since("incomplete", 9.0) == 7.0
