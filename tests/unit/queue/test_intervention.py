"""What a person does to the queue, and what is left of it wherever that dies."""

import json
import os
import threading
from errno import EIO, ENOSPC
from pathlib import Path

import pytest

from pdagent.queue import backlog
from pdagent.queue import intervention as module
from pdagent.queue import state as state_module
from pdagent.queue.intervention import Gone, Intervention
from pdagent.queue.listing import UNKNOWN
from pdagent.queue.state import Reason, State
from tests.support.calls import Calls, Died, Fault

OLD, NEW = "0000000000000005_WRONG.txt", "0000000000000005_RIGHT.txt"
REASON = Reason("2026-11-23T02:52:36Z", 400, "Invalid routing key", 1)


@pytest.fixture
def intervention(root: Path, state: State) -> Intervention:
    return Intervention(str(root), state, str)


def put(root: Path, place: str, name: str, field: str = "routing_key") -> None:
    body = {field: "WRONG", "event_action": "trigger", "dedup_key": "x", "a": [1, "ü"]}
    (root / place / name).write_text(json.dumps(body, ensure_ascii=False))


def names(root: Path, place: str) -> list[str]:
    return sorted(os.listdir(root / place))


def test_retry_never_overwrites(root: Path, intervention: Intervention) -> None:
    """An event with the same key and microsecond is pending: both are afterwards, the retried one
    before it, and behind those that were before it."""
    put(root, "pdq", OLD)
    put(root, "pdq", "0" * 4 + OLD)
    put(root, "pdq", "4_WRONG.txt")
    put(root, "err", OLD)
    assert intervention.retry(OLD) == f"0{OLD}"
    order = intervention._backlog.names("pdq")
    assert order[0] == "4_WRONG.txt"
    assert order[-1] == OLD
    with pytest.raises(Gone):
        intervention.retry(OLD)


def test_retry_when_all_names_of_its_place_are_taken(
    root: Path, intervention: Intervention
) -> None:
    """It is written in the shortest way, and then gets the next microsecond."""
    for zeros in range(5):
        put(root, "pdq", "0" * zeros + OLD)
    put(root, "err", OLD)
    assert intervention.retry(OLD) == "5_WRONG.txt"
    put(root, "err", OLD)
    assert intervention.retry(OLD) == "0000000000000006_WRONG.txt"


def test_retry_keeps_the_reason(root: Path, state: State, intervention: Intervention) -> None:
    """Under the name that the event has then; an event without one gets one, since it says that
    the event is no new one; an event that is to be sent as new has none."""
    put(root, "pdq", OLD)
    put(root, "err", OLD)
    state.keep_reason(OLD, REASON)
    assert state.reason(intervention.retry(OLD)) == REASON
    assert state.reason(OLD) is None
    for name in ("6_K.txt", "7_K.txt"):
        put(root, "err", name)
    intervention.retry("6_K.txt")
    found = state.reason("6_K.txt")
    assert found is not None
    assert found.reason == UNKNOWN
    state.keep_reason("7_K.txt", REASON)
    intervention.retry("7_K.txt", as_new=True)
    assert state.reason("7_K.txt") is None
    intervention.finish()


@pytest.mark.parametrize("field", ["routing_key", "service_key"])
def test_another_key(root: Path, state: State, intervention: Intervention, field: str) -> None:
    """Name and body have it, all else stays."""
    put(root, "err", OLD, field)
    state.keep_reason(OLD, REASON)
    assert intervention.readdress(OLD, "RIGHT") == NEW
    assert names(root, "err") == [NEW]
    body = json.loads((root / "err" / NEW).read_bytes())
    assert body == {field: "RIGHT", "event_action": "trigger", "dedup_key": "x", "a": [1, "ü"]}
    assert (root / "err" / NEW).stat().st_mode & 0o777 == 0o640
    assert state.reason(NEW) == REASON
    assert state.reason(OLD) is None
    with pytest.raises(Gone):
        intervention.readdress(OLD, "RIGHT")
    assert intervention.readdress(NEW, "RIGHT") == NEW


