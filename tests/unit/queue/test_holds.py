"""What is held and why, from the scheduler to a person."""

import json
import re
from pathlib import Path

import pytest

from pdagent.queue.holds import Cause, Held, Hold, Scope, Tries, told
from pdagent.queue.state import State
from pdagent.schedule.rules import TROUBLES_IN_A_ROW
from pdagent.schedule.scheduler import Scheduler
from pdagent.schedule.telling import HOLDS_TOLD
from pdagent.wire.verdict import Unreachable
from tests.unit.schedule.desk import (
    ONE_BY_ONE,
    REFUSED,
    THROTTLED,
    TROUBLED,
    UNREACHABLE,
    Desk,
)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def held(desk: Desk) -> Held:
    return desk.scheduler.held(desk.now)


def test_nothing_is_held(desk: Desk) -> None:
    """A delivery without trouble changes nothing that would have to be told."""
    desk.add("A:x:1", "B:y:2")
    assert desk.drain() == ["A:x:1", "B:y:2"]
    assert held(desk) == Held()
    assert desk.scheduler.changes == 0


def test_a_chain_is_held(desk: Desk) -> None:
    """With what PagerDuty said, since the first failure, until the next try; then no more."""
    desk.add("A:x:1")
    desk.send(TROUBLED)
    begun = desk.now
    hold = Hold(Scope.CHAIN, Cause.FAILING, "answered 500", begun, begun + 0.5, "A", "x")
    assert held(desk) == Held((hold,), {"A:x:1": Tries(1, begun, "answered 500")})
    desk.wait()
    desk.send(TROUBLED)
    [again] = held(desk).holds
    assert (again.since, again.until) == (begun, desk.now + 1.0)
    assert held(desk).tries["A:x:1"].number == 2
    desk.wait()
    before = desk.scheduler.changes
    desk.send()
    assert held(desk) == Held()
    assert desk.scheduler.changes > before


def test_a_key_is_held(desk: Desk) -> None:
    """Throttled, or after several failures; a success lets it go."""
    desk.add("A:x:1", "A:x:2", "B:x:1")
    desk.send(THROTTLED)
    [hold] = held(desk).holds
    assert hold == Hold(
        Scope.KEY,
        Cause.THROTTLED,
        "throttled: PagerDuty answered 429",
        desk.now,
        desk.now + 0.5,
        "A",
    )
    desk.now += 10
    assert [h.until for h in held(desk).holds] == [desk.now]  # due now, not in the past
    desk.drain()
    assert held(desk) == Held()


def test_a_key_in_trouble_is_held(desk: Desk) -> None:
    """And it says for how many failures."""
    desk.add(*(f"A:{n}:{n}" for n in range(TROUBLES_IN_A_ROW)))
    for _ in range(TROUBLES_IN_A_ROW):
        desk.send(TROUBLED)
    key, *chains = held(desk).holds
    assert (key.scope, key.why) == ("key", "3 failures in a row: answered 500")
    assert [hold.scope for hold in chains] == ["chain"] * TROUBLES_IN_A_ROW


def test_the_destination_is_held(desk: Desk) -> None:
    """Since the first failure, for the reason of the last; any answer ends it."""
    desk.add("A:x:1", "B:x:1")
    desk.send(UNREACHABLE)
    begun = desk.now
    desk.wait()
    desk.send(Unreachable("the proxy answered 407"))
    [hold] = held(desk).holds
    assert hold == Hold(
        Scope.DESTINATION, Cause.UNREACHABLE, "the proxy answered 407", begun, desk.now + 1.0
    )
    desk.wait()
    desk.send(REFUSED)
    assert held(desk).holds == ()
    assert held(desk).tries.keys() <= {"A:x:1", "B:x:1"}
    desk.drain()
    assert held(desk) == Held()


def test_what_is_gone_is_not_held(desk: Desk) -> None:
    """A person removed the event in trouble: its hold ends with it."""
    desk.add("A:x:1")
    desk.send(TROUBLED)
    desk.wait()
    entry = desk.take()
    assert entry is not None
    desk.scheduler.forget(entry)
    assert held(desk) == Held()


