"""A new version over an old one: new code runs, and all that was there is kept."""

import json
from collections import defaultdict

import pytest

from tests.hosts.host import KEY, Host
from tests.support.events_api import Answer, EventsApi


def upgrade(host: Host) -> None:
    host.packages.move_repository("current", "next")
    host.packages.upgrade()
    assert host.packages.version("pdagent") == "3.0.1"
    assert host.packages.check() == ""


def test_upgrade(host: Host, api: EventsApi) -> None:
    """An edited configuration and a pending queue survive; the daemon is the new one."""
    host.configure(backoff_interval_secs="2")
    host.service.restart()
    api.stop()
    host.pd_send("before.upgrade")
    before = host.sh("cat /etc/pdagent.conf"), host.queue(), host.service.pid

    upgrade(host)

    assert host.service.is_running
    conf, queue, pid = host.sh("cat /etc/pdagent.conf"), host.queue(), host.service.pid
    assert (conf, queue) == before[:2]
    assert pid != before[2]
    assert "deleted" not in host.sh(f"readlink /proc/{pid}/exe")
    api.start()
    api.wait_accepted(1)
    assert api.incident(KEY, "before.upgrade").events == 1


PENDING = 1000
DROP = f"""
    cd /var/lib/pdagent/outqueue
    began=$(($(date +%s) - 60))000000
    for number in $(seq {PENDING}); do
        key={KEY[:-1]}$((number % 10))
        printf '{{"routing_key": "%s", "event_action": "trigger", "dedup_key": "disk.%s", "payload":
            {{"summary": "%s", "source": "db1", "severity": "error"}}}}' \\
            $key $((number % 3)) $number >tmp/dropped
        mv tmp/dropped pdq/$((began + number))_$key.txt
    done"""
# says which events pd-send has taken; there may be no pd-send for a moment
SENDER = f"""
    (
        number={PENDING}
        while [ ! -e /tmp/enough ]; do
            number=$((number + 1))
            pd-send -k {KEY[:-1]}$((number % 10)) -t trigger -d $number -i disk.$((number % 3)) &&
                echo $number >>/tmp/taken
            sleep 0.05
        done
        touch /tmp/ended
    ) >/dev/null 2>&1 &"""


@pytest.mark.latest
def test_upgrade_under_load(host: Host, api: EventsApi) -> None:
    """1,000 events pend and more arrive: each is delivered once, in the order of its incident."""
    api.always(None, Answer(delay=2))  # thirty chains make it the work of a minute
    host.service.stop()
    host.sh(DROP)
    host.service.start()
    host.sh(SENDER, "alice")
    host.until("[ -s /tmp/taken ]")
    api.wait_accepted(1)
    old = host.service.pid

    upgrade(host)

    assert len(host.queue()) > PENDING / 10, "it was not under load"
    assert host.service.is_running
    assert host.service.pid != old
    assert "deleted" not in host.sh(f"readlink /proc/{host.service.pid}/exe")
    api.clear_scripts()
    host.sh("touch /tmp/enough", "alice")
    host.until("[ -e /tmp/ended ]")
    taken = [int(number) for number in host.sh("cat /tmp/taken").split()]
    host.until('[ -z "$(ls /var/lib/pdagent/outqueue/pdq)" ]')
    delivered, wanted = defaultdict(list), defaultdict(list)
    for request in api.accepted:
        number = int(json.loads(request.body)["payload"]["summary"])
        delivered[request.key, request.dedup_key].append(number)
    for number in [*range(1, PENDING + 1), *taken]:
        wanted[f"{KEY[:-1]}{number % 10}", f"disk.{number % 3}"].append(number)
    assert delivered == wanted
    assert 2 * len(taken) > taken[-1] - PENDING, "most of the time there was no pd-send"


@pytest.mark.latest
def test_disabled_stays_so(host: Host) -> None:
    """Neither started nor enabled by an upgrade, though somebody has put a wrapper where the agent
    in Go had its program."""
    host.sh("ln -s /usr/bin/pdagent /usr/local/bin/pdagent")
    host.service.stop()
    host.service.disable()
    upgrade(host)
    assert not host.service.is_running
    assert not host.service.is_enabled


@pytest.mark.latest
def test_stopped_stays_so(host: Host) -> None:
    """A service that is stopped for now is still enabled for the next boot."""
    host.service.stop()
    upgrade(host)
    assert not host.service.is_running
    assert host.service.is_enabled


@pytest.mark.latest
@pytest.mark.only("deb")
def test_stopped_stays_so_where_dpkg_is_killed(host: Host) -> None:
    """In the midst of postinst. Whoever completes the upgrade starts no service that was
    stopped."""
    host.service.stop()
    host.sh("""
        mv /usr/sbin/update-rc.d /usr/sbin/update-rc.d.real
        printf '#!/bin/sh\\npkill -KILL -x dpkg; kill -KILL $PPID\\n' >/usr/sbin/update-rc.d
        chmod 755 /usr/sbin/update-rc.d""")
    host.packages.move_repository("current", "next")
    with pytest.raises(AssertionError):
        host.packages.upgrade()
    host.sh("mv /usr/sbin/update-rc.d.real /usr/sbin/update-rc.d; dpkg --configure -a")
    assert host.packages.version("pdagent") == "3.0.1"
    assert not host.service.is_running
    assert host.service.is_enabled


@pytest.mark.latest
@pytest.mark.only("systemd")
def test_masked_stays_so(host: Host) -> None:
    """A mask goes where the guide has people copy the unit to, so it is one or the other."""
    host.sh("rm -f /etc/systemd/system/pdagent.service; systemctl mask --now pdagent")
    upgrade(host)
    assert not host.service.is_running
    assert host.sh("systemctl is-enabled pdagent || :") == "masked"


@pytest.mark.latest
def test_broken_configuration(host: Host) -> None:
    """A service that can't start fails no transaction; the log says why, and where."""
    host.configure(max_connections="many")
    upgrade(host)
    assert not host.service.is_running
    assert "max_connections" in host.log()

    host.configure(max_connections="32")
    host.service.restart()
    assert host.service.is_running
