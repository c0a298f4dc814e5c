"""The package pdagent-selinux under a kernel that enforces: the daemon is confined, and everybody
may add events as before. Nothing that the agent does is denied."""

import subprocess
from pathlib import Path

import pytest

from tests.selinux.conftest import RUNNING, Confined, Host
from tests.support.agent import directory
from tests.support.events import KEY, summaries
from tests.support.events_api import EventsApi
from tests.support.machine import HOST
from tests.support.proxies import Tinyproxy

DAEMON = "system_u:system_r:pdagent_t"
# People, monitoring servers and what they run, cron, a web server's scripts, any other service.
CALLERS = [
    "unconfined_u:unconfined_r:unconfined_t",
    "user_u:user_r:user_t",
    "staff_u:staff_r:staff_t",
    "root:sysadm_r:sysadm_t",
    "system_u:system_r:nagios_t",
    "system_u:system_r:zabbix_agent_t",
    "system_u:system_r:system_cronjob_t",
    "system_u:system_r:httpd_t",
    "system_u:system_r:initrc_t",
]


def test_without_the_package(host: Host, api: EventsApi) -> None:
    """An agent on a host with SELinux is as any other service there."""
    assert host.domain != DAEMON
    host.configure(events_url=api.url.replace("127.0.0.1", HOST))
    host.deliver("before")
    assert summaries(api.accepted) == ["before"]


def test_labels(confined: Confined) -> None:
    """The daemon runs in its domain, and its files have the labels of the policy."""
    assert confined.domain == DAEMON
    files = "/usr/lib/pdagent/pdagent /etc/pdagent.conf /var/lib/pdagent/db /run/pdagent/condition"
    files += " /var/lib/pdagent/outqueue/pdq /var/log/pdagent/pdagentd.log"
    said = confined.machine.script(f"stat -c %C {files}").split()
    types = ["exec_t", "conf_t", "var_lib_t", "runtime_t", "spool_t", "log_t"]
    assert said == [f"system_u:object_r:pdagent_{name}:s0" for name in types]


def test_everybody_may_add(confined: Confined, api: EventsApi) -> None:
    """Each in a domain of one's own, and under no user's name that the agent knows."""
    confined.configure(events_url=api.url.replace("127.0.0.1", HOST))
    for caller in CALLERS:
        confined.send(caller, caller)
    confined.delivered()
    assert sorted(summaries(api.accepted)) == sorted(CALLERS)
    assert confined.denied() == []


def test_a_job_of_systemd(confined: Confined, api: EventsApi) -> None:
    """Where pd-send is what a unit starts, it and what it runs are in no domain of the agent's."""
    confined.configure(events_url=api.url.replace("127.0.0.1", HOST))
    job = "sh -c 'cat /proc/self/attr/current >/run/job; exit 3'"
    said = confined.machine.script(f"""
        cat >/etc/systemd/system/job.service <<'END'
[Service]
Type=oneshot
ExecStart=/usr/bin/pd-send run -k {KEY} -i job -- {job}
END
        systemctl daemon-reload
        systemctl start job || :
        cat /run/job
    """)
    assert "pdagent" not in said
    confined.delivered()
    assert len(api.accepted) == 1
    assert confined.denied() == []


def test_nobody_may_read(confined: Confined) -> None:
    """Nor change what is the agent's, root in a service's domain included."""
    tries = """
        cat /var/lib/pdagent/outqueue/*/*
        ls /var/lib/pdagent/outqueue/pdq
        cat /var/log/pdagent/pdagentd.log
        ls /var/lib/pdagent/db
        tee -a /etc/pdagent.conf </dev/null
        tee -a /usr/lib/pdagent/pdagent </dev/null
    """
    for command in tries.strip().splitlines():
        code, said = confined.run_as("system_u:system_r:nagios_t", command, user="root")
        assert code != 0, (command, said)
    confined.forget()


def test_the_daemon_may_nothing_else(confined: Confined) -> None:
    """What it would need for something else than its work, tried in its domain as root."""
    tries = """
        cat /etc/shadow
        ls /root
        ls /home
        tee -a /etc/mine </dev/null
        tee -a /tmp/mine </dev/null
        tee -a /etc/pdagent.conf </dev/null
        tee -a /usr/lib/pdagent/pdagent </dev/null
        ls /proc/1/
        chown nobody /var/lib/pdagent/db
    """
    confined.machine.script("mkdir -p /home/alice")
    for command in tries.strip().splitlines():
        code, said = confined.run_as(DAEMON, command, user="root")
        assert code != 0, (command, said)
    confined.forget()


