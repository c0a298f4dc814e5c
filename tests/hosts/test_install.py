"""First installations where somebody was there before, and what hosts go through later."""

import re

import pytest

from tests.hosts.fixtures import install_agent
from tests.hosts.host import Host
from tests.hosts.packages import Apt, Dnf
from tests.hosts.service import Systemd
from tests.support.events_api import EventsApi

QUEUE = "/var/lib/pdagent/outqueue"
POLICY = "/etc/systemd/system-preset/00-mine.preset"


@pytest.mark.only("rpm")
@pytest.mark.only("systemd")
def test_policy_keeps_it_off(bare: Host, packages_url: str) -> None:
    """A preset that names the agent counts; one line says what is left to do. Somebody's wrapper
    where the agent in Go had its program changes nothing."""
    bare.sh(f"""
        mkdir -p {POLICY.rpartition("/")[0]}; echo 'disable pdagent.service' >{POLICY}
        printf '#!/bin/sh\\nexec /usr/bin/pdagent "$@"\\n' >/usr/local/bin/pdagent
        chmod +x /usr/local/bin/pdagent""")
    bare.packages.add_repository(f"{packages_url}/current/pdagent")
    said = bare.sh("yum install -y pdagent 2>&1")  # -q hides what scripts say
    assert not bare.service.is_running
    assert not bare.service.is_enabled
    command = re.findall("events wait until you say: (.*)", said)
    assert len(command) == 1, said
    bare.sh(f"rm {POLICY}; {command[0]}")
    assert bare.service.is_running
    assert bare.service.is_enabled


@pytest.mark.latest
@pytest.mark.only("deb")
def test_killed_in_its_first_preinst(bare: Host, packages_url: str) -> None:
    """dpkg calls the second try an upgrade. It is none: the service is enabled and runs."""
    assert isinstance(bare.packages, Apt)
    bare.sh("""
        mv /usr/sbin/groupadd /usr/sbin/groupadd.real
        printf '#!/bin/sh\\npkill -KILL -x dpkg; kill -KILL $PPID\\n' >/usr/sbin/groupadd
        chmod 755 /usr/sbin/groupadd""")
    bare.packages.add_repository(f"{packages_url}/current/pdagent")
    with pytest.raises(AssertionError):
        bare.packages.install()
    assert bare.sh("dpkg-query -W -f '${db:Status-Status}' pdagent") == "half-installed"
    bare.sh("mv /usr/sbin/groupadd.real /usr/sbin/groupadd; dpkg --configure -a")
    bare.packages.install()
    assert bare.service.is_running
    assert bare.service.is_enabled


@pytest.mark.latest
@pytest.mark.only("rpm")
@pytest.mark.only("systemd")
def test_killed_in_its_first_post(bare: Host, packages_url: str) -> None:
    """rpm calls the second try an upgrade. It is none: the service is enabled and runs."""
    bare.packages.add_repository(f"{packages_url}/current/pdagent")
    assert isinstance(bare.packages, Dnf)
    bare.packages.killed_install("pdagent")
    assert not bare.service.is_enabled
    bare.sh("yum reinstall -y -q pdagent")
    assert bare.service.is_running
    assert bare.service.is_enabled


@pytest.mark.latest
@pytest.mark.only("rpm")
@pytest.mark.only("systemd")
def test_image_whose_systemd_comes_later(bare: Host, packages_url: str) -> None:
    """In one transaction with the agent, behind it: the service is enabled all the same."""
    bare.packages.add_repository(f"{packages_url}/current/pdagent")
    bare.sh("""
        mv /usr/bin/systemctl /usr/bin/systemctl.real
        mv /run/systemd/system /run/systemd/system.real
        printf '%s\\n' 'Name: later' 'Version: 1' 'Release: 1' 'Summary: later' 'License: none' \\
            'BuildArch: noarch' 'Requires: pdagent' '%description' 'later' '%post' \\
            'cp /usr/bin/systemctl.real /usr/bin/systemctl' '%files' >/tmp/later.spec
        rpmbuild -bb --define '_topdir /tmp/build' /tmp/later.spec >/dev/null 2>&1
        yum install -y -q --nogpgcheck pdagent /tmp/build/RPMS/noarch/later-1-1.noarch.rpm
        mv /run/systemd/system.real /run/systemd/system""")
    assert bare.service.is_enabled
    assert bare.run("test -e /var/lib/pdagent/new").rc == 1


@pytest.mark.latest
@pytest.mark.only("rpm")
@pytest.mark.only("systemd")
def test_removed_from_an_image(bare: Host, packages_url: str) -> None:
    """What an installation enabled where no systemd runs, the removal disables there."""
    bare.packages.add_repository(f"{packages_url}/current/pdagent")
    bare.sh("mv /run/systemd/system /run/systemd/system.real")
    bare.packages.install()
    enabled = bare.sh("ls /etc/systemd/system/*.wants/pdagent.service")
    bare.packages.remove()
    assert bare.run(f"test -L {enabled}").rc == 1
    bare.sh("mv /run/systemd/system.real /run/systemd/system")


