"""`pdagent check` on a host: what it says of the service, and what its remedies do there."""

import json
import re

import pytest

from tests.hosts.host import KEY, Host
from tests.support.agent import wait_until
from tests.support.events_api import CertificateAuthority, EventsApi

Line = dict[str, str]


def wrong(host: Host) -> list[Line]:
    """The lines of the check that are not well; none if it is content."""
    said = json.loads(host.run("pdagent check --json").stdout)
    return [line for line in said["findings"] if line["level"] in ("warning", "failed")]


def named(host: Host, subject: str, text: str) -> Line:
    """The line of the check that says so. The daemon may find it out a moment later."""
    lines: list[Line] = []

    def is_there() -> bool:
        lines.extend(w for w in wrong(host) if w["subject"] == subject and text in w["text"])
        return bool(lines)

    wait_until(is_there)
    return lines[0]


@pytest.mark.latest
@pytest.mark.only("systemd")
def test_what_the_sandbox_hides(host: Host) -> None:
    """A ca_file below /home is there for root, and hidden from the service: the check, the status
    of the unit and the log say so, and what the check says to do is enough."""
    with EventsApi(bind="0.0.0.0", tls=CertificateAuthority(), hosts=["events.test"]) as api:
        with open(api.ca_file) as file:
            host.sh(f"cat >/home/alice/ca.pem <<'END'\n{file.read()}END\nchmod 755 /home/alice")
        host.configure(events_url=f"https://events.test:{api.port}", ca_file="/home/alice/ca.pem")
        host.service.restart()
        host.pd_send("hidden")
        line = named(host, "delivery", "the service cannot read /home/alice/ca.pem")
        assert line["remedy"].startswith("Copy it to /etc/ssl")
        assert line["remedy"].endswith("then: systemctl reload pdagent")
        host.until("systemctl status pdagent | grep -q 'Status: .*cannot read /home/alice/ca.pem'")
        assert "cannot read /home/alice/ca.pem" in host.log()

        host.sh("cp /home/alice/ca.pem /etc/ssl/")
        host.configure(ca_file="/etc/ssl/ca.pem")
        host.sh("systemctl reload pdagent")
        api.wait_accepted(1)
        host.until("pdagent check >/dev/null")
        host.until("systemctl status pdagent | grep -q 'Status: .*0 pending; last delivery'")


@pytest.mark.latest
def test_accidents(host: Host, api: EventsApi) -> None:
    """chown -R and chmod -R in the agent's directories, a configuration that only root may read:
    one command puts all of it right, and the event that waits is delivered."""
    host.pd_send("before")
    api.wait_accepted(1)
    host.sh("""
        chown -R root:root /var/lib/pdagent /var/log/pdagent
        chmod -R go-rwx /var/lib/pdagent /var/log/pdagent
        chmod 600 /etc/pdagent.conf""")
    line = named(host, "directories", "/var/lib/pdagent")
    assert line["remedy"] == "sudo pdagent check --repair"
    host.sh("pdagent check --repair || :")
    host.service.restart()
    host.pd_send("after")
    api.wait_accepted(2)
    assert [line for line in wrong(host) if line["level"] == "failed"] == []
    again = host.sh("pdagent check --repair || :")
    assert "owners and modes were as they should be" in re.sub(r"\s+", " ", again)


@pytest.mark.latest
@pytest.mark.only("systemd")
def test_a_masked_unit(host: Host, api: EventsApi) -> None:
    """The remedy unmasks it and starts it."""
    host.sh(
        "systemctl stop pdagent; systemctl mask --quiet pdagent 2>/dev/null || "
        "{ mv /etc/systemd/system/pdagent.service /root; systemctl mask --quiet pdagent; }"
    )
    host.pd_send("masked")
    line = named(host, "daemon", "does not run")
    assert line["remedy"] == "systemctl unmask pdagent && systemctl enable --now pdagent"
    host.sh(line["remedy"])
    api.wait_accepted(1)
    assert api.incident(KEY, "masked").events == 1


@pytest.mark.latest
def test_lines_of_the_environment_file(host: Host) -> None:
    """A line that the init system does not take as it was meant is named, not passed over."""
    host.sh(f"echo 'export https_proxy=http://proxy:3128' >>{host.packages.environment}")
    host.service.restart()
    line = named(host, "proxy", "is ignored, for it begins with export")
    assert host.packages.environment in line["text"]
    assert "https_proxy=" in line["text"]


@pytest.mark.latest
@pytest.mark.only("systemd")
def test_no_group(host: Host, api: EventsApi) -> None:
    """A user without its group (216/GROUP): the check's remedy is all that it takes."""
    host.sh("""
        systemctl stop pdagent
        usermod -g daemon pdagent
        groupdel pdagent
        systemctl start pdagent || :""")
    line = named(host, "directories", "there is no group pdagent")
    host.pd_send("no.group")
    host.sh(line["remedy"].replace("sudo ", "").replace("--repair", "--repair >/dev/null || :"))
    host.sh("systemctl restart pdagent")
    api.wait_accepted(1)
