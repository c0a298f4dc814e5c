"""The events of a spool as a person asks for them."""

import errno
import json
import os
from pathlib import Path

import pytest

from pdagent.queue.holds import Cause, Held, Hold, Scope, Tries
from pdagent.queue.listing import Listing, Query, accepted
from pdagent.queue.state import Reason, State
from pdagent.queue.states import Ambiguous, NoSuchEvent

NOW = 2_000_000_000.0
LONG = "c7a4f1e2b9d84c6fa0b1c2d3e4f50617"
ALL = ("pdq", "err", "suc")


@pytest.fixture
def listing(root: Path, state: State) -> Listing:
    held = Held(
        (
            Hold(Scope.KEY, Cause.THROTTLED, "throttled", 0, 9, "B"),
            Hold(Scope.CHAIN, Cause.FAILING, "answered 500", 0, 5, "A", "=x"),
        ),
        {"20_A.txt": Tries(3, 1, "answered 500")},
    )
    return Listing(str(root), state, held)


def put(root: Path, place: str, name: str, dedup_key: str | None = None, **more: object) -> None:
    key = name.partition("_")[2].removesuffix(".txt")
    body = {"routing_key": key, "event_action": "trigger", "dedup_key": dedup_key, **more}
    (root / place / name).write_text(json.dumps(body, ensure_ascii=False))


def found(listing: Listing, **wanted: object) -> list[str]:
    query = Query(**wanted)  # type: ignore[arg-type]
    records = listing.records(query, listing.names(query, NOW))
    return [record.name for record in records]


def test_order_and_states(root: Path, listing: Listing) -> None:
    """Pending and in error together, in the order of acceptance; delivered if asked for."""
    put(root, "pdq", "30_A.txt")
    put(root, "err", "4_A.txt")
    put(root, "suc", "1_A.txt")
    (root / "err" / "junk").touch()
    assert found(listing) == ["4_A.txt", "30_A.txt"]
    assert found(listing, states=("suc",)) == ["1_A.txt"]
    assert found(listing, states=ALL) == ["1_A.txt", "4_A.txt", "30_A.txt"]


def test_refused_by_an_old_agent(root: Path, listing: Listing, state: State) -> None:
    """What has no reason of ours, and is no event of Events API v1, which is all it knew."""
    put(root, "err", "1_A.txt")
    put(root, "err", "2_A.txt")
    put(root, "err", "3_A.txt", event_action=None)
    (root / "err" / "4_A.txt").write_text('{"service_key": "A", "event_type": "trigger"}')
    (root / "err" / "5_A.txt").write_text("bad json")
    state.keep_reason("2_A.txt", Reason("2026-11-23T02:52:36Z", 400, "refused", 1))
    assert found(listing, states=("err",), refused_by_old_agent=True) == ["1_A.txt", "3_A.txt"]


def test_filters(root: Path, listing: Listing) -> None:
    """By key, dedup key, age, and all at once."""
    for name, dedup_key in [("1_A.txt", "x"), ("2_A.txt", "y"), ("3_B.txt", "x")]:
        put(root, "pdq", name, dedup_key)
    put(root, "pdq", f"{int(NOW - 100)}000000_A.txt", "x")
    recent = f"{int(NOW - 100)}000000_A.txt"
    assert found(listing, key="B") == ["3_B.txt"]
    assert found(listing, dedup_key="x") == ["1_A.txt", "3_B.txt", recent]
    assert found(listing, dedup_key="x", key="A", older=101.0) == ["1_A.txt"]
    assert found(listing, newer=101.0) == [recent]
    assert found(listing, newer=99.0) == []


def test_a_dedup_key_is_found_however_it_is_spelled(root: Path, listing: Listing) -> None:
    """In JSON's escapes too, and whatever letters it has."""
    body = '{"routing_key":"A","event_action":"trigger","dedup_key":"d\\u0069sk"}'
    (root / "pdq" / "1_A.txt").write_text(body)
    put(root, "pdq", "2_A.txt", 'Straße "\\')
    put(root, "pdq", "3_A.txt", "disk2")
    assert found(listing, dedup_key="disk") == ["1_A.txt"]
    assert found(listing, dedup_key='Straße "\\') == ["2_A.txt"]


