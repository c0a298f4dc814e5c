"""Through a real proxy: tinyproxy, for http and (CONNECT) for https, with and without a
password."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, enqueue, summaries
from tests.support.events_api import EventsApi
from tests.support.proxies import PASSWORD, USER, Tinyproxy
from tests.support.users import SENDER

pytestmark = pytest.mark.skipif(
    not shutil.which("tinyproxy"), reason="tinyproxy is not installed: see ci/packages.txt"
)


# Runs a command as a sender, on a host with this environment file of this mode.
WITH_ENVIRONMENT = f"""
    mount -t tmpfs -o mode=755 none /etc/default
    printf '%s\n' "$1" >/etc/default/pdagent
    chmod "$2" /etc/default/pdagent
    shift 2
    exec setpriv --reuid {SENDER.uid} --regid {SENDER.gid} --clear-groups "$@"
    """


def with_environment(text: str, mode: str) -> list[str]:
    return ["unshare", "--mount", "sh", "-ec", WITH_ENVIRONMENT, "sh", text, mode]


@pytest.fixture
def place(agent: Agent) -> Path:
    return agent.root / "log"  # where the proxy, run as the agent's user, may write


@pytest.fixture
def proxy(place: Path) -> Iterator[Tinyproxy]:
    with Tinyproxy(place) as proxy:
        yield proxy


@pytest.fixture
def strict_proxy(place: Path) -> Iterator[Tinyproxy]:
    with Tinyproxy(place, password=True) as proxy:
        yield proxy


def arrives(agent: Agent, api: EventsApi) -> None:
    agent.start()
    agent.send(KEY, "trigger", "-d", "through the proxy")
    assert summaries(api.wait_accepted(1)) == ["through the proxy"]


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY"])
def test_http_by_the_environment(
    api: EventsApi, agent: Agent, proxy: Tinyproxy, variable: str
) -> None:
    """http_proxy, in either case, is used for a plain events_url."""
    agent.environment[variable] = proxy.url
    arrives(agent, api)
    assert f"POST {api.url}/v2/enqueue" in proxy.asked_for


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY"])
def test_https_by_the_environment(
    tls_api: EventsApi, agent: Agent, proxy: Tinyproxy, variable: str
) -> None:
    """https_proxy, in either case, is asked for a tunnel, in which the agent verifies PagerDuty's
    own certificate."""
    agent.configure(events_url=tls_api.url, ca_file=tls_api.ca_file)
    agent.environment[variable] = f"127.0.0.1:{proxy.port}"  # many leave the scheme out
    arrives(agent, tls_api)
    assert f"CONNECT 127.0.0.1:{tls_api.port}" in proxy.asked_for


def test_proxy_url_beats_the_environment(api: EventsApi, agent: Agent, proxy: Tinyproxy) -> None:
    """`proxy_url` in the configuration is the proxy, whatever the environment says."""
    agent.environment.update(http_proxy="http://127.0.0.1:1", no_proxy="127.0.0.1")
    agent.configure(events_url=api.url, proxy_url=proxy.url)
    arrives(agent, api)
    assert "POST" in proxy.asked_for


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_no_proxy(api: EventsApi, agent: Agent, proxy: Tinyproxy, variable: str) -> None:
    """no_proxy, in either case, names hosts that are reached without one."""
    agent.environment.update({"http_proxy": proxy.url, variable: "example.com,127.0.0.1"})
    arrives(agent, api)
    assert proxy.asked_for == ""


def test_no_proxy_for_others(api: EventsApi, agent: Agent, proxy: Tinyproxy) -> None:
    """The other proxy variables don't matter: https_proxy is not for http."""
    agent.environment.update(https_proxy="http://127.0.0.1:1")
    arrives(agent, api)


def test_a_password(api: EventsApi, agent: Agent, strict_proxy: Tinyproxy) -> None:
    """Name and password in the proxy's address are shown to the proxy, and in no log."""
    agent.configure(events_url=api.url, proxy_url=strict_proxy.url_with_password)
    arrives(agent, api)
    assert PASSWORD not in agent.log + agent.output.read_text()