def test_a_proxy_on_any_port(confined: Confined, api: EventsApi) -> None:
    """The daemon in its domain reaches PagerDuty through a proxy, whatever its port."""
    with directory() as log, Tinyproxy(log) as proxy:
        # by a name that only the proxy's host knows in this sense
        confined.configure(events_url=api.url, proxy_url=proxy.url.replace("127.0.0.1", HOST))
        confined.deliver("through a proxy")
    assert summaries(api.accepted) == ["through a proxy"]
    assert confined.denied() == []


@pytest.mark.parametrize("where", ["127.0.0.1:9110", "/run/pdagent/metrics.sock"])
def test_metrics(confined: Confined, api: EventsApi, where: str) -> None:
    """Metrics can be asked for at a port and at a socket, and are written into a file."""
    confined.configure(
        events_url=api.url.replace("127.0.0.1", HOST),
        metrics_listen=where,
        metrics_file="/var/lib/pdagent/db/pdagent.prom",
    )
    option = f"--unix-socket {where} http://localhost" if where[0] == "/" else f"http://{where}"
    said = confined.machine.script(f"curl -sf --retry 20 --retry-all-errors {option}/metrics")
    assert "pdagent_" in said
    assert confined.denied() == []


def test_people_with_the_right(confined: Confined, api: EventsApi) -> None:
    """Root in an administrator's domain looks at the queue, checks, and reloads."""
    confined.configure(events_url=api.url.replace("127.0.0.1", HOST))
    for caller in ("unconfined_u:unconfined_r:unconfined_t", "root:sysadm_r:sysadm_t"):
        code, said = confined.run_as(caller, "pd-queue status", user="root")
        assert code == 0, said
        assert KEY in said
    confined.machine.script("systemctl reload pdagent; systemctl is-active pdagent")
    assert confined.denied() == []


def test_upgrade(confined: Confined, api: EventsApi) -> None:
    """After an upgrade the new daemon is in its domain and delivers."""
    confined.configure(events_url=api.url.replace("127.0.0.1", HOST))
    confined.install("/packages/next/pdagent_*_amd64.deb /packages/next/pdagent-selinux_*.deb")
    version = confined.machine.script("dpkg-query --show --showformat '${Version}' pdagent")
    assert version.startswith("3.0.1")
    assert confined.domain == DAEMON
    confined.deliver("upgraded")
    assert summaries(api.accepted) == ["upgraded"]
    assert confined.denied() == []


def test_removal(confined: Confined, api: EventsApi) -> None:
    """The agent goes on as before the package came, and no label of it is left."""
    confined.configure(events_url=api.url.replace("127.0.0.1", HOST))
    confined.machine.script(f"dpkg --remove pdagent-selinux; {RUNNING}")
    assert confined.domain != DAEMON
    labels = confined.machine.script(
        "find /etc /run /usr/lib/pdagent /var -xdev -path '*pdagent*' -printf '%Z %p\\n'"
    )
    assert "pdagent_" not in "".join(line.split()[0] for line in labels.splitlines())
    assert "pdagent" not in confined.machine.script("semodule --list").split()
    confined.deliver("unconfined again")
    assert summaries(api.accepted) == ["unconfined again"]
    assert confined.denied() == []


def test_interfaces(root: Path) -> None:
    """Somebody else's policy names them. It is compiled by selinux-policy-dev and linked with ours.
    (Last, since it leaves its modules in the root that the machine was made of.)"""
    mine = root / "tmp/mine.te"
    mine.write_text("""
policy_module(mine, 1.0)
gen_require(`
    type staff_t, sysadm_t;
')
pdagent_read_log(staff_t)
pdagent_admin(sysadm_t)
""")
    script = """
        dpkg-deb --extract /packages/pdagent-selinux_*.deb /
        cd /tmp
        make --silent --file /usr/share/selinux/devel/Makefile mine.pp
        semodule --noreload --priority 200 --install /usr/share/selinux/packages/pdagent.cil
        semodule --noreload --install mine.pp
        semodule --cil --extract mine
        grep pdagent_ mine.cil
    """
    done = subprocess.run(
        ["chroot", root, "sh", "-euc", script], check=True, stdout=subprocess.PIPE, text=True
    )
    assert "(allow staff_t pdagent_log_t (file (" in done.stdout
    assert "(allow sysadm_t pdagent_spool_t (dir (" in done.stdout
    assert "(allow staff_t pdagent_spool_t" not in done.stdout