def test_another_keys_event_has_the_name(root: Path, intervention: Intervention) -> None:
    """Both stay, and neither loses its place."""
    put(root, "err", OLD)
    put(root, "err", NEW)
    assert intervention.readdress(OLD, "RIGHT") == f"0{NEW}"
    assert names(root, "err") == [f"0{NEW}", NEW]


def test_a_fifo_has_the_name(root: Path, intervention: Intervention) -> None:
    """Nobody ever writes to it, and a person does not wait for that."""
    put(root, "err", OLD)
    os.mkfifo(root / "err" / NEW)
    assert intervention.readdress(OLD, "RIGHT") == f"0{NEW}"


def test_somebody_else_was_faster(
    root: Path, intervention: Intervention, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was removed while it got another key stays removed."""
    put(root, "err", OLD)
    sync = intervention._backlog.sync

    def removed_by_then(directories: tuple[str, ...]) -> None:
        (root / "err" / OLD).unlink()
        sync(directories)

    monkeypatch.setattr(intervention._backlog, "sync", removed_by_then)
    with pytest.raises(Gone):
        intervention.readdress(OLD, "RIGHT")
    assert names(root, "err") == []


def test_two_persons_at_once(
    root: Path, state: State, intervention: Intervention, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same command: one of them does it, and the other does not undo that."""
    put(root, "err", OLD)
    sync = intervention._backlog.sync
    gone: list[bool] = []

    def another() -> None:
        try:
            Intervention(str(root), state, str).readdress(OLD, "RIGHT")
        except Gone:
            gone.append(True)

    other = threading.Thread(target=another)

    def another_comes(directories: tuple[str, ...]) -> None:
        other.start()
        other.join(0.5)  # it waits
        sync(directories)

    monkeypatch.setattr(intervention._backlog, "sync", another_comes)
    assert intervention.readdress(OLD, "RIGHT") == NEW
    other.join()
    assert gone == [True]
    assert names(root, "err") == [NEW]


MODULES = (module, state_module, backlog)
FINISHED = 1000  # more calls than it takes


def readdress_and_die(
    root: Path, state: State, monkeypatch: pytest.MonkeyPatch, at: int, error: int
) -> bool:
    """`retry --to-key` that dies at a call, or for which that call fails; whether it came to its
    end before."""
    calls = Calls(os)
    with monkeypatch.context() as patched:
        for each in MODULES:
            patched.setattr(each, "os", calls)
        calls.inject(Fault(at, error))
        try:
            retried = Intervention(str(root), state, str)
            retried.retry(retried.readdress(OLD, "RIGHT"))
            retried.finish()
        except (Died, OSError):
            return False
    return calls._left > 0


@pytest.mark.parametrize("error", [0, EIO, ENOSPC])
def test_death_and_trouble_while_an_event_gets_another_key(
    root: Path, state: State, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """At each call: the event is not lost, is pending once at most, and only with the right key;
    and the same command again brings it there, with its reason."""
    for at in range(1, FINISHED):
        put(root, "err", OLD)
        state.keep_reason(OLD, REASON)
        is_done = readdress_and_die(root, state, monkeypatch, at, error)
        left = {name for name in names(root, "err") if name.endswith(".txt")}
        pending = names(root, "pdq")
        assert left | set(pending), at
        assert not pending or (pending == [NEW] and not left), at
        if not pending:
            again = Intervention(str(root), state, str)
            again.retry(again.readdress(OLD if OLD in left else NEW, "RIGHT"))
        assert names(root, "pdq") == [NEW], at
        assert not [name for name in names(root, "err") if name.endswith(".txt")], at
        assert json.loads((root / "pdq" / NEW).read_bytes())["routing_key"] == "RIGHT"
        assert state.reason(NEW) == REASON, at
        (root / "pdq" / NEW).unlink()
        state.drop_reason(NEW)
        if is_done:
            break
    assert 10 < at < FINISHED - 1
