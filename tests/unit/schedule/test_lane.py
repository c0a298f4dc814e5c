"""A lane's parts: the line of entries, and the chains that are held."""

from hypothesis import given
from hypothesis import strategies as st

from pdagent.queue.holds import Cause, Hold, Scope
from pdagent.schedule.lane import Entry, Lane, Line


def entry(name: str, retried: bool = False, chain: str | None = None) -> Entry:
    made = Entry(name, "K", retried)
    made.chain = chain
    return made


def names(line: Line) -> list[str]:
    return [each.name for each in line]


def hold(until: float, why: str, cause: Cause = Cause.FAILING, since: float = 0.0) -> Hold:
    return Hold(Scope.CHAIN, cause, why, since, until, "K", "=x")


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


def test_a_chain_is_due_once_its_last_hold_ends() -> None:
    """An earlier hold's timer means nothing any more."""
    lane = Lane("K", lambda: 0.5)
    first = entry("1_K.txt", chain="=x")
    lane.hold_chain(first, hold(5.0, "500"))
    lane.hold_chain(first, hold(9.0, "500"))
    assert lane.chains.due(8.9) is None
    found = lane.chains.due(9.0)
    assert found is not None
    assert found.entries.first is first
    assert lane.held_by(first) is found
    assert lane.held_by(entry("2_K.txt", chain="=x")) is None


def test_for_a_person_it_is_one_hold() -> None:
    """From the first failure on; what people are not told of changes neither cause nor reason."""
    lane = Lane("K", lambda: 0.5)
    first = entry("1_K.txt", chain="=x")
    lane.hold_chain(first, hold(5.0, "answered 500", since=1.0))
    lane.hold_chain(first, hold(9.0, "answered 503", since=5.0))
    lane.hold_chain(first, hold(12.0, "reset", Cause.UNREACHABLE, since=9.0))
    told = lane.chain_of(first).told
    assert told is not None
    assert (told.cause, told.why, told.since) == (Cause.FAILING, "answered 503", 1.0)
    assert lane.chain_of(first).hold.until == 12.0
