"""What a host trusts."""

import re

import pytest

from tests.hosts.host import Host

pytestmark = pytest.mark.brief


def test_wrong_key(bare: Host, packages_url: str) -> None:
    """Nothing is installed from a repository that another key signed."""
    key = {"deb": "GPG-KEY-pagerduty", "rpm": "GPG-KEY-RPM-pagerduty"}[bare.spec.family]
    bare.packages.add_repository(
        f"{packages_url}/current/pdagent", f"{packages_url}/stranger/{key}"
    )
    with pytest.raises(AssertionError, match=r"(?i)GPG|NO_PUBKEY|signature|public key"):
        bare.packages.install()
    assert bare.sh("command -v pd-send || echo none") == "none"


def test_ready_made_source(bare: Host, packages_url: str) -> None:
    """The file that the repository offers is enough, with the keyring beside it."""
    bare.packages.add_offered_repository(f"{packages_url}/current/pdagent")
    bare.packages.install("pdagent")
    assert bare.service.is_running


@pytest.mark.only("rpm-forky")
def test_rpm_6(bare: Host, packages_url: str) -> None:
    """It names keys by their whole fingerprint, and installs nothing that no key of its own signed,
    whoever hands it the file."""
    current = f"{packages_url}/current"
    package = f"{current}/pdagent/rpm/pdagent-3.0.0-1.x86_64.rpm"
    assert bare.run("rpmkeys --list").stdout == ""
    with pytest.raises(AssertionError, match=r"does not verify: .* NOKEY"):
        bare.sh(f"rpm -i {package}")
    bare.sh(f"rpmkeys --import {current}/GPG-KEY-RPM-pagerduty; rpm -i {package}")
    assert bare.service.is_running
    [key] = bare.sh("rpmkeys --list").splitlines()
    assert re.match(r"[0-9a-f]{40} ", key)
    bare.sh(f"rpmkeys --delete {key[:40]}")
    assert bare.run("rpmkeys --list").stdout == ""


@pytest.mark.only("rpm-trixie")
def test_zypper(bare: Host, packages_url: str) -> None:
    """It takes the ready-made file; nothing from a repository that another key signed."""
    server = packages_url.split("/")[2]
    bare.sh(f"""
        curl -sf {packages_url}/current/pdagent/pdagent.repo |
            sed 's,http://[^/]*,http://{server},' >pdagent.repo
        zypper --non-interactive addrepo pdagent.repo
    """)
    with pytest.raises(AssertionError, match=r"unknown key|Signature verification failed"):
        bare.sh("zypper --non-interactive install pdagent")
    bare.sh("zypper --non-interactive --gpg-auto-import-keys install pdagent pdagent-integrations")
    assert bare.service.is_running
