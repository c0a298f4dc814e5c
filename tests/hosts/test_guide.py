"""The guide, followed from its first step: install, verify, send, manage the queue."""

import re

import pytest

from tests.hosts.host import KEY, Host
from tests.hosts.packages import PACKAGES
from tests.support.events_api import EventsApi

# path: mode, owner, group
FILES = {
    "/usr/bin/pd-send": "755 root root",
    "/usr/bin/pd-queue": "755 root root",
    "/usr/sbin/pdagentd": "755 root root",
    "/usr/share/pdagent/bin/pdagentd": "755 root root",
    "/etc/pdagent.conf": "644 root root",
    "/var/lib/pdagent": "755 root root",
    "/var/lib/pdagent/scripts": "755 root root",
    "/var/lib/pdagent/scripts/pdagent.service": "644 root root",
    "/var/lib/pdagent/scripts/pdagent.init": "755 root root",
    "/var/lib/pdagent/db": "755 pdagent pdagent",
    "/var/lib/pdagent/outqueue": "755 root root",
    "/var/lib/pdagent/outqueue/tmp": "3733 pdagent pdagent",
    "/var/lib/pdagent/outqueue/pdq": "3733 pdagent pdagent",
    "/var/lib/pdagent/outqueue/jobs": "3733 pdagent pdagent",
    "/var/lib/pdagent/outqueue/suc": "2750 pdagent pdagent",
    "/var/lib/pdagent/outqueue/err": "2750 pdagent pdagent",
    "/var/lib/pdagent/outqueue/expect": "3733 pdagent pdagent",
    "/var/lib/pdagent/outqueue/expected": "2750 pdagent pdagent",
    "/var/log/pdagent": "755 pdagent pdagent",
    "/var/log/pdagent/pdagentd.log": "640 pdagent pdagent",
}


def test_install(host: Host) -> None:
    """Both packages, their files, the user, the service: running, and enabled for the next boot."""
    files = FILES | ({"/etc/init.d/pdagent": "755 root root"} if host.spec.init == "sysv" else {})
    shown = host.sh(f"stat -L -c '%n=%a %U %G' {' '.join(files)}")
    assert dict(line.split("=") for line in shown.splitlines()) == files
    assert {host.packages.version(name) for name in PACKAGES} == {"3.0.0"}
    assert host.packages.check() == ""

    user = host.sh("getent passwd pdagent | cut -d: -f6,7; id -Gn pdagent").splitlines()
    assert user == ["/var/lib/pdagent:/usr/sbin/nologin", "pdagent"]
    assert host.service.is_running
    assert host.service.is_enabled
    assert host.sh(f"stat -c %U /proc/{host.service.pid}") == "pdagent"


def test_send(host: Host, api: EventsApi) -> None:
    """An ordinary user under umask 077 sends; the incident opens outside the host."""
    assert host.pd_send("server.fire") == "Event processed. Incident Key: server.fire"
    api.wait_accepted(1)
    assert api.incident(KEY, "server.fire").summary == "Server is on fire"

    host.until("ls /var/lib/pdagent/outqueue/suc | grep -q .")
    assert re.search(rf"^{KEY} +0 +1 +0$", host.sh("pd-queue status"), re.MULTILINE)


def test_stopped_service_queues(host: Host, api: EventsApi) -> None:
    """Sent while the service is stopped, delivered once it runs."""
    host.service.stop()
    assert not host.service.is_running
    host.pd_send("while.stopped")
    assert re.search(rf"^{KEY} +1 +0 +0$", host.sh("pd-queue status"), re.MULTILINE)
    assert api.requests == ()

    host.service.start()
    api.wait_accepted(1)
    assert api.incident(KEY, "while.stopped").state == "open"


def test_reboot(host: Host, api: EventsApi) -> None:
    """After a reboot the service runs, and sends what was queued before it. What was expected
    before it, and was not heard of, is paged, and resolved when it is heard of again."""
    expect = f"umask 077; pd-send expect -k {KEY} -i nightly --within"
    api.stop()
    host.pd_send("before.reboot")
    host.sh(f"{expect} 10s", "alice")
    host.reboot()
    assert host.service.is_running
    api.start()
    api.wait_accepted(2)
    assert api.incident(KEY, "before.reboot").events == 1
    assert api.incident(KEY, "nightly").state == "open"
    host.sh(f"{expect} 1h", "alice")
    api.wait_accepted(3)
    assert api.incident(KEY, "nightly").state == "resolved"
    assert re.search(r" 60m waits +alice .* nightly ", host.sh("pd-queue list"))


@pytest.mark.only("systemd")
def test_the_service_knows_which_boot_it_is(host: Host) -> None:
    """Its sandbox hides that, so its unit says it."""
    asked = f"tr '\\0' '\\n' </proc/{host.service.pid}/environ | sed -n 's/^PDAGENT_BOOT_ID=//p'"
    assert host.sh(asked) == host.sh("tr -d - </proc/sys/kernel/random/boot_id")
