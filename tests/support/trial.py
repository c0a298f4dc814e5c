"""A trial: events are sent while faults are injected, and afterwards the promises are looked at.

Every event that `pd-send` acknowledged is remembered. After the faults, `recovers` sees to it that
a daemon runs and checks, against what the Events API got and what is in the spool:

- lost: an acknowledged event is neither delivered, nor pending, nor in error with its reason; or it
  left the queue as delivered, but PagerDuty never took it;
- reordered: an event was delivered before another of its key and dedup key that was acknowledged
  before it was even sent;
- hands needed: the daemon does not start, or does not deliver what is pending, or holds up a
  stranger's event;
- that resent events are the same byte for byte, and that neither keys nor bodies are shown.
"""

import contextlib
import itertools
import json
import os
import stat
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, OTHER
from tests.support.events_api import EventsApi, Request
from tests.support.events_api.schema import summary
from tests.support.users import SENDER, User

RECOVERY_SECONDS = 90.0


@dataclass
class Sent:
    """One event that somebody wanted sent. Times are monotonic; `acknowledged` is None if nobody
    was told that it is accepted; `direct`: it did not go through the queue."""

    text: str
    key: str
    dedup_key: str
    began: float
    acknowledged: float | None = None
    direct: bool = False

    def precedes(self, other: "Sent") -> bool:
        """Whether both are of one chain and this one has to be delivered first."""
        return (
            (self.key, self.dedup_key) == (other.key, other.dedup_key)
            and not (self.direct or other.direct)
            and self.acknowledged is not None
            and other.acknowledged is not None
            and self.acknowledged < other.began
        )


@dataclass
class Found:
    """What a look at the promises found."""

    injections: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    hands: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @property
    def row(self) -> tuple[int, int, int, int, int]:
        return (
            self.injections,
            self.acknowledged,
            len(self.lost),
            len(self.reordered),
            len(self.hands),
        )

    @property
    def broken(self) -> list[str]:
        return [
            f"{promise}: {what}"
            for promise in ("lost", "reordered", "hands", "others")
            for what in getattr(self, promise)
        ]


