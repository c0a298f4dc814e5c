"""A lane's chains: when they are due, and what a person is told of their holds."""

from pdagent.queue.holds import Cause, Hold, Scope
from pdagent.schedule.entry import Entry
from pdagent.schedule.lane import Lane


def entry(name: str, retried: bool = False, chain: str | None = None) -> Entry:
    made = Entry(name, "K", retried)
    made.chain = chain
    return made


def hold(until: float, why: str, cause: Cause = Cause.FAILING, since: float = 0.0) -> Hold:
    return Hold(Scope.CHAIN, cause, why, since, until, "K", "=x")


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
