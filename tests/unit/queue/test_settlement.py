"""Events leave the queue whatever the disk says, and are remembered when it can take it."""

import shutil
from pathlib import Path

import pytest

from pdagent.queue import settlement as settlements
from pdagent.queue.backlog import Backlog
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import Counters, Reason, State
from pdagent.spool import file_name

KEY = "c7a4f1e2b9d84c6fa0b1c2d3e4f50617"
NAME = f"5_{KEY}.txt"
NEXT = file_name(6, KEY)


class Full(State):
    """`room`: whether the disk can take a reason. `durable`: what was asked for, by reason."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        (root / "db").mkdir()
        self.room = True
        self.durable: dict[str, bool] = {}

    def keep_reason(self, name: str, reason: Reason, durable: bool = True) -> bool:
        self.durable[reason.reason] = durable
        return self.room and super().keep_reason(name, reason, durable)


class Crowded(Full):
    """While a reason is written, another event gets into err/ under the same name."""

    def keep_reason(self, name: str, reason: Reason, durable: bool = True) -> bool:
        (Path(self.reasons).parents[1] / "outqueue" / "err" / NAME).touch()
        return super().keep_reason(name, reason, durable)


class Emptied(Full):
    """While a reason is written, a person removes the event that had its name in err/."""

    def keep_reason(self, name: str, reason: Reason, durable: bool = True) -> bool:
        (Path(self.reasons).parents[1] / "outqueue" / "err" / NAME).unlink()
        return super().keep_reason(name, reason, durable)


def settlement_of(root: Path, state: State) -> Settlement:
    return Settlement(Backlog(str(root)), state, Counters(state, 0.0), lambda: 86_400.0)


def test_a_reason_that_could_not_be_written_is_later(root: Path, tmp_path: Path) -> None:
    """In error at once, so that nobody waits for it; why, as soon as there is room."""
    state = State(str(tmp_path / "data"))
    settlement = Settlement(Backlog(str(root)), state, Counters(state, 0.0))
    (root / "pdq" / NAME).write_bytes(b"{}")
    settlement.in_error(NAME, "Bad mood", 400, 1)
    assert (root / "err" / NAME).exists()
    settlement.tidy()
    assert state.reason(NAME) is None
    (tmp_path / "data" / "db").mkdir(parents=True)
    settlement.tidy()
    kept = state.reason(NAME)
    assert kept is not None
    assert (kept.reason, kept.status) == ("Bad mood", 400)
    shutil.rmtree(tmp_path / "data" / "db" / "reasons")
    settlement.tidy()  # once is enough
    assert state.reason(NAME) is None


def test_late_word_of_an_event_takes_no_reason(root: Path, tmp_path: Path) -> None:
    """A wake-up that is acted upon when its event is in error already."""
    state = State(str(tmp_path))
    (tmp_path / "db").mkdir()
    settlement = Settlement(Backlog(str(root)), state, Counters(state, 0.0))
    (root / "pdq" / NAME).write_bytes(b"{}")
    settlement.in_error(NAME, "Bad mood", 400, 1)
    assert settlement.retried([NAME]) == {NAME}
    settlement.gone(NAME)
    assert state.reason(NAME) is not None


@pytest.mark.parametrize("room", [True, False])
def test_a_reason_goes_with_its_event(root: Path, tmp_path: Path, room: bool) -> None:
    """Whatever name the event gets in err/ in the end, and whenever the reason could be written."""
    state = Crowded(tmp_path)
    state.room = room
    settlement = settlement_of(root, state)
    (root / "pdq" / NAME).write_bytes(b"{}")
    settlement.in_error(NAME, "Bad mood", 400, 3)
    assert (root / "err" / NEXT).read_bytes() == b"{}"
    state.room = True
    settlement.tidy()
    kept = state.reason(NEXT)
    assert kept is not None
    assert kept == Reason("1970-01-02T00:00:00Z", 400, "Bad mood", 3)
    assert state.reason(NAME) is None


def test_a_reason_waits_for_its_event_as_well(root: Path, tmp_path: Path) -> None:
    """There was neither room for it nor a place for the event, and then another event took its
    name."""
    state = Full(tmp_path)
    state.room = False
    settlement = settlement_of(root, state)
    (root / "pdq" / NAME).write_bytes(b"{}")
    (root / "err").rmdir()
    settlement.in_error(NAME, "Bad mood")
    (root / "err").mkdir()
    (root / "err" / NAME).touch()
    state.room = True
    settlement.tidy()
    assert state.reason(NEXT) == Reason("1970-01-02T00:00:00Z", None, "Bad mood", 0)
    assert state.reason(NAME) is None


def test_the_last_reason_counts(root: Path, tmp_path: Path) -> None:
    """One that could not be written is nobody's once another event has its name."""
    state = Full(tmp_path)
    state.room = False
    settlement = settlement_of(root, state)
    (root / "pdq" / NAME).touch()
    settlement.in_error(NAME, "first", durable=False)
    (root / "err" / NAME).rename(root / "pdq" / NAME)
    state.room = True
    settlement.in_error(NAME, "second")
    settlement.tidy()
    kept = state.reason(NAME)
    assert kept is not None
    assert kept.reason == "second"
    assert state.durable == {"first": False, "second": True}