def test_a_password_for_a_tunnel(tls_api: EventsApi, agent: Agent, strict_proxy: Tinyproxy) -> None:
    """The same for https; PagerDuty does not see them."""
    agent.configure(events_url=tls_api.url, ca_file=tls_api.ca_file)
    agent.environment["https_proxy"] = strict_proxy.url_with_password
    arrives(agent, tls_api)
    assert "Proxy-Authorization" not in tls_api.requests[0].headers
    assert PASSWORD not in agent.log + agent.output.read_text()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_wrong_password_is_an_outage(
    api: EventsApi, tls_api: EventsApi, agent: Agent, strict_proxy: Tinyproxy, scheme: str
) -> None:
    """A proxy's 407 holds everything, is said without the password, and refuses no event; with the
    right one all of it goes, after a reload."""
    target = api if scheme == "http" else tls_api
    settings = {"events_url": target.url, "backoff_interval_secs": 1, "ca_file": tls_api.ca_file}
    wrong = strict_proxy.url_with_password.replace(PASSWORD, PASSWORD[::-1])
    agent.configure(**settings, proxy_url=wrong)
    name = enqueue(agent, KEY, "a", "waits")
    agent.start()
    wait_until(lambda: "cannot be reached" in agent.log)
    assert " 407" in agent.log or " 401" in agent.log  # tinyproxy says 401
    assert PASSWORD[::-1] not in agent.log + agent.output.read_text()
    assert agent.names("pdq") == [name]
    agent.configure(**settings, proxy_url=strict_proxy.url_with_password)
    assert agent.daemon is not None
    agent.daemon.send_signal(1)
    assert summaries(target.wait_accepted(1)) == ["waits"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_reaches_nothing(
    api: EventsApi, tls_api: EventsApi, agent: Agent, place: Path, scheme: str
) -> None:
    """A proxy's own 502 or 500 loses nothing: the event waits until the path is back."""
    target = api if scheme == "http" else tls_api
    with Tinyproxy(place, broken=True) as broken:
        agent.configure(
            events_url=target.url,
            proxy_url=broken.url,
            ca_file=tls_api.ca_file,
            backoff_interval_secs=1,
        )
        name = enqueue(agent, KEY, "a", "waits")
        agent.start()
        wait_until(lambda: "cannot be reached" in agent.log)
        assert agent.names("pdq") == [name]


def test_a_proxy_that_is_down(api: EventsApi, agent: Agent) -> None:
    """No proxy, no delivery: said once, without its password."""
    agent.configure(events_url=api.url, proxy_url=f"http://{USER}:{PASSWORD}@127.0.0.1:1")
    name = enqueue(agent, KEY, "a", "waits")
    agent.start()
    wait_until(lambda: "cannot be reached" in agent.log)
    assert PASSWORD not in agent.log + agent.output.read_text()
    assert agent.names("pdq") == [name]


# --- direct delivery ----------------------------------------------------------------------------


@pytest.mark.needs_root
def test_direct_delivery_takes_the_daemons_way(
    api: EventsApi, agent: Agent, strict_proxy: Tinyproxy
) -> None:
    """A pd-send that delivers by itself goes through the proxy of the service's environment file,
    whatever its own environment says."""
    agent.configure(events_url=api.url, data_dir="/nonexistent")
    agent.run(
        "pd-send",
        *("-k", KEY, "-t", "trigger", "-d", "directly"),
        under=with_environment(f"# here\nhttp_proxy = '{strict_proxy.url_with_password}'", "644"),
        environment={"http_proxy": "http://127.0.0.1:1"},
        check=True,
    )
    assert summaries(api.accepted) == ["directly"]
    assert "POST" in strict_proxy.asked_for


@pytest.mark.needs_root
def test_direct_delivery_with_a_proxy_that_is_a_secret(agent: Agent, proxy: Tinyproxy) -> None:
    """Where the environment file may not be read, and it fails, that is said: it may be the
    reason."""
    agent.configure(events_url="http://events.invalid", data_dir="/nonexistent")
    result = agent.run(
        "pd-send",
        *("-k", KEY, "-t", "trigger", "-d", "directly"),
        under=with_environment(f"http_proxy={proxy.url}", "600"),
    )
    assert result.returncode == 75
    assert b"cannot read /etc/default/pdagent: Permission denied" in result.stderr
    assert proxy.asked_for == ""
