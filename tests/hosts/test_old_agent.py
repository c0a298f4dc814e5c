"""From the old agent, its service running and its queue full, to this one."""

import json
from collections import defaultdict
from collections.abc import Callable

import pytest

from tests.hosts.host import KEY, Host
from tests.hosts.network import FAR, add_proxy_lines, settings
from tests.hosts.packages import Dnf
from tests.hosts.proxy import Proxy
from tests.support.events_api import EventsApi

OLD = {"deb": "pdagent_1.7.4_all.deb", "rpm": "pdagent-1.7.4-1.noarch.rpm"}
NEW = {
    "deb": "current/pdagent/pool/main/p/pdagent/pdagent_3.0.0_amd64.deb",
    "rpm": "current/pdagent/rpm/pdagent-3.0.0-1.x86_64.rpm",
}
GO = {"deb": "go-pdagent_0.9.0_all.deb", "rpm": "go-pdagent-0.9.0-1.noarch.rpm"}
QUEUE = "/var/lib/pdagent/outqueue"
ORPHAN = "pgrep -u pdagent -f pdagentd.py || :"


@pytest.fixture
def old(bare: Host, packages_url: str) -> Host:
    """A host with the old agent, and the new one's repository. `python` is Python 3 where there was
    none, by the link that the guide has people make."""
    if bare.spec.family == "rpm":
        bare.sh("command -v python || ln -fs $(command -v python3) /usr/bin/python")
    bare.sh("useradd -m alice")
    bare.packages.install_file(f"{packages_url}/old/{OLD[bare.spec.family]}")
    bare.packages.add_repository(f"{packages_url}/current/pdagent")
    return bare


@pytest.fixture
def near(old: Host, api: EventsApi) -> Host:
    """The same, and it delivers to the local Events API."""
    old.service.stop()
    # under systemd its Python lives on, and two of them at one queue send an event twice
    old.sh("pkill -u pdagent -f pdagentd.py || :")
    old.until(f'[ -z "$({ORPHAN})" ]')
    old.configure(events_url=f"http://events.test:{api.port}", send_interval_secs="1")
    old.service.start()
    return old


def send(host: Host, dedup_key: str, text: str = "old") -> None:
    """As the old agent's users do, and the new one's may."""
    host.sh(f"pd-send -k {KEY} -t trigger -d {text} -i {dedup_key}", user="alice")


def is_the_only_one(host: Host) -> None:
    """One version is installed, and one daemon runs, by the path that monitoring looks for."""
    assert host.packages.version("pdagent") == "3.0.0"
    assert host.packages.check() == ""
    assert host.sh(ORPHAN) == ""
    assert host.service.is_running
    shown = host.sh("ps -eo user:16,args | grep '^pdagent '").splitlines()
    assert len(shown) == 1
    assert shown[0].split()[1] == "/usr/share/pdagent/bin/pdagentd"


def test_upgrade_from_old_agent(old: Host, proxy: Callable[..., Proxy]) -> None:
    """Its queue is delivered, what is in error can be retried, its settings and its proxy stay. Its
    proxies speak plain HTTP, whatever scheme people wrote, and it knew no proxy for everything."""
    host, through = old, proxy()
    with EventsApi(bind=FAR) as api:
        api.stop()
        host.configure(backoff_interval_secs="59", events_url=api.url)
        file = add_proxy_lines(host, through.url.replace("http:", "https:"))
        host.sh(f"sed -i '/https_proxy=/ {{ p; s/https_proxy/all_proxy/; }}' {file}")
        host.service.restart()
        for number in (1, 2):
            send(host, f"pending.{number}")
        send(host, "in.error")
        host.sh(f"mv $(ls {QUEUE}/pdq/* | tail -n 1) {QUEUE}/err/")

        host.packages.install()

        is_the_only_one(host)
        assert host.service.is_enabled
        assert "backoff_interval_secs = 59" in host.sh("cat /etc/pdagent.conf").splitlines()
        kept = host.sh(f"cat {host.packages.environment}").splitlines()
        assert set(settings(through.url)) <= set(kept)
        assert "all_proxy" not in "".join(kept)

        api.start()
        api.wait_accepted(2)
        assert host.sh("pd-queue retry -a") == "1 event(s) set up for retry."
        delivered = {request.dedup_key for request in api.wait_accepted(3)}
        assert delivered == {"pending.1", "pending.2", "in.error"}
        assert f"POST {api.url}" in through.log()
        modes = host.sh(f"cd {QUEUE}; stat -c '%n %a %U' tmp pdq suc err").splitlines()
        assert modes == [
            f"{name} {mode} pdagent"
            for name, mode in (("tmp", 3733), ("pdq", 3733), ("suc", 2750), ("err", 2750))
        ]
        host.pd_send("new")
        api.wait_accepted(4)


