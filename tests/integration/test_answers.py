"""Whose answer is it? A server may say anything between and behind its answers: an event is taken
for delivered, or refused, only if that was the answer to this very event. Over real sockets."""

import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdagent.config import Config
from pdagent.event import Event
from pdagent.queue.pending import understand
from pdagent.wire.delivery import Delivery
from pdagent.wire.verdict import Delivered, Refused, Troubled, Unreachable, Verdict
from tests.support.agent import directory
from tests.support.events import KEY
from tests.support.events_api import CertificateAuthority
from tests.support.raw_answers import NOTHING, Play, Player, Said, plain, said, success
from tests.support.raw_server import RawServer, serving

TRIES = 40  # more than any plan has answers, and than strays can spoil
numbers = count()
Deliver = Callable[..., Verdict]


@pytest.fixture(scope="module", params=["plain", "TLS"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[RawServer, str]]:
    with directory() as root:
        authority = CertificateAuthority(str(root))
        context: ssl.SSLContext | None = authority.context() if request.param == "TLS" else None
        with serving(Player, tls=context) as server:
            yield server, authority.ca_file


def start(server: tuple[RawServer, str], play: Play) -> Deliver:
    """Delivers an event, named by its dedup key, or with none by its summary."""
    raw, ca_file = server
    raw.play = play  # type: ignore[attr-defined]
    delivery = Delivery(Config({"events_url": raw.url, "ca_file": ca_file}))

    def deliver(name: str, version: str = "v2", keyed: bool = True) -> Verdict:
        event = Event(KEY, "trigger", description=name, source="x", dedup_key=name)
        body = event.body(version, 0)
        if not keyed:
            body = body.replace(f',"dedup_key":"{name}"'.encode(), b"")
        return delivery.deliver(understand("1_x.txt", body))

    return deliver


@pytest.mark.parametrize("status", [102, 103, 199])
def test_an_answer_that_is_not_final_is_none(server: tuple[RawServer, str], status: int) -> None:
    """The defect that began this: early hints, and later the real answer, which is no."""
    interim = b"HTTP/1.1 %d Early Hints\r\nLink: </x>\r\n\r\n" % status
    play = Play({"a": [Said("an error", interim=interim)]}, Said(interim=interim))
    deliver = start(server, play)
    assert isinstance(deliver("a"), Troubled)
    assert deliver("b") == Delivered(202)
    assert deliver("a") == Delivered(202)
    assert play.seen == {"a": 2, "b": 1}


@pytest.mark.parametrize("later", [0, 0.05])
@pytest.mark.parametrize(
    "behind", [plain(202, success("other")), plain(500), b"\r\n", b"x"], ids=["yes", "no", "", "x"]
)
def test_what_is_behind_an_answer_is_nobodys(
    server: tuple[RawServer, str], behind: bytes, later: float
) -> None:
    """Whether it comes at once, or when the next event is on its way. Words that come before the
    answer to that event spoil that answer: the event is then sent again, though it was taken."""
    play = Play({"b": [Said("an error")] * 2}, Said(behind=behind, later=later))
    deliver = start(server, play)
    assert deliver("a") == Delivered(202)
    while not isinstance(verdict := deliver("b"), Delivered):
        assert isinstance(verdict, Troubled | Unreachable)
    assert "b" in play.taken
    assert play.seen["b"] >= 3


def test_a_sound_connection_is_kept(server: tuple[RawServer, str]) -> None:
    """Where nothing is behind the answers, one connection carries all."""
    before = server[0].connections
    deliver = start(server, Play())
    for number in range(20):
        assert deliver(f"{number}") == Delivered(202)
    assert server[0].connections == before + 1


@pytest.mark.parametrize("name", sorted(NOTHING))
def test_nothing_said(server: tuple[RawServer, str], name: str) -> None:
    """Each answer that says neither yes nor no holds the event, which is taken later."""
    play = Play({"a": [Said(name)]})
    deliver = start(server, play)
    assert deliver("before") == Delivered(202)
    first = deliver("a")
    while not isinstance(first, Delivered):
        assert isinstance(first, Troubled | Unreachable)
        first = deliver("a")
    assert play.seen["a"] == 2


@settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_only_its_own_answer_settles_an_event(
    server: tuple[RawServer, str], data: st.DataObject
) -> None:
    """Any plan, several events at once: what is taken for delivered was answered so, and what is
    taken for refused too; and all ends in one of these."""
    names = [f"event {next(numbers)}" for _ in range(data.draw(st.integers(2, 6)))]
    refused = st.builds(Said, refused=st.just(True), frame=st.integers(0, 2))
    plans = {name: data.draw(st.lists(said, max_size=2)) for name in names}
    for plan in plans.values():
        if data.draw(st.integers(0, 4)) == 0:
            plan += [data.draw(refused)] * TRIES
    later = data.draw(st.sampled_from([0, 0, 0.002, 0.02]))
    behind = data.draw(said).behind if later == 0 else plain(202, success("other"))
    play = Play(plans, Said(behind=behind, later=later))
    deliver = start(server, play)
    kinds = {
        name: (data.draw(st.sampled_from(["v2", "v1"])), data.draw(st.booleans())) for name in names
    }
    found: dict[str, Verdict] = {}
    lock = threading.Lock()

    def run(name: str) -> None:
        version, keyed = kinds[name]
        for _ in range(TRIES):
            verdict = deliver(name, version, keyed or version == "v1")
            if isinstance(verdict, Delivered | Refused):
                with lock:
                    found[name] = verdict
                break

    with ThreadPoolExecutor(data.draw(st.sampled_from([1, 3]))) as threads:
        list(threads.map(run, names))
    assert set(found) == set(names)
    assert {name for name in names if isinstance(found[name], Delivered)} <= play.taken
    assert {name for name in names if isinstance(found[name], Refused)} <= play.refused
