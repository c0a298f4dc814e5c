"""The network between the agent and PagerDuty, misbehaving in ways that HTTP does not know."""

import contextlib
import time
from functools import partial

import pytest

from pdagent.wire import delivery
from tests.support.agent import Agent, beginning_with, wait_until
from tests.support.events import KEY, enqueue, key, summaries
from tests.support.events_api import Answer, EventsApi, Request
from tests.support.raw_server import OK, Conversation, serving


class OneAnswer(Conversation):
    """Answers the first request on a connection, and resets at the second, as a firewall does that
    forgot the connection meanwhile."""

    def handle(self) -> None:
        if self.read():
            time.sleep(0.3)  # so that several connections are made
            self.request.sendall(OK)
        if self.request.recv(1):
            self.reset()


def test_stale_kept_connections_are_no_outage(agent: Agent) -> None:
    """Kept-alive connections that turn out dead are replaced at once: no event waits, and nobody
    reads of an outage."""
    with serving(OneAnswer) as server:
        agent.configure(events_url=server.url)
        for number in range(4):
            enqueue(agent, key(number), "a", "opens a connection")
        agent.start()
        wait_until(lambda: len(agent.names("suc")) == 4)
        assert server.requests == 4
        enqueue(agent, KEY, "a", "finds all of them dead")
        wait_until(lambda: len(agent.names("suc")) == 5)
    assert "cannot be reached" not in agent.log
    assert "failed" not in agent.log


class Drip(Conversation):
    """Answers a byte every half second: any time-out for a single read is content with that."""

    def handle(self) -> None:
        self.read()
        with contextlib.suppress(OSError):
            for byte in b"HTTP/1.1 202 Accepted\r\n\r\n":
                self.request.sendall(bytes([byte]))
                time.sleep(0.5)


def test_a_post_has_30_seconds_in_all(agent: Agent) -> None:
    """A server that drips its answer keeps no event longer than 30 s, here 3, not even over a
    reload."""
    assert delivery.TOTAL_SECONDS == 30
    less = "import pdagent.wire.delivery as delivery; delivery.TOTAL_SECONDS = 3"
    agent.command = beginning_with(less, "pdagentd")
    with serving(Drip) as server:
        agent.configure(events_url=server.url, send_interval_secs=3600)
        name = enqueue(agent, KEY, "a", "drips")
        agent.start()
        wait_until(lambda: server.requests == 1)
        assert agent.daemon is not None
        agent.daemon.send_signal(1)
        wait_until(lambda: "reloaded" in agent.log)
        wait_until(lambda: "no answer within 3 s" in agent.log)
    assert agent.names("pdq") == [name]


@pytest.mark.parametrize("reset", ["before", "after", "mid-body"])
def test_a_reset_loses_nothing(api: EventsApi, agent: Agent, reset: str) -> None:
    """A connection that breaks at whatever moment costs a delay; what is resent is the same."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    api.script(KEY, Answer(reset=reset))  # type: ignore[arg-type]
    agent.start()
    agent.send(KEY, "trigger", "-d", "survives", "-i", "a")
    wait_until(lambda: len(agent.names("suc")) == 1)
    assert len({request.body for request in api.requests}) == 1
    assert api.incident(KEY, "a").state == "open"


def test_a_name_that_does_not_resolve(agent: Agent) -> None:
    """DNS that fails is an outage: said with the reason, and everything is kept."""
    agent.configure(events_url="http://events.invalid")
    name = enqueue(agent, KEY, "a", "waits")
    agent.start()
    wait_until(lambda: "cannot be reached at http://events.invalid: " in agent.log)
    assert agent.names("pdq") == [name]


def last_was(status: int | None, seen: tuple[Request, ...]) -> bool:
    return bool(seen) and seen[-1].status == status


def test_somebody_elses_web_page_is_not_pagerduty(api: EventsApi, agent: Agent) -> None:
    """A captive portal's page, a redirection, a 403 of a gateway: the path is broken, no event is
    refused."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    strange = [
        Answer(403, html="<h1>Access denied</h1>"),
        Answer(302, b"", headers={"Location": "http://portal.example/"}),
        Answer(401, {"error": "unauthorized"}),
        Answer(404, html="<h1>Not Found</h1>"),
        Answer(400, html="<h1>Bad Request</h1>"),
    ]
    api.always(None, strange[0])
    agent.start()
    agent.send(KEY, "trigger", "-d", "gets through", "-i", "a")
    for answer in strange:
        api.always(None, answer)
        api.wait_for(partial(last_was, answer.status))
    api.always(None, None)
    api.wait_accepted(1)
    assert {request.status for request in api.requests} == {403, 302, 401, 404, 400, 202}
    assert agent.names("err") == []
    assert agent.log.count("cannot be reached") == 1


@pytest.mark.parametrize(
    ("region", "address"),
    [("us", "https://events.pagerduty.com"), ("eu", "https://events.eu.pagerduty.com")],
)
def test_the_region_chooses_the_address(agent: Agent, region: str, address: str) -> None:
    """`service_region` is where events go where nothing else is said."""
    # a proxy on a port that nobody has keeps the test on this machine
    agent.configure(service_region=region, proxy_url="http://127.0.0.1:1")
    enqueue(agent, KEY, "a", "waits")
    agent.start()
    wait_until(lambda: f"cannot be reached at {address}: " in agent.log)


def test_source_address(agent: Agent) -> None:
    """`source_address` is where connections come from."""
    seen: list[str] = []

    class Peer(Conversation):
        def handle(self) -> None:
            seen.append(self.client_address[0])
            if self.read():
                self.request.sendall(OK)

    with serving(Peer) as server:
        agent.configure(events_url=server.url, source_address="127.0.0.9")
        enqueue(agent, KEY, "a", "x")
        agent.start()
        wait_until(lambda: len(agent.names("suc")) == 1)
    assert seen == ["127.0.0.9"]


def test_ipv6(agent: Agent) -> None:
    """The shipped source_address, 0.0.0.0, keeps nobody from IPv6."""
    try:
        with EventsApi(bind="::1") as api:
            agent.configure(events_url=api.url, source_address="0.0.0.0")
            enqueue(agent, KEY, "a", "over IPv6")
            agent.start()
            assert summaries(api.wait_accepted(1)) == ["over IPv6"]
    except OSError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
