"""The repositories that `make repos` makes, as rpm and dnf see them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.repository import Dnf, Repo, Site, run, signatures

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="dnf installs as root only")


def test_rpm_accepts_each_package_with_the_published_key_only(repo: Repo, tmp_path: Path) -> None:
    packages = sorted(repo.top.glob("pdagent/rpm/*.rpm"))
    assert len(packages) == 4
    assert signatures(tmp_path / "empty", *packages).count("SIGNATURES NOT OK") == 4
    run("rpmkeys", "--dbpath", tmp_path / "db", "--import", repo.top / "GPG-KEY-RPM-pagerduty")
    assert signatures(tmp_path / "db", *packages).count("digests signatures OK") == 4


def test_rpm_notices_a_changed_package(repo: Repo, tampered: Site, tmp_path: Path) -> None:
    package = next(tampered.directory.glob("pdagent/rpm/pdagent-3*.x86_64.rpm"))
    with package.open("r+b") as payload:
        payload.seek(-1, 2)
        last = payload.read(1)
        payload.seek(-1, 2)
        payload.write(bytes([last[0] ^ 1]))
    run("rpmkeys", "--dbpath", tmp_path / "db", "--import", repo.top / "GPG-KEY-RPM-pagerduty")
    assert "NOT OK" in signatures(tmp_path / "db", package)


def test_rpm_signatures_are_such_as_old_rpm_can_check(repo: Repo) -> None:
    """RSA with SHA-256, over the header and, for rpm before 4.14, over header and payload too."""
    for package in repo.top.glob("pdagent/rpm/*.rpm"):
        for tag in "RSAHEADER", "SIGPGP":
            signature = run("rpm", "-qp", "--nosignature", "--qf", f"%{{{tag}:pgpsig}}", package)
            assert signature.stdout.startswith("RSA/SHA256, ")
            assert repo.key[-16:].lower() in signature.stdout


def test_yums_list_is_signed_and_names_strong_digests(repo: Repo) -> None:
    repodata = repo.top / "pdagent/rpm/repodata"
    run("gpgv", "--keyring", repo.public, repodata / "repomd.xml.asc", repodata / "repomd.xml")
    text = (repodata / "repomd.xml").read_text()
    assert text.count('checksum type="') == text.count('checksum type="sha256"') > 0


@as_root
def test_dnf_installs_with_both_checks_on(repo: Repo, tmp_path: Path) -> None:
    source = repo.top / "pdagent/pdagent.repo"
    assert {"gpgcheck=1", "repo_gpgcheck=1"} <= set(source.read_text().splitlines())
    dnf = Dnf(tmp_path / "dnf", source)
    result = dnf.run("install", "pdagent", "pdagent-integrations", "pdagent-archive-keyring")
    assert result.returncode == 0, result.stdout
    assert (dnf.root / "host/usr/share/pdagent/LICENSE").exists()
    assert (dnf.root / "host/etc/pki/rpm-gpg/RPM-GPG-KEY-pagerduty").read_bytes() == (
        repo.top / "GPG-KEY-RPM-pagerduty"
    ).read_bytes()


def unsign_list(top: Path) -> None:
    (top / "pdagent/rpm/repodata/repomd.xml.asc").unlink()


def change_list(top: Path) -> None:
    listed = top / "pdagent/rpm/repodata/repomd.xml"
    listed.write_text(listed.read_text().replace("<revision>1", "<revision>2"))


def unsign_package(top: Path) -> None:
    """The list is right and signed; the package in it is not."""
    run("rpmsign", "--delsign", next(top.glob("pdagent/rpm/pdagent-3*.x86_64.rpm")))
    repofile = top / "pdagent/pdagent.repo"
    repofile.write_text(repofile.read_text().replace("repo_gpgcheck=1", "repo_gpgcheck=0"))
    run("createrepo_c", "--quiet", top / "pdagent/rpm")


@as_root
@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (unsign_list, "GPG signature is not available"),
        (change_list, "Bad GPG signature"),
        (unsign_package, "is not signed"),
    ],
)
def test_dnf_refuses_what_is_not_signed(
    tampered: Site, tmp_path: Path, harm: Callable[[Path], None], reason: str
) -> None:
    harm(tampered.directory)
    dnf = Dnf(tmp_path / "dnf", tampered.directory / "pdagent/pdagent.repo")
    result = dnf.run("install", "pdagent")
    assert result.returncode == 1
    assert reason in result.stdout
    assert not (dnf.root / "host/usr/share/pdagent").exists()


@as_root
def test_dnf_refuses_a_strangers_key(tampered: Site, tmp_path: Path, stranger: Path) -> None:
    shutil.copy(stranger.with_suffix(".asc"), tampered.directory / "GPG-KEY-RPM-pagerduty")
    dnf = Dnf(tmp_path / "dnf", tampered.directory / "pdagent/pdagent.repo")
    result = dnf.run("install", "pdagent")
    assert result.returncode == 1
    assert "Bad GPG signature" in result.stdout
    assert not (dnf.root / "host/usr/share/pdagent").exists()
