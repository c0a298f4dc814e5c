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


def test_a_chain_that_nobody_holds() -> None:
    """It is there for those who wait for its first event. People are not told of it, and it goes as
    soon as the lane may."""
    lane = Lane("K", lambda: 0.5)
    first, second = entry("1_K.txt", chain="=x"), entry("2_K.txt", chain="=x")
    over = float("-inf")
    free = Hold(Scope.CHAIN, Cause.UNFINISHED, "", over, over, "K", "=x")
    made = lane.chain_of(first)
    assert (made.hold, made.told) == (free, None)
    assert lane.chain_of(first) is made
    made.entries.join(second)
    assert lane.leave_chain(first) is made
    rest = lane.chains.get("=x")
    assert rest is not None
    assert (rest.hold, rest.entries.first) == (free, second)
    assert lane.chains.due(0.0) is rest
    lane.leave_chain(second)
    assert not lane.has_chains


def test_who_waits_for_whom() -> None:
    """An event on its way waits for nobody; whoever is of its chain waits for it."""
    lane = Lane("K", lambda: 0.5)
    first, second = entry("1_K.txt", chain="=x"), entry("2_K.txt", chain="=x")
    assert lane.chain_ahead(first) is None
    lane.send(first)
    assert lane.chain_ahead(first) is None
    chain = lane.chain_ahead(second)
    assert chain is not None
    assert chain.entries.first is first
    assert lane.chain_ahead(entry("3_K.txt", chain="=y")) is None


def test_a_chain_that_is_let_go() -> None:
    """Only one that is held can be, and then it is due."""
    lane = Lane("K", lambda: 0.5)
    first = entry("1_K.txt", chain="=x")
    assert not lane.let_go(first, 5.0)
    lane.hold_chain(first, hold(9.0, "500"))
    assert not lane.let_go(first, 9.0)
    assert lane.let_go(first, 5.0)
    assert lane.chains.due(5.0) is lane.chain_of(first)
    assert not lane.let_go(first, 6.0)


def test_the_longest_hold_of_a_lane_counts() -> None:
    """For a person it is one, since the first. While it lasts one event goes at a time, and one
    more for each that is taken afterwards."""
    lane = Lane("K", lambda: 0.5)
    lane.keep(hold(5.0, "first", since=1.0))
    lane.keep(hold(5.0, "second", since=2.0))
    assert lane.hold == hold(5.0, "first", since=1.0)
    lane.keep(hold(9.0, "third", since=3.0))
    assert lane.hold == hold(9.0, "third", since=1.0)
    assert [lane.is_older_than_hold(started) for started in (0.5, 1.0)] == [True, False]
    assert lane.room == 1
    lane.troubles = 3
    lane.taken()
    assert (lane.room, lane.troubles) == (2, 0)