def test_only_what_is_wanted_is_opened(root: Path, listing: Listing) -> None:
    """The others are names: 100,000 of them cost nothing."""
    put(root, "pdq", "1_A.txt")
    os.mkfifo(root / "pdq" / "2_B.txt")  # would be told as such if it were looked at
    names = listing.names(Query(), NOW)
    records = listing.records(Query(), names)
    assert next(records).name == "1_A.txt"
    assert next(records).problem == "it is not a regular file"


def test_why_an_event_waits(root: Path, state: State, listing: Listing) -> None:
    """Its own failure, or the hold over it; of one in error the reason."""
    put(root, "pdq", "20_A.txt", "x")
    put(root, "pdq", "21_A.txt", "x")
    put(root, "pdq", "22_A.txt", "y")
    put(root, "pdq", "23_B.txt", "x")
    put(root, "err", "24_A.txt", "x")
    state.keep_reason("24_A.txt", Reason("2026-11-23T02:52:36Z", 400, "Bad mood", 1))
    query = Query()
    records = list(listing.records(query, listing.names(query, NOW)))
    told = [(record.why, record.attempts) for record in records]
    assert told == [("answered 500", 3), ("answered 500", 0), ("", 0), ("throttled", 0),
                    ("Bad mood", 1)]  # fmt: skip
    assert found(listing, reason="400") == ["24_A.txt"]
    assert found(listing, reason="bad MOOD") == ["24_A.txt"]
    assert found(listing, reason="500") == ["20_A.txt", "21_A.txt"]


def test_find(root: Path, listing: Listing) -> None:
    """By name, by its beginning if that is one event's, by the name that the log shows."""
    name = f"1795402356123456_{LONG}.txt"
    put(root, "err", name)
    put(root, "pdq", f"1795402356123457_{LONG}.txt")
    (root / "err" / "junk").touch()
    assert listing.find(name) == ("err", name)
    assert listing.find("1795402356123456") == ("err", name)
    assert listing.find("1795402356123456_*0617") == ("err", name)
    assert listing.find("junk") == ("err", "junk")
    with pytest.raises(Ambiguous, match=r"2 events are called 17954: \d+_\*0617, \d+_\*0617$"):
        listing.find("17954")
    with pytest.raises(NoSuchEvent, match="no event pending is called 1795402356123456"):
        listing.find("1795402356123456", ("pdq",))


@pytest.mark.parametrize("event", ["", "../err", "/etc/passwd", ".", "..", "a\0b", "nope", "*0617"])
def test_what_is_no_event(root: Path, listing: Listing, event: str) -> None:
    """Nothing leads out of the spool, and nothing means everything."""
    put(root, "pdq", f"1_{LONG}.txt")
    with pytest.raises(NoSuchEvent):
        listing.find(event)


def test_what_cannot_be_read_is_listed_with_the_reason(root: Path, listing: Listing) -> None:
    """Nothing hides."""
    (root / "pdq" / "1_A.txt").write_text("not JSON")
    query = Query()
    [record] = listing.records(query, listing.names(query, NOW))
    assert record.event is None
    assert record.why.startswith("it is not JSON")
    assert listing.contents(record) == b"not JSON"


@pytest.mark.parametrize("number", [errno.EIO, errno.EUCLEAN])
def test_what_the_disk_fails_on_hides_no_other(
    root: Path, listing: Listing, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It is listed with what the disk says. What a person could mend by asking again is raised."""
    for name in ("1_A.txt", "2_A.txt"):
        put(root, "pdq", name)
    really, said = os.lstat, [number, errno.EMFILE]

    def lstat(path: str) -> os.stat_result:
        if path.endswith("1_A.txt"):
            raise OSError(said[0], os.strerror(said.pop(0)))
        return really(path)

    monkeypatch.setattr(os, "lstat", lstat)
    names = listing.names(Query(), NOW)
    problems = [record.problem for record in listing.records(Query(), names)]
    assert problems == [f"it can't be read: {os.strerror(number)}", ""]
    with pytest.raises(OSError, match="Too many open files"):
        list(listing.records(Query(), names))


def test_what_moves_on_meanwhile_is_left_out(root: Path, listing: Listing) -> None:
    """The daemon does not wait for anybody who looks."""
    put(root, "pdq", "1_A.txt")
    names = listing.names(Query(), NOW)
    (root / "pdq" / "1_A.txt").unlink()
    assert list(listing.records(Query(), names)) == []


def test_accepted() -> None:
    """In seconds; a name that no clock wrote has no time."""
    assert accepted("1795402356123456_A.txt") == 1795402356.123456
    assert accepted("9" * 20 + "_A.txt") is None
    assert accepted("junk") is None
