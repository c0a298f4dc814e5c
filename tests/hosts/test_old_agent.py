"""From the old agent, its service running and its queue full, to this one."""

from collections.abc import Callable

from tests.hosts.host import KEY, Host
from tests.hosts.network import FAR, add_proxy_lines, settings
from tests.hosts.proxy import Proxy
from tests.support.events_api import EventsApi

OLD = {"deb": "pdagent_1.7.4_all.deb", "rpm": "pdagent-1.7.4-1.noarch.rpm"}
QUEUE = "/var/lib/pdagent/outqueue"


def test_upgrade_from_old_agent(bare: Host, packages_url: str, proxy: Callable[..., Proxy]) -> None:
    """Its queue is delivered, what is in error can be retried, its settings and its proxy stay."""
    host, through = bare, proxy()
    with EventsApi(bind=FAR) as api:
        host.sh("useradd -m alice")
        host.packages.install_file(f"{packages_url}/old/{OLD[host.spec.family]}")
        host.configure(backoff_interval_secs="59", events_url=api.url)
        add_proxy_lines(host, through.url)
        for number in (1, 2):
            host.sh(f"pd-send -k {KEY} -t trigger -d old -i pending.{number}", user="alice")
        host.sh(f"pd-send -k {KEY} -t trigger -d old -i in.error", user="alice")
        host.sh(f"mv $(ls {QUEUE}/pdq/* | tail -n 1) {QUEUE}/err/")

        host.packages.add_repository(f"{packages_url}/current/pdagent")
        host.packages.install()

        assert host.service.is_running
        assert host.service.is_enabled
        assert host.sh("pgrep -u pdagent -f pdagentd.py || :") == ""
        assert "backoff_interval_secs = 59" in host.sh("cat /etc/pdagent.conf").splitlines()
        kept = host.sh(f"cat {host.packages.environment}").splitlines()
        assert set(settings(through.url)) <= set(kept)

        api.wait_accepted(2)
        assert host.sh("pd-queue retry -a") == "1 event(s) set up for retry."
        delivered = [request.dedup_key for request in api.wait_accepted(3)]
        assert delivered == ["pending.1", "pending.2", "in.error"]
        assert f"POST {api.url}" in through.log()
        modes = host.sh(f"cd {QUEUE}; stat -c '%n %a %U' tmp pdq suc err").splitlines()
        assert modes == [
            f"{name} {mode} pdagent"
            for name, mode in (("tmp", 3733), ("pdq", 3733), ("suc", 2750), ("err", 2750))
        ]
        host.pd_send("new")
        api.wait_accepted(4)
