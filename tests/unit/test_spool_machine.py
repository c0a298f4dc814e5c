"""The spool with everything at once, on a real directory: whoever dies at whatever call, and
whichever call fails, an accepted event is in one place, whole, and gets where it belongs."""

import json
import os
import posix
import shutil
import tempfile
import time
from errno import EIO, EMFILE, ENOSPC
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pdagent import spool
from pdagent.queue import backlog, cleanup, intervention, state
from pdagent.queue.backlog import Backlog
from pdagent.queue.budget import Disk
from pdagent.queue.cleanup import Cleanup
from pdagent.queue.intervention import Intervention
from pdagent.queue.names import key_of
from pdagent.queue.pending import Hostile, Unfinished
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import Counters, State
from pdagent.spool import DELIVERED, IN_ERROR, PENDING, TEMPORARY, Spool, SpoolError
from tests.support.calls import Calls, Died, Fault
from tests.support.looking import looked

GONE = "gone"
HOSTILE = ["1_KEY3.txt", "2_KEY3.txt", "file"]  # names that come again
ROOMY = Disk(10**12, 10**12, 10**6, 10**6)
ERRORS = st.sampled_from([0, 0, None, EIO, EIO, ENOSPC, EMFILE])
FAULTS = st.none() | st.builds(Fault, st.integers(1, 12) | st.integers(1, 40), ERRORS)
KEYS = st.sampled_from(["KEY1", "KEY2"])
MODULES = (spool, "posix"), *((m, "os") for m in (backlog, state, cleanup, intervention))


