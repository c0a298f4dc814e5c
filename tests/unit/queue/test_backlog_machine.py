"""The daemon's half of the spool, with everything at once."""

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pdagent.queue.backlog import Backlog
from pdagent.queue.names import key_of
from pdagent.queue.pending import Hostile, Unfinished
from pdagent.queue.states import counts
from pdagent.spool import Spool, file_name
from tests.support.looking import looked
from tests.unit.queue.entries import HOSTILE, hostile

KEYS = st.sampled_from(["A", "B_b", "C c"])
KINDS = st.sampled_from(sorted(set(HOSTILE) - {"too large", "nested"}))


class SpoolMachine(RuleBasedStateMachine):
    """Senders, vandals, crashes, a clock that jumps, a daemon and an administrator share a spool.

    Each event has a number of its own in its body, so that it can be found again wherever it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="pdagent-"))
        for name in ("tmp", "pdq", "suc", "err"):
            (self.root / name).mkdir()
        self.clock = 1_000_000
        self.number = 0
        self.backlog = Backlog(str(self.root))
        self.spool = Spool(str(self.root), lambda: self.clock * 1000)
        self.where: dict[int, str] = {}  # accepted events, and the directory each must be in
        self.vandalism = 0  # entries that are no events

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def made(self, key: str) -> tuple[int, bytes]:
        self.number += 1
        body = {"routing_key": key, "event_action": "trigger", "n": self.number}
        return self.number, json.dumps(body).encode()

    # --- what happens -----------------------------------------------------------------------

    @rule(ticks=st.integers(-5, 5))
    def the_clock_moves(self, ticks: int) -> None:
        self.clock += ticks

    @rule(key=KEYS, times=st.integers(1, 4))
    def enqueue(self, key: str, times: int) -> None:
        for _ in range(times):
            number, data = self.made(key)
            name = self.spool.enqueue(key, data)
            assert key_of(name) == key
            self.where[number] = "pdq"

    @rule(key=KEYS)
    def die_before_link(self, key: str) -> None:
        self.leave_in_tmp(key, self.made(key)[1])

    @rule(key=KEYS)
    def die_before_unlink(self, key: str) -> None:
        number, data = self.made(key)
        path = self.leave_in_tmp(key, data)
        for tick in range(1000):
            target = self.root / "pdq" / file_name(self.clock + tick, key)
            if not os.path.lexists(target):
                os.link(path, target)
                break
        self.where[number] = "pdq"

    def leave_in_tmp(self, key: str, data: bytes) -> Path:
        path = self.root / "tmp" / file_name(self.clock - self.number * 10_000, key)
        path.write_bytes(data)
        return path

    @rule(kind=KINDS, key=KEYS, named=st.booleans())
    def vandalise(self, kind: str, key: str, named: bool) -> None:
        name = file_name(self.clock, key) if named else f"junk{self.clock}"
        path = self.root / "pdq" / name
        if not os.path.lexists(path):
            hostile(path, kind)
            self.vandalism += 1

    @rule(data=st.data(), most=st.integers(1, 5))
    def drain(self, data: st.DataObject, most: int) -> None:
        events, others = looked(self.backlog)
        assert events == sorted(events, key=lambda name: (int(name.partition("_")[0]), name))
        for name in others:
            self.backlog.settle_in_error(name)
        for name in events[:most]:
            self.take(name, data.draw(st.sampled_from(["delivered", "in error", "waits"])))

    def take(self, name: str, fate: str) -> None:
        try:
            pending = self.backlog.load(name)
        except Unfinished as unfinished:
            pending = unfinished.pending
            self.backlog.adopt(name)
            assert self.backlog.load(name).data == pending.data
        except Hostile:
            self.backlog.settle_in_error(name)
            return
        number = pending.body["n"]
        assert isinstance(number, int)
        assert self.where[number] == "pdq", "pending again, or never accepted"
        if fate == "delivered":
            self.backlog.settle_delivered(name)
            self.where[number] = "suc"
        elif fate == "in error":
            self.backlog.settle_in_error(name)
            self.where[number] = "err"

    @precondition(lambda self: "err" in self.where.values())
    @rule(key=st.none() | KEYS)
    def retry(self, key: str | None) -> None:
        for old in self.backlog.names("err"):
            if key is not None and key_of(old) != key:
                continue
            new = self.backlog.name_in_place(old, "pdq")
            self.backlog.retry(old, new)
            path = self.root / "pdq" / new
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 1000:
                number = number_in(path)
                if number is not None:
                    assert self.where[number] == "err"
                    self.where[number] = "pdq"

    @precondition(lambda self: self.where)
    @rule(data=st.data(), place=st.sampled_from(["pdq", "err", "suc"]))
    def purge(self, data: st.DataObject, place: str) -> None:
        names = self.backlog.names(place)
        entries = [(place, name) for name in names if data.draw(st.booleans())]
        numbers = [number_in(self.root / place / name) for _, name in entries]
        assert self.backlog.purge(entries) == entries
        self.vandalism -= numbers.count(None)
        for number in numbers:
            self.where.pop(number or 0, None)

    # --- what holds -----------------------------------------------------------------------------

    @invariant()
    def every_accepted_event_is_where_it_should_be_and_nowhere_else(self) -> None:
        found: Counter[tuple[int, str]] = Counter()
        others = 0
        for place in ("pdq", "suc", "err"):
            for entry in self.entries(place):
                number = number_in(entry)
                if number is None:
                    others += 1
                else:
                    found[number, place] += 1
        assert found == Counter(self.where.items())
        assert others == self.vandalism, "somebody's entry was overwritten"

    def entries(self, place: str) -> Iterator[Path]:
        yield from (self.root / place).iterdir()

    @invariant()
    def the_counts_are_those_of_the_directories(self) -> None:
        found = counts(str(self.root)).values()
        named = {
            place: sum(key_of(path.name) is not None for path in self.entries(place))
            for place in ("pdq", "suc", "err")
        }
        assert sum(count.pending for count in found) == named["pdq"]
        assert sum(count.delivered for count in found) == named["suc"]
        assert sum(count.in_error for count in found) == named["err"]


def number_in(path: Path) -> int | None:
    """The number of the event in a file, None for a vandal's entry."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > 1000:
        return None
    try:
        number = json.loads(path.read_bytes()).get("n")
    except (ValueError, AttributeError):
        return None
    return number if isinstance(number, int) else None


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