# says which events pd-send has taken; there may be no pd-send for a moment
SENDER = f"""
    (
        number=0
        while [ ! -e /tmp/enough ]; do
            number=$((number + 1))
            pd-send -k {KEY[:-1]}$((number % 5)) -t trigger -d $number -i disk.$((number % 3)) &&
                echo $number >>/tmp/taken
            sleep 0.05
        done
        touch /tmp/ended
    ) >/dev/null 2>&1 &"""


@pytest.fixture
def sender(near: Host) -> Host:
    """Somebody sends, and does not stop for an upgrade."""
    near.sh(SENDER, "alice")
    near.until("[ -s /tmp/taken ]")
    return near


def none_is_lost(host: Host, api: EventsApi) -> None:
    """All that pd-send took are delivered, in the order of their incidents."""
    host.sh("touch /tmp/enough", "alice")
    host.until("[ -e /tmp/ended ]")
    taken = [int(number) for number in host.sh("cat /tmp/taken").split()]
    host.until(f'[ -z "$(ls {QUEUE}/pdq)" ]')
    assert host.queue("err") == []
    delivered, wanted = defaultdict(list), defaultdict(list)
    for request in api.accepted:
        body = json.loads(request.body)
        number = int(body["payload"]["summary"] if "payload" in body else body["description"])
        delivered[request.key, request.dedup_key].append(number)
    for number in taken:
        wanted[f"{KEY[:-1]}{number % 5}", f"disk.{number % 3}"].append(number)
    assert delivered == wanted
    assert {request.path for request in api.accepted} > {"/v2/enqueue"}, "only one agent sent"


@pytest.mark.latest
def test_no_page_is_lost(sender: Host, api: EventsApi) -> None:
    """An upgrade under somebody who sends all the time."""
    api.wait_accepted(3)
    sender.packages.install()
    is_the_only_one(sender)
    none_is_lost(sender, api)


def leave_half_way(host: Host, url: str) -> None:
    """The new files are there and the old daemon serves the queue, as after a kill of the package
    manager: dpkg has not configured the package, rpm has not even noted it."""
    if host.spec.family == "deb":
        host.sh(f"wget -qO /tmp/new.deb {url}; dpkg --unpack /tmp/new.deb")
    else:
        host.sh(f"""
            curl -sf {url} | rpm2archive -n |
                tar -xC / --no-overwrite-dir --exclude=./etc""")


@pytest.mark.latest
def test_half_finished_upgrade(sender: Host, api: EventsApi, packages_url: str) -> None:
    """The old daemon refuses what the new pd-send queues. Once the upgrade is complete all of it is
    delivered, and in order."""
    api.wait_accepted(3)
    leave_half_way(sender, f"{packages_url}/{NEW[sender.spec.family]}")
    sender.until(f"[ $(ls {QUEUE}/err | wc -l) -gt 5 ]")
    if sender.spec.family == "deb":
        sender.sh("dpkg --configure -a </dev/null")
    else:
        sender.packages.install()
    is_the_only_one(sender)
    none_is_lost(sender, api)


@pytest.mark.latest
@pytest.mark.only("rpm")
@pytest.mark.only("systemd")
def test_killed_in_post(sender: Host, api: EventsApi) -> None:
    """rpm has both versions in its database, so an upgrade finds nothing to do. The documented
    command completes this one, and removes the old version."""
    api.wait_accepted(3)
    assert isinstance(sender.packages, Dnf)
    sender.packages.killed_install()
    sender.until(f"[ $(ls {QUEUE}/err | wc -l) -gt 5 ]")
    sender.packages.install()
    assert len(sender.sh("rpm -q pdagent").splitlines()) == 2
    sender.sh("yum reinstall -y -q pdagent")
    is_the_only_one(sender)
    none_is_lost(sender, api)


@pytest.mark.latest
@pytest.mark.only("deb")
def test_aborted_upgrade(near: Host, api: EventsApi, packages_url: str) -> None:
    """dpkg finds that it can't unpack the new package. The old agent goes on, and can be restarted;
    the next try succeeds."""
    near.sh(f"""
        mkdir -p /tmp/other/DEBIAN /tmp/other/usr/share/pdagent
        echo mine >/tmp/other/usr/share/pdagent/environment
        printf '%s\\n' 'Package: other' 'Version: 1' 'Architecture: all' \
            'Maintainer: nobody <nobody@localhost>' 'Description: none' >/tmp/other/DEBIAN/control
        dpkg-deb -b /tmp/other /tmp/other.deb >/dev/null
        dpkg -i /tmp/other.deb >/dev/null
        wget -qO /tmp/new.deb {packages_url}/{NEW["deb"]}
        if dpkg -i /tmp/new.deb; then echo 'it was unpacked' >&2; exit 1; fi""")
    assert near.packages.version("pdagent") == "1.7.4"
    near.service.restart()
    send(near, "by.the.old.one")
    api.wait_accepted(1)
    near.sh("dpkg -r other")
    near.packages.install()
    is_the_only_one(near)
    near.pd_send("by.the.new.one")
    api.wait_accepted(2)


