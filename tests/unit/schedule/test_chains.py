"""The events of one dedup key, and which chains are due."""

from dataclasses import replace

from pdagent.queue.holds import Cause, Hold, Scope
from pdagent.schedule.backoff import Backoff
from pdagent.schedule.chains import Chain, Chains
from pdagent.schedule.entry import Entry

FAILING = Hold(Scope.CHAIN, Cause.FAILING, "answered 500", 10.0, 20.0, "K", "a")
UNFINISHED = replace(FAILING, cause=Cause.UNFINISHED)


def kept(chain: Chain) -> tuple[Hold, Hold | None]:
    """The hold, and what people are told of."""
    return chain.hold, chain.told


def chain(hold: Hold = FAILING) -> Chain:
    return Chain(Backoff(lambda: 0.5), hold)


def test_people_are_told_of_one_hold() -> None:
    """From the first failure to the last, in the words of the last. An event that is not finished
    is not worth it."""
    made = chain(UNFINISHED)
    assert kept(made) == (UNFINISHED, None)
    made.keep(UNFINISHED)
    assert kept(made) == (UNFINISHED, None)
    made.keep(FAILING)
    assert kept(made) == (FAILING, FAILING)
    later = replace(FAILING, why="answered 502", since=30.0, until=40.0)
    made.keep(later)
    assert kept(made) == (later, replace(later, since=10.0))
    made.keep(UNFINISHED)
    assert kept(made) == (UNFINISHED, replace(later, since=10.0))
    assert chain().told == FAILING
    backoff = Backoff(lambda: 0.5)
    assert Chain(backoff, FAILING).backoff is backoff


def test_a_chain_is_known_by_its_name() -> None:
    """While it is there."""
    chains, one, other = Chains(), chain(), chain()
    assert (len(chains), chains.first()) == (0, None)
    chains.add("a", one)
    chains.add("b", other)
    first = Entry("1_K.txt", "K")
    one.entries.append(first)
    assert list(chains.items()) == [("a", one), ("b", other)]
    assert chains.get("a") is one
    assert chains.get("c") is None
    assert chains.get(None) is None
    assert chains.first() is first
    assert chains.remove("a") is one
    assert (len(chains), chains.get("a")) == (1, None)


def test_a_chain_is_due_when_its_hold_ends() -> None:
    """The earliest first. One that was released, or is held again, is not due for its old hold."""
    chains = Chains()
    holds = {"late": 30.0, "early": 20.0, "again": 15.0, "gone": 10.0}
    for name, until in holds.items():
        chains.add(name, chain(replace(FAILING, until=until)))
        chains.due_at(name, until)
    chains.remove("gone")
    again = chains.get("again")
    assert again is not None
    again.keep(replace(FAILING, until=40.0))
    chains.due_at("again", 40.0)
    assert chains.due(19.9) is None
    assert chains.due(20.0) is chains.get("early")
    assert chains.due(20.0) is None
    assert chains.due(50.0) is chains.get("late")
    assert chains.due(50.0) is again
    assert chains.due(50.0) is None
