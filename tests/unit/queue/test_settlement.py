"""Events leave the queue whatever the disk says, and are remembered when it can take it."""

import shutil
from pathlib import Path

from pdagent.queue.backlog import Backlog
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import Counters, State

NAME = "5_c7a4f1e2b9d84c6fa0b1c2d3e4f50617.txt"


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
