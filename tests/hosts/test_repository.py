"""What a host trusts."""

import pytest

from tests.hosts.host import Host


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
