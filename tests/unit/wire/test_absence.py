"""When a post that waits for its answer is away."""

import contextlib
import math
import threading
from collections.abc import Iterator

import pytest

from pdagent.wire.absence import PATIENCE_SECONDS, QUICK_SECONDS, Absence
from pdagent.wire.proxy import Proxy
from tests.support.events_api import CertificateAuthority
from tests.support.raw_server import OK, Conversation, serving
from tests.unit.wire.conversations import REQUEST, Away, Passing, soon, to

LATE = QUICK_SECONDS * 2


class Line:
    """The other side: each part of an answer takes so many seconds to come."""

    def __init__(self) -> None:
        self.now = 0.0
        self.takes = 0.0

    def receive(self, size: int, most: float) -> bytes:
        self.now += min(self.takes, most)
        if self.takes > most:
            self.takes -= most
            raise TimeoutError
        return b"x" * size

    def read(self, absence: Absence, away: Away, *takes: float) -> None:
        """An answer in as many parts."""
        with contextlib.ExitStack() as rest:
            receive = absence.receiver(self.receive, away.post(), rest)
            for self.takes in takes:
                assert receive(3) == b"xxx"
        assert not away.is_on


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def absence(line: Line) -> Absence:
    return Absence(lambda: line.now)


@pytest.fixture
def away() -> Iterator[Away]:
    made = Away()
    yield made
    assert not made.is_on


@pytest.mark.parametrize(
    ("takes", "times"),
    [
        ((QUICK_SECONDS,), 1),  # nobody knows how quick the other side is
        ((QUICK_SECONDS, QUICK_SECONDS, 0.0), 1),
        ((0.0, LATE), 1),  # within its patience
        ((0.0, LATE, 0.0), 2),
        ((0.0, LATE, 0.0, 0.0), 2),
        ((0.0, 20.0), 2),
        ((0.0, 20.0, 0.0), 3),
        ((LATE, LATE, LATE), 3),
    ],
)
def test_a_post_stays_where_the_last_answer_came_at_once(
    line: Line, absence: Absence, away: Away, takes: tuple[float, ...], times: int
) -> None:
    """But not for long."""
    for seconds in takes:
        line.read(absence, away, seconds)
    assert away.times == times
    assert line.now == pytest.approx(sum(takes))


def test_nobody_waits_for_a_slow_answer(line: Line, absence: Absence, away: Away) -> None:
    """Its post is away after a moment."""
    line.read(absence, away, 0.0)
    waited = []

    def receive(size: int, most: float) -> bytes:
        waited.append((most, away.is_on))
        return line.receive(size, most)

    line.takes = 20.0
    with contextlib.ExitStack() as rest:
        absence.receiver(receive, away.post(), rest)(3)
    assert waited == [(PATIENCE_SECONDS, False), (math.inf, True)]


@pytest.mark.parametrize("quick", [True, False])
def test_of_an_answer_in_parts_a_post_stays_away(
    line: Line, absence: Absence, away: Away, quick: bool
) -> None:
    """Else its other side could keep others from their work, a moment for each part."""
    line.read(absence, away, 0.0 if quick else 1.0)
    before, absent = away.times, []

    def receive(size: int, _most: float) -> bytes:
        absent.append(away.is_on)
        return b"x" * size

    with contextlib.ExitStack() as rest:
        receive_part = absence.receiver(receive, away.post(), rest)
        for _ in range(100):
            receive_part(1)
    assert absent == [not quick] + [True] * 99
    assert away.times - before == (1 if quick else 2)


def test_a_deadline_holds(absence: Absence, away: Away) -> None:
    """The post is overdue, whatever it was doing."""

    def receive(_size: int, _most: float) -> bytes:
        raise TimeoutError

    with pytest.raises(TimeoutError), contextlib.ExitStack() as rest:
        absence.receiver(receive, away.post(), rest)(3)


@pytest.mark.parametrize("proxied", ["", "http", "https"])
def test_an_answer_that_comes_after_the_patience_is_read_whole(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch, proxied: str
) -> None:
    """By a real connection with TLS, also within a proxy's, whose last answer came at once."""
    monkeypatch.setattr("pdagent.wire.absence.QUICK_SECONDS", math.inf)
    may_answer = threading.Event()

    class Slower(Conversation):
        def handle(self) -> None:
            self.read()
            self.request.sendall(OK)
            self.read()
            may_answer.wait(60)
            self.request.sendall(OK)

    class Gate(Away):
        def __enter__(self) -> None:
            super().__enter__()
            if self.times == 2:
                may_answer.set()

    away = Gate()
    outer = authority.context() if proxied == "https" else None
    with serving(Slower, tls=authority.context()) as server, serving(Passing, tls=outer) as gate:
        proxy = Proxy(proxied, "localhost", gate.port, "proxy_url") if proxied else None
        connection = to(server.url, proxy, ca_file=authority.ca_file)
        connection.open(soon())
        for _ in range(2):
            assert connection.exchange(REQUEST, away.post()).status == 202
        connection.close()
    assert away.times == 2