class SpoolMachine(RuleBasedStateMachine):
    """Senders and a daemon, neither of which has a long life.

    The model knows of each event that somebody was told is accepted in which directories it may
    be. Whoever looks, at the end of each step, finds it in exactly one of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        self.root = Path(self.scratch.name) / "outqueue"
        for name in (PENDING, DELIVERED, IN_ERROR, TEMPORARY):
            (self.root / name).mkdir(parents=True)
        (self.root.parent / "db").mkdir()
        self.calls = Calls(os)
        for module, name in MODULES:
            setattr(module, name, self.calls)
        self.number = 0
        self.later = 0.0
        self.places: dict[bytes, set[str]] = {}  # of accepted events, and others
        self.hostile: set[bytes] = set()  # of files that are no events
        self.denied: set[bytes] = set()  # of those whose senders were told that they are not
        self.chains: dict[str, list[bytes]] = {"KEY1": [], "KEY2": []}
        self.delivered: list[bytes] = []
        self.unreasoned = False

    @initialize()
    def start(self) -> None:
        """The daemon, which knows nothing but what is on the disk."""
        self.backlog = Backlog(str(self.root))
        self.state = State(str(self.root.parent))
        counters = Counters(self.state, self.wall())
        self.settlement = Settlement(self.backlog, self.state, counters, self.wall)
        self.cleanup = Cleanup(str(self.root), self.state, self.wall, self.running, lambda _: ROOMY)

    def wall(self) -> float:
        return time.time() + self.later

    def running(self) -> float:
        return time.monotonic() + self.later

    # --- senders --------------------------------------------------------------------------------

    @rule(key=KEYS, fault=FAULTS)
    def enqueue(self, key: str, fault: Fault | None) -> None:
        self.number += 1
        body = json.dumps({"service_key": key, "number": self.number, "incident_key": "i"}).encode()
        self.calls.inject(fault)
        try:
            Spool(str(self.root)).enqueue(key, body)
        except SpoolError:
            self.denied.add(body)
        except Died:
            pass  # nobody was told anything: it may be there or not, but not in part
        else:
            self.places[body] = {PENDING}
            self.chains[key].append(body)
        self.calls.inject(None)

    @rule(start=st.sampled_from([b"{", b"[]", b"\xff"]), name=st.sampled_from(HOSTILE))
    def drop(self, start: bytes, name: str) -> None:
        """A script's own idea of an event."""
        self.number += 1
        path = self.root / PENDING / name
        if not path.exists():
            body = start + b"%d" % self.number
            path.write_bytes(body)
            self.places[body] = {PENDING}
            self.hostile.add(body)

    # --- the daemon -----------------------------------------------------------------------------

    @rule(taken=st.integers(1, 4), good=st.booleans(), fault=FAULTS)
    def work(self, taken: int, good: bool, fault: Fault | None) -> None:
        """Events get their answers, oldest first, until there are no more, or the daemon dies."""
        for body in self.hostile & self.places.keys():
            if self.places[body] == {PENDING}:
                self.places[body] = {PENDING, IN_ERROR}
        self.calls.inject(fault)
        touched: set[bytes] = set()
        try:
            names, others = looked(self.backlog)
            for name in others:
                self.settlement.in_error(name, "its name is not an event's")
            self.settlement.retried(names)
            for name in names[:taken]:
                if name not in self.settlement:
                    self.handle(name, good, touched)
        except Died:
            self.calls.inject(None)
            self.start()
        except OSError:
            pass  # it will look again
        self.calls.inject(None)
        if not good:  # a person who tries them again has them sent behind the others
            self.chains = {k: [b for b in c if b not in touched] for k, c in self.chains.items()}
        for body in touched & self.places.keys():
            # its move may have failed, or not have come about: then it is sent once more
            self.places[body] = {PENDING, DELIVERED if good else IN_ERROR}
        # a full disk costs the reason, not the event
        self.unreasoned |= fault is not None and bool(fault.error)

    def handle(self, name: str, good: bool, touched: set[bytes]) -> None:
        try:
            pending = self.backlog.load(name)
        except Unfinished as unfinished:
            self.backlog.adopt(name)
            pending = unfinished.pending
        except Hostile as reason:
            self.settlement.in_error(name, str(reason))
            return
        touched.add(pending.data)
        if good:
            self.delivered.append(pending.data)
            self.settlement.delivered(name)
        else:
            self.settlement.in_error(name, "refused", 400, 1)

    @rule()
    def die(self) -> None:
        self.start()

    @rule(key=st.none() | KEYS, fault=FAULTS)
    def retry(self, key: str | None, fault: Fault | None) -> None:
        self.calls.inject(fault)
        for body, places in self.places.items():
            if places == {IN_ERROR}:
                self.places[body] = {IN_ERROR, PENDING}
        try:
            for name in sorted(os.listdir(self.root / IN_ERROR)):
                if key_of(name) is not None and key in (None, key_of(name)):
                    Intervention(str(self.root), self.state, str).retry(name)
        except (OSError, Died):
            pass
        self.calls.inject(None)

    @rule(fault=FAULTS)
    def clean(self, fault: Fault | None) -> None:
        """A day passes; everything that was settled before it is old."""
        self.later += 86_400
        for body, places in self.places.items():
            if places <= {DELIVERED, IN_ERROR}:
                self.places[body] = places | {GONE}
        self.calls.inject(fault)
        try:
            self.cleanup.sweep(80_000)
        except Died:
            self.calls.inject(None)
            self.start()
        self.calls.inject(None)

    # --- what is there --------------------------------------------------------------------------

    def found(self) -> dict[bytes, list[str]]:
        """Contents, and the directories that have them."""
        found: dict[bytes, list[str]] = {}
        for directory in (PENDING, DELIVERED, IN_ERROR):
            for path in (self.root / directory).iterdir():
                found.setdefault(path.read_bytes(), []).append(directory)
        return found

    @invariant()
    def accepted_is_kept(self) -> None:
        """In one of the places where it may be, and from now on in no other."""
        found = self.found()
        for body, places in self.places.items():
            [place] = found.get(body, [GONE])
            assert place in places, f"{body!r}: {place}, not {places}"
            places.intersection_update({place})

    @invariant()
    def nothing_else_is_sent(self) -> None:
        """What was not accepted is not in the queue; what the sender did not live to hear of may
        be."""
        assert not self.denied & self.found().keys()

    @invariant()
    def an_error_has_its_reason(self) -> None:
        if not self.unreasoned:
            for name in os.listdir(self.root / IN_ERROR):
                assert self.state.reason(name) is not None, name

    @invariant()
    def in_order(self) -> None:
        """By the first time that each of them was delivered."""
        for chain in self.chains.values():
            first = [self.delivered.index(body) for body in chain if body in self.delivered]
            assert first == sorted(first)

    def teardown(self) -> None:
        """With all faults over, everything that is pending is delivered, and in time all else is
        gone."""
        try:
            self.calls.inject(None)
            self.start()
            self.work(1000, True, None)
            self.accepted_is_kept()
            assert os.listdir(self.root / PENDING) == []
            assert all(p.stat().st_nlink == 1 for p in (self.root / DELIVERED).iterdir())
            self.clean(None)
            self.clean(None)
            left = [path for path in self.root.glob("*/*") if path.is_file()]
            assert left == []
            assert list(self.root.parent.glob("db/reasons/*")) == []
        finally:
            spool.posix = posix  # type: ignore[attr-defined]
            backlog.os = state.os = cleanup.os = os  # type: ignore[attr-defined]
            shutil.rmtree(self.scratch.name)


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(
    max_examples=80, stateful_step_count=20, deadline=None, report_multiple_bugs=False
)