@pytest.mark.latest
@pytest.mark.only("deb")
def test_reboot_half_way(sender: Host, api: EventsApi, packages_url: str) -> None:
    """Under systemd the new daemon serves the queue after the reboot already. What the old one had
    refused follows when the upgrade is completed."""
    api.wait_accepted(3)
    leave_half_way(sender, f"{packages_url}/{NEW['deb']}")
    sender.until(f"[ $(ls {QUEUE}/err | wc -l) -gt 5 ]")
    sender.sh("touch /tmp/enough", "alice")
    sender.until(f'[ -e /tmp/ended ] && [ -z "$(ls {QUEUE}/pdq)" ]')
    refused = len(sender.queue("err"))
    sender.reboot()
    if sender.spec.init == "systemd":
        send(sender, "meanwhile")
        sender.until(f'[ -z "$(ls {QUEUE}/pdq)" ]')
    assert len(sender.queue("err")) == refused
    sender.sh("dpkg --configure -a </dev/null")
    is_the_only_one(sender)
    sender.until(f'[ -z "$(ls {QUEUE}/pdq)" ]')
    assert sender.queue("err") == []


@pytest.mark.latest
@pytest.mark.only("systemd")
def test_stopped_stays_so(near: Host) -> None:
    """Stopping the old service leaves its Python running. That does not count as a service that
    runs; and it is ended."""
    near.service.stop()
    near.service.disable()
    assert near.sh(ORPHAN) != ""
    near.packages.install()
    assert near.sh(ORPHAN) == ""
    assert not near.service.is_running
    assert not near.service.is_enabled


@pytest.mark.latest
@pytest.mark.only("deb")
def test_stopped_stays_so_over_a_reboot(old: Host, packages_url: str) -> None:
    """The reboot comes before the upgrade is complete."""
    old.service.stop()
    old.service.disable()
    leave_half_way(old, f"{packages_url}/{NEW['deb']}")
    old.reboot()
    old.sh("dpkg --configure -a </dev/null")
    assert old.packages.version("pdagent") == "3.0.0"
    assert not old.service.is_running
    assert not old.service.is_enabled


@pytest.mark.latest
def test_directories_on_another_disk(near: Host, api: EventsApi) -> None:
    """Links that an administrator made: the service starts, delivers, and `pdagent check` looks
    through them."""
    near.service.stop()
    near.sh(f"kill $({ORPHAN}) 2>/dev/null || :")
    near.sh("""
        mkdir /srv/large
        for directory in /var/lib/pdagent /var/log/pdagent; do
            mkdir -p /srv/large${directory%/*}
            mv $directory /srv/large$directory
            ln -s /srv/large$directory $directory
        done""")
    near.service.start()
    near.packages.install()
    is_the_only_one(near)
    near.pd_send("by.link")
    api.wait_accepted(1)
    near.reboot()
    is_the_only_one(near)
    assert near.sh("readlink /var/lib/pdagent /var/log/pdagent").split() == [
        "/srv/large/var/lib/pdagent",
        "/srv/large/var/log/pdagent",
    ]
    found = json.loads(near.run("pdagent check --json").stdout)
    said = [each for each in found["findings"] if each["subject"] == "directories"]
    assert [each["level"] for each in said] == ["ok"]


@pytest.mark.latest
@pytest.mark.only("rpm")
def test_no_python(near: Host) -> None:
    """The old package's %preun asks a `python` that is no more. It gets an answer, and no script of
    ours stays behind."""
    if near.run("python -c 'print 1'").rc == 0:
        pytest.skip("yum itself is a program of this python, 2")
    near.sh("rm /usr/bin/python")
    near.packages.install()
    is_the_only_one(near)
    assert near.sh("command -v python || :") == ""