def test_the_telling_is_bounded() -> None:
    """However many chains are held."""
    desk = Desk()
    desk.scheduler = Scheduler(ONE_BY_ONE, lambda: 0.0)
    desk.add(*(f"{n}:x:1" for n in range(HOLDS_TOLD + 5)))
    for _ in range(HOLDS_TOLD + 5):
        desk.send(TROUBLED)
    told = held(desk)
    assert (len(told.holds), told.more, len(told.tries)) == (HOLDS_TOLD, 5, HOLDS_TOLD)


def test_the_hold_over_an_event() -> None:
    """The one that ends last, of those that concern it."""
    wide = Hold(Scope.DESTINATION, Cause.UNREACHABLE, "down", 0, 5)
    key = Hold(Scope.KEY, Cause.THROTTLED, "throttled", 0, 9, "A")
    chain = Hold(Scope.CHAIN, Cause.FAILING, "500", 0, 7, "A", "=x")
    held = Held((wide, key, chain))
    assert held.over("A", "=x") == key
    assert held.over("B", "=x") == wide
    assert Held((chain,)).over("A", "=y") is None
    assert Held((wide, chain)).over("A", "=x") == chain


# as text


def test_there_and_back(tmp_path: Path) -> None:
    """What the daemon writes is what a person's command reads, odd names included."""
    (tmp_path / "db").mkdir()
    written = Held(
        (Hold(Scope.CHAIN, Cause.FAILING, 'a "reason"', 1.5, 2.5, "K", "=\udcff"),),
        {"é": Tries(2, 1, "w")},
        7,
    )
    state = State(str(tmp_path))
    assert told(str(tmp_path)) is None
    state.tell_holds(written)
    assert told(str(tmp_path)) == written
    state.withdraw_holds()
    assert told(str(tmp_path)) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"version": 1}', '{"version": 2, "holds": [{}], "tries": {}, "more": 0}',
     '{"version": 2, "holds": 5, "tries": {}, "more": 0}', "[" * 100_000],
)  # fmt: skip
def test_anything_else_is_no_knowledge(tmp_path: Path, text: str) -> None:
    """A damaged file, or another version's, is not believed, and does no harm."""
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "holds").write_text(text)
    assert told(str(tmp_path)) is None
    with pytest.raises(ValueError):  # noqa: PT011  (what is wrong is all the same)
        Held.loads(text)


_TOLD = Held(
    (Hold(Scope.KEY, Cause.THROTTLED, "x", 0, 1, "K" * 32, "=d"),),
    {"1_K.txt": Tries(1, 1.0, "x")},
    lost={"https://relay1": 1.0},
)


@pytest.mark.parametrize("field", ["why", "key", "chain", "since", "until", "number", "at"])
@pytest.mark.parametrize("odd", ["null", "{}", "NaN", "1e300", "1e999", f"1{'0' * 400}"])
def test_nothing_odd_is_in_them(field: str, odd: str) -> None:
    """So whoever shows them need not look again."""
    assert Held.loads(_TOLD.dumps()) == _TOLD
    text = re.sub(rf'"{field}": ("[^"]*"|[0-9.]+)', f'"{field}": {odd}', _TOLD.dumps())
    with pytest.raises(ValueError):  # noqa: PT011  (what is wrong is all the same)
        Held.loads(text)


def test_what_cannot_be_told_is_not_told_wrong(tmp_path: Path) -> None:
    """Where the new text can't be written, the old one must not stand for it."""
    (tmp_path / "db").mkdir()
    state = State(str(tmp_path))
    state.tell_holds(Held(lost={"https://relay1": 1.0}))
    assert told(str(tmp_path)) == Held(lost={"https://relay1": 1.0})
    (tmp_path / "db" / "holds.tmp").mkdir()  # in the way of the next
    state.tell_holds(Held(more=1))
    assert told(str(tmp_path)) is None


def test_holds_hold_keys_and_are_private(tmp_path: Path) -> None:
    """They are for root and the agent."""
    (tmp_path / "db").mkdir()
    State(str(tmp_path)).tell_holds(Held((Hold(Scope.KEY, Cause.THROTTLED, "x", 0, 1, "K" * 32),)))
    path = tmp_path / "db" / "holds"
    assert path.stat().st_mode & 0o777 == 0o640
    assert json.loads(path.read_text())["holds"][0]["key"] == "K" * 32