class Trial:
    """Faults against one agent. `long`: as many of them as there are, not a choice."""

    def __init__(self, agent: Agent, api: EventsApi, long: bool = False) -> None:
        self.agent = agent
        self.api = api
        self.long = long
        self.found = Found()
        self._sent: dict[str, Sent] = {}
        self._numbers = itertools.count()

    # --- faults ---------------------------------------------------------------------------------

    def injections(self, short: Sequence[int], long: Sequence[int]) -> Iterator[int]:
        """The numbers of the faults to inject, each counted as one when it is drawn."""
        for number in long if self.long else short:
            self.injected()
            yield number

    def some(self, points: Sequence[str], most: int, first: int = 0) -> Iterator[str]:
        """Where to inject faults: everywhere, or in the short form at so many of the points, as far
        apart as can be. Threads share the work anew each time, so none of these may be reached:
        then others follow until one is."""
        yield from points if self.long else points[first :: -(-len(points) // most)]
        for point in points:
            if self.found.injections:
                return
            yield point

    def injected(self, count: int = 1) -> None:
        """So many faults were injected."""
        self.found.injections += count

    # --- events ---------------------------------------------------------------------------------

    def send(
        self,
        dedup_key: str,
        action: str = "trigger",
        *arguments: str,
        key: str = KEY,
        user: User = SENDER,
        under: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> "CompletedProcess[bytes]":
        """A real `pd-send`, perhaps `under` a command that runs it, such as strace. Whether it
        succeeds is the caller's to judge; exit 0 is an acknowledgement."""
        event = self.begin(key, dedup_key)
        result = self.agent.run(
            "pd-send",
            *("-k", key, "-t", action, "-i", dedup_key, "-d", event.text, *arguments),
            user=user,
            under=under,
            environment=environment,
        )
        if result.returncode == 0:
            self.acknowledge(event, direct=b"directly" in result.stderr)
        return result

    def begin(self, key: str, dedup_key: str) -> Sent:
        """An event that is about to be sent some other way; `text` is to be its description."""
        # not the count of those sent: two threads could see the same, and send two events as one
        text = f"body {next(self._numbers):06} of {self._name}"
        event = Sent(text, key, dedup_key, time.monotonic())
        self._sent[event.text] = event
        return event

    def acknowledge(self, event: Sent, direct: bool = False) -> None:
        """Its sender was told that it is accepted."""
        event.direct = direct
        event.acknowledged = time.monotonic()
        self.found.acknowledged += 1

    def acknowledged(self, by: float) -> list[Sent]:
        """The events that somebody was told are accepted, by that monotonic time."""
        sent = list(self._sent.values())
        return [e for e in sent if e.acknowledged is not None and e.acknowledged <= by]

    @property
    def _name(self) -> str:
        return self.agent.root.name

    # --- afterwards -----------------------------------------------------------------------------

    def recovers(self) -> None:
        """Starts a daemon if none is there, and asserts that without any other help all is well:
        the faults must be over, and the Events API willing."""
        if self.agent.daemon is None:
            try:
                self.agent.start()
            except AssertionError as error:
                self.found.hands.append(f"the daemon does not start: {error}")
        self._probe()
        try:
            wait_until(lambda: not self._waiting(), RECOVERY_SECONDS)
        except AssertionError:
            self.found.hands += [f"not delivered: {text}" for text in self._waiting()]
        self.check()

    def check(self) -> None:
        """Asserts the promises that hold at any moment, as things are now."""
        self._check_fates()
        self._check_order()
        self._check_copies()
        self._check_privacy()
        assert not self.found.broken, "\n".join(map(str, self.found.broken))

    def _probe(self) -> None:
        # one who has nothing to do with it all: neither key nor dedup key were seen before
        event = self.begin(OTHER, f"probe {len(self._sent)}")
        number = len(self.api.requests)
        result = self.agent.run(
            "pd-send",
            *("-k", OTHER, "-t", "trigger", "-i", event.dedup_key, "-d", event.text),
            user=SENDER,
        )
        if result.returncode != 0:
            self.found.hands.append(f"pd-send fails: {result.stderr.decode()}")
            return
        try:
            self.api.wait_for(
                lambda seen: any(_text(r) == event.text for r in seen[number:]), RECOVERY_SECONDS
            )
        except TimeoutError:
            self.found.hands.append("a stranger's event is held up")

    def _waiting(self) -> set[str]:
        """The events that are pending, and the acknowledged ones that are neither delivered nor in
        error."""
        acknowledged = {event.text for event in self._sent.values() if event.acknowledged}
        unsettled = acknowledged - self._delivered().keys() - self._files("err").keys()
        return unsettled | self._files("pdq").keys()

    def _check_fates(self) -> None:
        # In the order in which a running daemon moves an event: one that is no longer where it was
        # looked for is found at the next look.
        pending, in_error, in_suc = self._files("pdq"), self._files("err"), self._files("suc")
        delivered = self._delivered()
        for event in self._sent.values():
            if event.acknowledged and not any(
                event.text in fate for fate in (delivered, pending, in_error)
            ):
                self.found.lost.append(event.text)
        self.found.lost += [
            f"not delivered, but settled so: {t}" for t in in_suc.keys() - delivered
        ]
        for text, path in in_error.items():
            try:
                reason = (self.agent.data_dir / "db" / "reasons" / path.name).read_text()
                assert json.loads(reason)["reason"]
            except (OSError, ValueError, KeyError, AssertionError):
                self.found.others.append(f"in error without a reason: {text}")

    def _check_order(self) -> None:
        # A crash may have a whole stretch delivered again; so what counts is the first time, and
        # how things stand after the last. An event that was refused before, which a power cut may
        # have forgotten, has had its turn.
        accepted = self._delivered()
        refused = {_text(request) for request in self.api.requests if request.status == 400}
        chains: dict[tuple[str, str], list[Sent]] = defaultdict(list)
        for event in self._sent.values():
            if event.text in accepted:
                chains[event.key, event.dedup_key].append(event)
        for chain in chains.values():
            for first in chain:
                for second in chain:
                    if first.precedes(second) and (
                        (
                            first.text not in refused
                            and accepted[first.text][0] > accepted[second.text][0]
                        )
                        or accepted[first.text][-1] > accepted[second.text][-1]
                    ):
                        self.found.reordered.append(
                            f"{second.text} came before {first.text}: taken at "
                            f"{accepted[second.text]} and {accepted[first.text]}"
                        )

    def _check_copies(self) -> None:
        bodies: dict[tuple[str, str], set[bytes]] = defaultdict(set)
        for request in self.api.requests:
            bodies[request.path, _text(request)].add(request.body)
        self.found.others += [
            f"sent in {len(different)} versions: {text}"
            for (_, text), different in bodies.items()
            if len(different) > 1 and text in self._sent
        ]

    def _check_privacy(self) -> None:
        """No key or body in logs, errors or a child's arguments, and no file of ours for others."""
        # keys: the agent's own tests of what it showed
        keys = {event.key for event in self._sent.values()}
        said = self.agent.log + self.agent.said + self._output()
        self.found.others += [f"shown: {key}" for key in self.agent.shown_keys({*keys})]
        self.found.others += [f"shown: {text}" for text in self._sent if text in said]
        files = [path for name in ("pdq", "suc", "err") for path in self._files(name).values()]
        files += [*self.agent.data_dir.glob("db/**/*"), *(self.agent.root / "log").glob("*")]
        for path in files:
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            if path.name == "agent_id.txt":  # every pd-send may quote it
                continue
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o007:
                self.found.others.append(f"for others: {path.name}")
        if self.agent.daemon is not None:
            for task in Path(f"/proc/{self.agent.daemon.pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):  # a thread that has ended meanwhile
                    self.found.others += [f"a child: {child}" for child in task.read_text().split()]

    def _output(self) -> str:
        output = self.agent.output
        return output.read_text(errors="replace") if output.exists() else ""

    def _delivered(self) -> dict[str, list[int]]:
        """The descriptions that PagerDuty took, and when: numbers of requests, in order."""
        found: dict[str, list[int]] = defaultdict(list)
        for request in self.api.accepted:
            found[_text(request)].append(request.number)
        return found

    def _files(self, directory: str) -> dict[str, Path]:
        """The files of our events in a directory of the spool, by description."""
        found = {}
        for name in os.listdir(self.agent.spool / directory):
            path = self.agent.spool / directory / name
            if (text := _text_in(path)) in self._sent:
                found[text] = path
        return found


def _text(request: Request) -> str:
    return summary(request.event) if request.event is not None else ""


def _text_in(path: Path) -> str:
    """The description of the event in a file of the spool, "" where there is none."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > 5_000_000:
            return ""
        event = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""  # it has just moved on, or was never an event
    return summary(event) if isinstance(event, dict) else ""