@pytest.mark.latest
@pytest.mark.only("rpm")
def test_both_versions(near: Host, api: EventsApi) -> None:
    """A host on which the old package's %preun could not be helped has both versions in its
    database. The documented command removes the old one, and nothing else."""
    near.sh("ln -s /bin/false /usr/sbin/python")
    assert near.run("yum install -y -q pdagent").rc != 0
    assert len(near.sh("rpm -q pdagent").splitlines()) == 2
    near.sh("rpm -e --noscripts pdagent-1.7.4")
    is_the_only_one(near)
    near.pd_send("after")
    api.wait_accepted(1)
    assert near.sh("readlink /usr/sbin/python") == "/bin/false"


@pytest.mark.latest
def test_go_agent_is_replaced(bare: Host, api: EventsApi, packages_url: str) -> None:
    """PagerDuty's agent in Go goes, its wrappers in /usr/local with it; its database stays."""
    bare.sh("useradd -m alice")
    bare.packages.install_file(f"{packages_url}/old/{GO[bare.spec.family]}")
    bare.sh("echo old >/var/db/pdagent/pdagent.db")
    bare.packages.add_repository(f"{packages_url}/current/pdagent")
    bare.packages.install()
    assert bare.run("test -e /usr/local/bin/pd-send").rc == 1
    is_the_only_one(bare)
    assert bare.service.is_enabled
    bare.configure(events_url=f"http://events.test:{api.port}")
    bare.service.restart()
    bare.pd_send("after")
    api.wait_accepted(1)
    assert bare.sh("cat /var/db/pdagent/pdagent.db") == "old"


@pytest.mark.latest
@pytest.mark.only("deb")
def test_apt_never_asks(host: Host, packages_url: str) -> None:
    """From our own first packages, in which the configuration was a conffile: an edited one stays
    as it is. So it does when the package is removed; a purge takes it."""
    host.sh(f"""
        wget -qO /tmp/pdagent.deb {packages_url}/{NEW["deb"]}
        cd /tmp && dpkg-deb -R pdagent.deb first
        sed -i 's/^Version: .*/Version: 3.0.0~first/' first/DEBIAN/control
        echo /etc/pdagent.conf >>first/DEBIAN/conffiles
        install -D first/usr/share/pdagent/pdagent.conf first/etc/pdagent.conf
        dpkg-deb -Znone -b first first.deb >/dev/null
        apt-get -q=2 purge -y pdagent-integrations pdagent >/dev/null 2>&1
        dpkg -i first.deb >/dev/null""")
    host.configure(backoff_interval_secs="59")
    edited = host.sh("cat /etc/pdagent.conf")
    host.packages.install()
    assert host.sh("cat /etc/pdagent.conf") == edited
    assert host.sh("ls -d /etc/pdagent.conf*") == "/etc/pdagent.conf\n/etc/pdagent.conf.d"
    host.packages.remove()
    assert host.sh("cat /etc/pdagent.conf") == edited
    host.packages.install()
    assert host.sh("cat /etc/pdagent.conf") == edited
    host.sh("apt-get -q=2 purge -y pdagent-integrations pdagent")
    assert host.sh("ls /etc/pdagent.conf* 2>/dev/null || :") == ""


@pytest.mark.latest
def test_root_follows_no_link(old: Host) -> None:
    """Root copies the unit from there. The old agent gave it to user pdagent, who may have put
    links in root's way: an upgrade does not follow them, nor can that user make new ones."""
    host = old
    host.sh("mkdir /etc/mine; chmod 700 /etc/mine")
    host.sh(
        """su -s /bin/sh pdagent -c '
            cd /var/lib/pdagent
            mv scripts aside && ln -s /etc/mine scripts
            rmdir outqueue/suc && ln -s /etc/mine outqueue/suc'"""
    )
    host.packages.install()
    assert host.sh("ls -A /etc/mine; stat -c '%a %U' /etc/mine") == "700 root"
    for path in ("/var/lib/pdagent", QUEUE, "/var/lib/pdagent/scripts"):
        assert host.sh(f"stat -c '%F %a %U' {path}") == "directory 755 root", path
    assert host.sh(f"stat -c '%F %a %U' {QUEUE}/suc") == "directory 2750 pdagent"
    host.service.restart()
    assert host.service.is_running
    assert host.sh("stat -c %U /var/lib/pdagent /var/lib/pdagent/scripts").split() == ["root"] * 2
    tried = host.run("su -s /bin/sh pdagent -c 'mv /var/lib/pdagent/scripts /var/lib/pdagent/x'")
    assert tried.rc != 0
    copied = host.sh("cat /var/lib/pdagent/scripts/pdagent.service")
    assert copied == host.sh("cat /lib/systemd/system/pdagent.service")
    compiled = host.sh("ls -d /usr/lib/python*/*-packages/pdagent 2>/dev/null || :")
    assert compiled == "", "bytecode of the old agent stays behind"
