"""The adapter of requests: what it is given and gives back is requests' own, and an address with a
user and password shows neither."""

import os
import resource
import time
from base64 import b64encode

import pytest
import requests
from requests.exceptions import InvalidURL, ProxyError, SSLError

from pdagent import exits
from pdagent.config import Config
from pdagent.wire.adapter import Adapter, Body
from pdagent.wire.post import Post
from tests.support.agent import Agent, wait_until
from tests.support.check import looked
from tests.support.events import KEY, enqueue
from tests.support.events_api import Answer, EventsApi
from tests.support.raw_server import OK, Conversation, serving
from tests.support.users import AGENT

SECRET = "S3cr%C3%A9t"
PATH = "/v2/enqueue"


def adapter(url: str, **settings: object) -> Adapter:
    return Adapter(Config({"events_url": url, **settings}), url)  # type: ignore[dict-item]


def post(to: Adapter, data: bytes = b"{}", seconds: float = 60) -> requests.Response:
    return to.send(to.request(PATH, data), timeout=Post(time.monotonic() + seconds))


def test_a_response_of_requests(api: EventsApi) -> None:
    """Status, headers and content are where users of requests look for them."""
    api.always(None, Answer(429, retry_after=7))
    with post(adapter(api.url), b'{"routing_key": "a", "dedup_key": "b"}') as response:
        assert isinstance(response, requests.Response)
        assert (response.status_code, response.ok) == (429, False)
        assert response.headers["RETRY-AFTER"] == "7"
        assert response.json()["status"]
        assert response.url == api.url + PATH
    [request] = api.requests
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Content-Length"] == str(len(request.body))


def test_a_request_of_requests() -> None:
    """Each has its own body and headers, though they are made from one template. Names in other
    scripts are written as DNS has them."""
    to = adapter("https://bücher.example:8443/straße/")
    first, second = to.request(PATH, b"1"), to.request(PATH, b"22")
    assert isinstance(first, requests.PreparedRequest)
    assert first.url == "https://xn--bcher-kva.example:8443/stra%C3%9Fe/" + PATH
    assert (first.body, first.headers["Content-Length"]) == (b"1", "1")
    assert (second.body, second.headers["Content-Length"]) == (b"22", "2")


def test_errors_of_requests(tls_api: EventsApi) -> None:
    """Each kind of failure is requests' own kind of error, with our reason for it."""

    class Silent(Conversation):
        def handle(self) -> None:
            self.request.recv(65_536)
            self.request.recv(1)

    nobody = "127.0.0.1:1"
    with pytest.raises(requests.ConnectionError, match=r"PagerDuty at 127.0.0.1:1: .* refused"):
        post(adapter(f"http://{nobody}"))
    with pytest.raises(ProxyError, match=r"the proxy at 127.0.0.1:1: .* refused"):
        post(adapter(tls_api.url, proxy_url=nobody))
    with pytest.raises(ProxyError, match="socks5"):
        post(adapter(tls_api.url, proxy_url=f"socks5://{nobody}"))
    with pytest.raises(SSLError, match="it was issued by"):
        post(adapter(tls_api.url))
    with pytest.raises(SSLError, match="/nonexistent"):
        post(adapter(tls_api.url, ca_file="/nonexistent"))
    with pytest.raises(InvalidURL, match="events_url is not an address"):
        post(adapter("https://127.0.0.1:99999"))
    with serving(Silent) as server, pytest.raises(requests.Timeout, match="timed out"):
        post(adapter(server.url), seconds=0.2)


def test_a_connection_is_kept_where_descriptors_are_left_for_others() -> None:
    """Otherwise kept ones could use all of them up, and no event could be read any more."""

    class Polite(Conversation):
        def handle(self) -> None:
            while self.read():
                self.request.sendall(OK)

    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(Polite) as server:
        to, connections = adapter(server.url), []
        for soft in (len(os.listdir("/proc/self/fd")) + 14, before, before):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
            try:
                with post(to) as response:
                    assert isinstance(response.raw, Body)
                    response.raw.keep = True
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
            connections.append(server.connections)
        to.close()
    assert connections == [1, 2, 2]


def test_a_user_and_password_in_events_url(api: EventsApi, agent: Agent) -> None:
    """They go to the server as such, in UTF-8, and are shown nowhere."""
    agent.configure(events_url=api.url.replace("://", f"://me:{SECRET}@"))
    agent.start()
    agent.send(KEY, "trigger", "-d", "x")
    [request] = api.wait_accepted(1)
    pair = b64encode("me:S3crét".encode()).decode()
    assert request.headers["Authorization"] == f"Basic {pair}"
    assert request.path == PATH
    said = repr(looked(agent))
    assert f"***@{api.url.partition('://')[2]} (events_url)" in said
    assert "S3cr" not in said + agent.log + agent.output.read_text()


@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{SECRET}@127.0.0.1:1",
        f"http://me:{SECRET}@127.0.0.1:1/path",
        f"http://me:12/{SECRET}@127.0.0.1:1",
        f"http://me:x?{SECRET}@127.0.0.1:1",
        f"http://me:{SECRET}\u2100@127.0.0.1:1",
        f"http://me:{SECRET}@[127.0.0.1",
        f"http://me:{SECRET}@",
    ],
)
def test_a_password_in_an_address_that_fails(agent: Agent, url: str) -> None:
    """However it is spelt: not in the log, not in what pd-send or a check says."""
    agent.configure(events_url=url, data_dir="/nonexistent")
    done = agent.run("pd-send", "-k", KEY, "-t", "trigger", "-d", "x", "-i", "x")
    agent.configure(events_url=url)
    enqueue(agent, KEY, None, "x")
    agent.start()
    wait_until(lambda: "cannot be reached" in agent.log)
    assert "***@" in agent.log
    said = repr(looked(agent)) + str(done.stderr + done.stdout)
    assert "could not be checked" not in said
    assert "S3cr" not in said + agent.log + agent.output.read_text()


@pytest.mark.parametrize(
    "url", [f"https://me:{SECRET}@127.0.0.1:port", f"http://me:{SECRET}/@127.0.0.1:1"]
)
def test_a_password_in_an_address_that_is_refused(agent: Agent, url: str) -> None:
    """Not in what the daemon says as it ends, or pd-send, or a check."""
    agent.configure(events_url=url)
    ended = agent.run("pdagentd", "-f", user=AGENT)
    assert ended.returncode == exits.BAD_CONFIG
    done = agent.run("pd-send", "-k", KEY, "-t", "trigger", "-d", "x", "-i", "x")
    check = agent.run("pdagent", "check")
    said = ended.stderr + ended.stdout + done.stderr + done.stdout + check.stdout + check.stderr
    assert b"Bad events_url" in said
    assert b"S3cr" not in said