def test_reasons_that_wait_are_bounded(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strangers can have thousands of files set aside while the disk is full: memory is spent on
    the first of the reasons only. The events leave all the same."""
    monkeypatch.setattr(settlements, "UNWRITTEN_MOST", 2)
    state = State(str(tmp_path / "data"))
    counters = Counters(state, 0.0)
    settlement = Settlement(Backlog(str(root)), state, counters)
    names = [file_name(number, KEY) for number in range(4)]
    for name in names:
        (root / "pdq" / name).touch()
        settlement.in_error(name, "Bad mood")
    assert counters.refused == 4
    (tmp_path / "data" / "db").mkdir(parents=True)
    settlement.tidy()
    assert [state.reason(name) is not None for name in names] == [True, True, False, False]
    assert not list((root / "pdq").iterdir())


@pytest.mark.parametrize("directory", ["suc", "err"])
def test_an_event_that_can_not_be_moved_is_done(
    root: Path, tmp_path: Path, directory: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is known as settled, so that nobody sends it again, until it can be moved. That is said
    once."""
    (tmp_path / "db").mkdir()
    state = State(str(tmp_path))
    counters = Counters(state, 0.0)
    settlement = Settlement(Backlog(str(root)), state, counters)
    (root / "pdq" / NAME).touch()
    (root / "suc").rmdir()
    (root / "err").rmdir()
    if directory == "suc":
        settlement.delivered(NAME)
    else:
        settlement.in_error(NAME, "Bad mood")
    assert NAME in settlement
    assert not settlement.is_tidy
    said = caplog.text
    assert "it stays there and is not sent" in said
    settlement.tidy()
    assert NAME in settlement
    assert caplog.text == said
    (root / directory).mkdir()
    settlement.tidy()
    assert (root / directory / NAME).exists()
    assert NAME not in settlement
    assert settlement.is_tidy
    assert (counters.delivered, counters.refused) == ((1, 0) if directory == "suc" else (0, 1))
    assert (state.reason(NAME) is not None) == (directory == "err")


def test_what_is_in_the_way_is_known(root: Path, tmp_path: Path) -> None:
    """As long as there is an event that it keeps from where it belongs."""
    settlement = settlement_of(root, State(str(tmp_path / "data")))
    (root / "pdq" / NAME).write_bytes(b"{}")
    (root / "suc").rmdir()
    (root / "suc").touch()
    settlement.delivered(NAME)
    assert settlement.obstacle == ("suc", "Not a directory")
    (root / "suc").unlink()
    (root / "suc").mkdir()
    settlement.tidy()
    assert settlement.obstacle == ("", "")


def test_an_event_gets_the_name_that_its_reason_has(root: Path, tmp_path: Path) -> None:
    """Though its own is free again."""
    state = Emptied(tmp_path)
    settlement = settlement_of(root, state)
    (root / "pdq" / NAME).touch()
    (root / "err" / NAME).touch()
    settlement.in_error(NAME, "Bad mood")
    [there] = (root / "err").iterdir()
    assert there.name == NEXT
    assert state.reason(NEXT) is not None


def test_an_event_that_a_person_has_removed(root: Path, tmp_path: Path) -> None:
    """While it was on its way: nothing is left of it, no reason either."""
    state = Full(tmp_path)
    settlement = settlement_of(root, state)
    settlement.in_error(NAME, "Bad mood")
    assert settlement.is_tidy
    state.room = False
    settlement.in_error(NAME, "Bad mood")
    assert settlement.is_tidy
    assert NAME not in settlement
    assert state.reason(NAME) is None


def test_a_delivered_event_needs_no_reason(root: Path, tmp_path: Path) -> None:
    """It had one, since a person has retried it. That of one that nobody retried is left: it may
    be another event's."""
    (tmp_path / "db").mkdir()
    state = State(str(tmp_path))
    counters = Counters(state, 0.0)
    settlement = Settlement(Backlog(str(root)), state, counters)
    other = file_name(7, KEY)
    why = Reason("2026-01-01T00:00:00Z", 400, "Bad mood", 1)
    for name in (NAME, NEXT, other):
        (root / "pdq" / name).touch()
        state.keep_reason(name, why)
    assert settlement.retried([NAME, "7_K.txt"]) == {NAME}
    assert settlement.retried([other]) == {other}
    for name in (NAME, NEXT, other):
        settlement.delivered(name)
    assert [state.reason(name) for name in (NAME, NEXT, other)] == [None, why, None]
    assert counters.delivered == 3
    state.keep_reason(NAME, why)  # of the next event of this name
    settlement.gone(NAME)
    assert state.reason(NAME) == why
