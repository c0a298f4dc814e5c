"""The repositories that `make repos` makes, as apt, gpgv and sqv see them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from tests.support.repository import Apt, Repo, Site, run


def spoil(path: Path) -> None:
    """Changes one byte in the middle and leaves the size alone."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
@pytest.mark.parametrize("name", ["pdagent.sources", "pdagent.list"])
def test_apt_installs_from_a_ready_made_source(
    repo: Repo, tmp_path: Path, name: str, architecture: str
) -> None:
    """Its own architecture's, without a word of the other's; and lists are fetched by hash, so that
    an upload never disturbs an update."""
    apt = Apt(tmp_path / "apt", architecture)
    apt.trust(repo.public)
    apt.add(repo.top / "pdagent" / name)
    update = apt.get("update")
    assert update.returncode == 0
    assert not [line for line in update.stdout.splitlines() if line.startswith(("W:", "E:", "N:"))]
    assert f"/stable/main/binary-{architecture}/by-hash/SHA256/" in " ".join(repo.site.asked)
    assert apt.get("download", "pdagent", "pdagent-integrations").returncode == 0
    downloaded = apt.root / f"pdagent_3.0.0_{architecture}.deb"
    assert downloaded.read_bytes() == (repo.packages / downloaded.name).read_bytes()
    wanted = apt.get("install", "--simulate", "pdagent", "pdagent-archive-keyring").stdout
    assert f"Inst pdagent (3.0.0 pdagent:stable [{architecture}])" in wanted
    assert "Inst pdagent-archive-keyring" in wanted


def test_the_old_guides_line_still_works(repo: Repo, apt: Apt) -> None:
    """`apt-key add` makes a key good for every source, which is what trusted.gpg.d does."""
    shutil.copy(repo.top / "GPG-KEY-pagerduty", apt.root / "etc/apt/trusted.gpg.d/pagerduty.asc")
    apt.add_line(f"deb {repo.site.url}/pdagent deb/")
    update = apt.get("update")
    assert update.returncode == 0
    assert not [line for line in update.stdout.splitlines() if line.startswith(("W:", "E:"))]
    assert apt.get("download", "pdagent").returncode == 0
    assert (apt.root / "pdagent_3.0.0_amd64.deb").exists()


def test_apt_refuses_a_strangers_key(repo: Repo, apt: Apt, stranger: Path) -> None:
    apt.trust(stranger)
    apt.add(repo.top / "pdagent/pdagent.sources")
    update = apt.get("update")
    assert update.returncode == 100
    assert "NO_PUBKEY" in update.stdout
    assert apt.get("download", "pdagent").returncode == 100


def test_apt_refuses_a_repository_without_signatures(tampered: Site, repo: Repo, apt: Apt) -> None:
    for name in "InRelease", "Release.gpg":
        (tampered.directory / "pdagent/dists/stable" / name).unlink()
    apt.trust(repo.public)
    apt.add(tampered.directory / "pdagent/pdagent.sources")
    update = apt.get("update")
    assert update.returncode == 100
    assert "is not signed" in update.stdout


def test_apt_falls_back_to_the_detached_signature(tampered: Site, repo: Repo, apt: Apt) -> None:
    """Old apt, and some mirrors, know Release and Release.gpg only."""
    (tampered.directory / "pdagent/dists/stable/InRelease").unlink()
    apt.trust(repo.public)
    apt.add(tampered.directory / "pdagent/pdagent.sources")
    assert apt.get("update").returncode == 0


@pytest.mark.parametrize("source", ["dists/stable/main/binary-amd64", "deb"])
def test_apt_refuses_a_changed_list(tampered: Site, repo: Repo, apt: Apt, source: str) -> None:
    directory = tampered.directory / "pdagent" / source
    for listed in (*directory.glob("Packages*"), *directory.glob("by-hash/SHA256/*")):
        spoil(listed)
    suite = "deb/" if source == "deb" else "stable main"
    apt.add_line(f"deb [signed-by={apt.trust(repo.public)}] {tampered.url}/pdagent {suite}")
    update = apt.get("update")
    assert update.returncode == 100
    assert "Hash Sum mismatch" in update.stdout


def test_apt_refuses_a_changed_package(tampered: Site, repo: Repo, apt: Apt) -> None:
    spoil(next(tampered.directory.glob("pdagent/pool/main/p/pdagent/*_amd64.deb")))
    apt.trust(repo.public)
    apt.add(tampered.directory / "pdagent/pdagent.sources")
    assert apt.get("update").returncode == 0
    refused = apt.get("download", "pdagent")
    assert refused.returncode == 100
    assert "Hash Sum mismatch" in refused.stdout


@pytest.mark.parametrize("name", ["dists/stable", "deb"])
def test_release_names_strong_digests_that_are_right(repo: Repo, name: str) -> None:
    """SHA-256 of every list, a copy of the list under that name, and no weaker digest anywhere."""
    directory = repo.top / "pdagent" / name
    head, _, body = (directory / "Release").read_text().partition("SHA256:\n")
    assert not {"MD5Sum", "SHA1"} & {line.partition(":")[0] for line in head.splitlines()}
    listed = [line.split() for line in body.splitlines()]
    assert {Path(path).name for _, _, path in listed} == {"Packages", "Packages.gz", "Packages.xz"}
    for digest, size, path in listed:
        content = (directory / path).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (digest, int(size))
        assert (directory / path).parent.joinpath("by-hash/SHA256", digest).read_bytes() == content
        if path.endswith("Packages"):
            assert b"\nSHA256: " in content
            assert b"\nMD5sum: " not in content
            assert b"\nSHA1: " not in content


@pytest.mark.parametrize("name", ["dists/stable", "deb"])
def test_gpgv_and_sqv_agree(repo: Repo, stranger: Path, name: str) -> None:
    """What apt asks: gpgv, and since Debian 13 the stricter sqv."""
    directory = repo.top / "pdagent" / name
    plain, detached = directory / "Release", directory / "Release.gpg"
    run("gpgv", "--keyring", repo.public, directory / "InRelease")
    run("gpgv", "--keyring", repo.public, detached, plain)
    run("sqv", "--keyring", repo.public, detached, plain)
    assert plain.read_text() in (directory / "InRelease").read_text()
    assert run("gpgv", "--keyring", stranger, detached, plain, check=False).returncode == 2
