"""No direct way out: proxies, named wherever people name them, and a private authority."""

from collections.abc import Callable, Iterator

import pytest

from tests.hosts.host import KEY, Host
from tests.hosts.network import FAR, add_proxy_lines, settings
from tests.hosts.proxy import Proxy
from tests.support.events_api import CertificateAuthority, EventsApi

StartProxy = Callable[..., Proxy]


@pytest.fixture
def far_api() -> Iterator[EventsApi]:
    """Over TLS, and only to be had through a proxy."""
    with EventsApi(bind=FAR, tls=CertificateAuthority(), hosts=[FAR]) as api:
        yield api


def trusted(host: Host, ca_file: str) -> str:
    """The same file on the host."""
    with open(ca_file) as file:
        host.sh(f"cat >/etc/private-ca.pem <<'END'\n{file.read()}END")
    return "/etc/private-ca.pem"


def point_at(host: Host, api: EventsApi) -> None:
    host.configure(events_url=api.url, ca_file=trusted(host, api.ca_file))
    assert host.run(f"curl -s --noproxy '*' {api.url}").rc == 7, "there is a direct way"


def goes_through(host: Host, proxy: Proxy, api: EventsApi) -> None:
    """Now, and after an upgrade, when what people edited is in the environment file."""
    host.service.restart()
    host.pd_send("by.proxy")
    api.wait_accepted(1)
    assert f"CONNECT {FAR}:{api.port}" in proxy.log()

    host.packages.move_repository("current", "next")
    host.packages.upgrade()
    host.pd_send("by.proxy.still")
    api.wait_accepted(2)
    assert api.incident(KEY, "by.proxy.still").state == "open"


def test_proxy_where_the_guide_says(host: Host, far_api: EventsApi, proxy: StartProxy) -> None:
    """Two lines in the unit, or in the init script; an upgrade carries them on."""
    through = proxy()
    point_at(host, far_api)
    add_proxy_lines(host, through.url)
    goes_through(host, through, far_api)
    kept = host.sh(f"cat {host.packages.environment}").splitlines()
    assert set(settings(through.url)) <= set(kept)


@pytest.mark.latest
def test_proxy_in_environment_file(host: Host, far_api: EventsApi, proxy: StartProxy) -> None:
    """One that wants a name and a password, which no log shows."""
    through = proxy("agent", "s3cret")
    point_at(host, far_api)
    lines = "\n".join(settings(through.url))
    host.sh(f"printf '{lines}\\n' >>{host.packages.environment}")
    goes_through(host, through, far_api)
    assert "s3cret" not in host.log()


@pytest.mark.latest
def test_proxy_refuses(host: Host, far_api: EventsApi, proxy: StartProxy) -> None:
    """Without its password nothing passes, the log says so, the event waits for the right one."""
    through = proxy("agent", "s3cret")
    point_at(host, far_api)
    wrong = through.url.replace("s3cret", "wr0ng")
    host.configure(proxy_url=wrong)
    host.service.restart()
    host.pd_send("patience")
    host.until("grep -qE ' 40[17] ' /var/log/pdagent/pdagentd.log")
    assert len(host.queue()) == 1

    host.configure(proxy_url=through.url)
    host.service.restart()
    far_api.wait_accepted(1)
    assert "s3cret" not in host.log()
    assert "wr0ng" not in host.log()


def test_private_authority(host: Host) -> None:
    """An unknown authority is refused, its event kept; once the system trusts it, delivered."""
    with EventsApi(bind="0.0.0.0", tls=CertificateAuthority(), hosts=["events.test"]) as api:
        host.configure(events_url=f"https://events.test:{api.port}")
        host.service.restart()
        host.pd_send("trust")
        host.until("grep -qi certificate /var/log/pdagent/pdagentd.log")
        assert api.requests == ()
        assert len(host.queue()) == 1

        file = trusted(host, api.ca_file)
        host.sh(f"""
            if command -v update-ca-trust; then
                cp {file} /etc/pki/ca-trust/source/anchors/private.crt
                update-ca-trust
            else
                cp {file} /usr/local/share/ca-certificates/private.crt
                update-ca-certificates
            fi""")
        host.service.restart()
        api.wait_accepted(1)