@pytest.mark.only("rpm")
@pytest.mark.only("sysv")
def test_image_with_init_scripts(bare: Host, packages_url: str) -> None:
    """Where no init runs no daemon is started: its agent ID would be that of all hosts of the
    image. They start it when they boot."""
    bare.packages.add_repository(f"{packages_url}/current/pdagent")
    bare.sh("""
        mv /sbin/runlevel /sbin/runlevel.real
        printf '#!/bin/sh\\necho unknown\\nexit 1\\n' >/sbin/runlevel; chmod 755 /sbin/runlevel""")
    bare.packages.install()
    bare.sh("mv /sbin/runlevel.real /sbin/runlevel")
    assert bare.sh("ls /run/pdagent /var/lib/pdagent/db 2>/dev/null || :") == "/var/lib/pdagent/db:"
    assert bare.service.is_enabled
    bare.reboot()
    assert bare.service.is_running


@pytest.mark.latest
def test_user_without_its_group(bare: Host, packages_url: str, api: EventsApi) -> None:
    """An administrator made the user in another group: the package makes the group, and what other
    users queue can be read."""
    bare.sh("useradd -m alice; useradd -r -g daemon pdagent")
    install_agent(bare, packages_url, api)
    assert bare.service.is_running
    bare.pd_send("from.alice")
    api.wait_accepted(1)
    groups = bare.sh(f"stat -c %G /proc/{bare.service.pid} {QUEUE}/tmp {QUEUE}/pdq {QUEUE}/err")
    assert groups.split() == ["pdagent"] * 4


@pytest.mark.latest
def test_queue_of_another_group(host: Host, api: EventsApi) -> None:
    """`pdagent check` names a queue of another group, and puts it right when told to."""
    wrong = f"{QUEUE}/pdq"
    host.sh(f"chgrp daemon {wrong}")
    assert f"{wrong} has group" in host.run("COLUMNS=200 pdagent check").stdout
    host.run("pdagent check --repair")
    assert host.sh(f"stat -c '%a %U %G' {wrong}") == "3733 pdagent pdagent"
    host.pd_send("after")
    api.wait_accepted(1)


@pytest.mark.latest
def test_expired_account(host: Host, api: EventsApi) -> None:
    """Nobody may log in as user pdagent; the daemon, which does not log in, runs. Not every host
    has start-stop-daemon."""
    host.sh("chage -E 0 pdagent")
    assert host.run("su -s /bin/sh pdagent -c :").rc != 0, "it has not expired"
    for number, hide in enumerate([":", "mv $(command -v start-stop-daemon) /root/"], 1):
        host.sh(hide)
        host.service.restart()
        assert host.service.is_running
        assert host.sh(f"stat -c '%U %G' /proc/{host.service.pid}") == "pdagent pdagent"
        host.pd_send(f"expired.{number}")
        api.wait_accepted(number)


@pytest.mark.latest
def test_log_directory_wiped(host: Host) -> None:
    """Only root can make it again, so the unit and the init script do."""
    host.service.stop()
    host.sh("rm -rf /var/log/pdagent")
    host.service.start()
    assert "Ready" in host.log()
    assert host.sh("stat -c '%a %U %G' /var/log/pdagent") == "755 pdagent pdagent"


@pytest.mark.only("rpm")
@pytest.mark.only("sysv")
def test_edited_init_script_is_kept(host: Host) -> None:
    """As rpm keeps edited configuration."""
    host.sh("echo '# mine' >>/etc/init.d/pdagent")
    host.packages.remove()
    assert host.sh("ls /etc/init.d/pdagent* /etc/rc3.d/*pdagent* 2>/dev/null || :") == (
        "/etc/init.d/pdagent.rpmsave"
    )
    assert host.sh("tail -n 1 /etc/init.d/pdagent.rpmsave") == "# mine"


@pytest.mark.latest
def test_sent_before_the_daemon_ever_ran(bare: Host, packages_url: str, api: EventsApi) -> None:
    """Where the service is kept from starting, the queue is there all the same."""
    bare.sh(f"""
        useradd -m alice
        mkdir -p {POLICY.rpartition("/")[0]}; echo 'disable pdagent.service' >{POLICY}
        printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d""")
    bare.packages.add_repository(f"{packages_url}/current/pdagent")
    bare.packages.install()
    bare.service.stop()
    bare.pd_send("early")
    assert len(bare.queue()) == 1
    bare.configure(events_url=f"http://events.test:{api.port}")
    bare.service.start()
    api.wait_accepted(1)


@pytest.mark.latest
def test_queue_alone_on_another_disk(host: Host, api: EventsApi) -> None:
    """outqueue/ may be a link, which the sandbox has to follow: the service starts and delivers."""
    host.service.stop()
    host.sh(f"mv {QUEUE} /srv/queue; ln -s /srv/queue {QUEUE}")
    host.service.start()
    host.pd_send("by.link")
    api.wait_accepted(1)
    host.until("ls /srv/queue/suc | grep -q .")


@pytest.mark.latest
@pytest.mark.only("systemd")
def test_queue_in_home(host: Host, api: EventsApi) -> None:
    """The sandbox hides it: the log says so, and a line in a drop-in shows it."""
    assert isinstance(host.service, Systemd)
    host.service.stop()
    host.sh(f"mv {QUEUE} /home/queue; ln -s /home/queue {QUEUE}")
    assert host.run("systemctl start pdagent").rc != 0
    said = f"the link {QUEUE} leads to /home/queue, which is not there, or is hidden"
    assert said in host.log()
    host.service.override("ProtectHome=read-only")
    host.pd_send("by.link")
    api.wait_accepted(1)
    host.until("ls /home/queue/suc | grep -q .")
