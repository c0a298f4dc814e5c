"""The repositories that `make repos` makes, as apt, gpgv, rpm and dnf see them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.repository import (
    EPOCH,
    Apt,
    Dnf,
    Keys,
    Site,
    build,
    keys,
    run,
    site,
    stand_ins,
)

needed = ("apt-ftparchive", "createrepo_c", "dnf", "gpg", "gpgv", "rpmsign")
missing = [name for name in needed if not shutil.which(name)]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="dnf installs as root only")


@dataclass(frozen=True)
class Repo:
    """A built repository, published on loopback."""

    packages: Path
    signer: Keys
    key: str
    site: Site

    @property
    def top(self) -> Path:
        return self.site.directory

    @property
    def public(self) -> Path:
        return self.top / "GPG-KEY-pagerduty.gpg"


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    with keys(tmp_path_factory.mktemp("keys") / "gpg") as made:
        yield made


@pytest.fixture(scope="module")
def stranger(signer: Keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody else's public key."""
    target = tmp_path_factory.mktemp("stranger")
    key = signer.make("stranger")
    signer.gpg("--output", target / "key.gpg", "--export", key)
    return signer.export(target / "key.asc", key).with_suffix(".gpg")


@pytest.fixture(scope="module")
def repo(signer: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    here = tmp_path_factory.mktemp("repo")
    packages = stand_ins(here / "packages")
    key = signer.make("publisher", "2y")
    with site(here / "site") as served:
        build(packages, served.directory, served.url, signer, key)
        yield Repo(packages, signer, key, served)


@pytest.fixture
def tampered(repo: Repo, tmp_path: Path) -> Iterator[Site]:
    """A copy of the repository for a test to spoil, at an address of its own."""
    copy = shutil.copytree(repo.top, tmp_path / "site")
    with site(copy) as served:
        for ready_made in (copy / "pdagent").glob("pdagent.*"):
            ready_made.write_text(ready_made.read_text().replace(repo.site.url, served.url))
        yield served


@pytest.fixture
def apt(tmp_path: Path) -> Apt:
    return Apt(tmp_path / "apt")


def spoil(path: Path) -> None:
    """Changes one byte in the middle and leaves the size alone."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# apt


@pytest.mark.parametrize("name", ["pdagent.sources", "pdagent.list"])
def test_apt_installs_from_a_ready_made_source(repo: Repo, apt: Apt, name: str) -> None:
    """No warning; and lists are fetched by hash, so that an upload never disturbs an update."""
    apt.trust(repo.public)
    apt.add(repo.top / "pdagent" / name)
    update = apt.get("update")
    assert update.returncode == 0
    assert not [line for line in update.stdout.splitlines() if line.startswith(("W:", "E:", "N:"))]
    assert "/pdagent/dists/stable/main/binary-amd64/by-hash/SHA256/" in " ".join(repo.site.asked)
    assert apt.get("download", "pdagent", "pdagent-integrations").returncode == 0
    downloaded = apt.root / "pdagent_3.0.0_amd64.deb"
    assert downloaded.read_bytes() == (repo.packages / downloaded.name).read_bytes()
    wanted = apt.get("install", "--simulate", "pdagent", "pdagent-archive-keyring").stdout
    assert "Inst pdagent (3.0.0 pdagent:stable [amd64])" in wanted
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
    spoil(next(tampered.directory.glob("pdagent/pool/main/p/pdagent/*.deb")))
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
def test_gpgv_agrees(repo: Repo, stranger: Path, name: str) -> None:
    directory = repo.top / "pdagent" / name
    plain, detached = directory / "Release", directory / "Release.gpg"
    run("gpgv", "--keyring", repo.public, directory / "InRelease")
    run("gpgv", "--keyring", repo.public, detached, plain)
    assert plain.read_text() in (directory / "InRelease").read_text()
    assert run("gpgv", "--keyring", stranger, detached, plain, check=False).returncode == 2


# rpm, yum, dnf


def signatures(directory: Path, *packages: Path) -> str:
    return run("rpmkeys", "--dbpath", directory, "--checksig", *packages, check=False).stdout


def test_rpm_accepts_each_package_with_the_published_key_only(repo: Repo, tmp_path: Path) -> None:
    packages = sorted(repo.top.glob("pdagent/rpm/*.rpm"))
    assert len(packages) == 3
    assert signatures(tmp_path / "empty", *packages).count("SIGNATURES NOT OK") == 3
    run("rpmkeys", "--dbpath", tmp_path / "db", "--import", repo.top / "GPG-KEY-RPM-pagerduty")
    assert signatures(tmp_path / "db", *packages).count("digests signatures OK") == 3


def test_rpm_notices_a_changed_package(repo: Repo, tampered: Site, tmp_path: Path) -> None:
    package = next(tampered.directory.glob("pdagent/rpm/pdagent-3*.rpm"))
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
    run("rpmsign", "--delsign", next(top.glob("pdagent/rpm/pdagent-3*.rpm")))
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


# keys and the build


def tree(top: Path) -> dict[str, tuple[int, int, str]]:
    """Mode, time and digest of every file."""
    files = {str(path.relative_to(top)): path for path in top.rglob("*") if path.is_file()}
    return {
        name: (
            path.stat().st_mode,
            int(path.stat().st_mtime),
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for name, path in files.items()
    }


def test_the_same_input_and_key_make_the_same_bytes(repo: Repo, tmp_path: Path) -> None:
    """Signatures, dates and modes included, wherever and whenever it is built."""
    packages = shutil.copytree(repo.packages, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    for package in packages.iterdir():
        package.chmod(0o600)
    build(packages, tmp_path / "again", repo.site.url, repo.signer, repo.key)
    assert tree(tmp_path / "again") == tree(repo.top)


def test_without_a_key_a_throw_away_key_is_made_and_said_so(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    said = run(
        "ci/repos.sh",
        repo.packages,
        tmp_path / "repo",
        SOURCE_DATE_EPOCH=str(EPOCH),
        TMPDIR=tmp_path / "tmp",
    ).stdout
    assert "throw-away key. DO NOT PUBLISH" in said
    assert not list((tmp_path / "tmp").iterdir()), "the secret key is gone"
    public = tmp_path / "repo/GPG-KEY-pagerduty.gpg"
    release = tmp_path / "repo/pdagent/dists/stable/InRelease"
    run("gpgv", "--keyring", public, release)
    assert "\nDate: Tue, 14 Nov 2023 22:13:20 +0000\n" in release.read_text()
    sources = (tmp_path / "repo/pdagent/pdagent.sources").read_text()
    assert "\nURIs: https://packages.pagerduty.com/pdagent\n" in sources


def test_a_failed_build_leaves_the_last_good_repository(repo: Repo, tmp_path: Path) -> None:
    broken = shutil.copytree(repo.packages, tmp_path / "broken")
    (broken / "pdagent_3.0.0_amd64.deb").write_text("not a package")
    good = shutil.copytree(repo.top, tmp_path / "repo")
    before = tree(good)
    command = ("ci/repos.sh", broken, good)
    failed = run(*command, check=False, GNUPGHOME=repo.signer.home, GPG_KEY_ID=repo.key)
    assert failed.returncode != 0
    assert tree(good) == before
    assert not (tmp_path / "repo.new").exists()


def test_keys_are_published_in_both_forms(repo: Repo, tmp_path: Path) -> None:
    for name in "GPG-KEY-pagerduty", "GPG-KEY-RPM-pagerduty":
        armoured = (repo.top / name).read_text()
        assert armoured.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")
        run("gpg", "--dearmor", "--output", tmp_path / name, repo.top / name, GNUPGHOME=tmp_path)
        assert (tmp_path / name).read_bytes() == (repo.top / f"{name}.gpg").read_bytes()


def test_a_rotated_key_is_known_before_it_signs(repo: Repo, apt: Apt, tmp_path: Path) -> None:
    """Both keys published, the old one signs; a host upgraded then accepts the new one's."""
    signer, old = repo.signer, repo.key
    new = signer.make("successor", "3y")
    with site(tmp_path / "site") as served:
        build(repo.packages, served.directory, served.url, signer, f"{old} {new}")
        apt.trust(repo.public)
        apt.add(served.directory / "pdagent/pdagent.sources")
        assert apt.get("update").returncode == 0
        assert apt.get("download", "pdagent-archive-keyring").returncode == 0
        package = next(apt.root.glob("pdagent-archive-keyring*.deb"))
        run("dpkg-deb", "-x", package, apt.root)
        run(
            "rpmkeys",
            "--dbpath",
            tmp_path / "db",
            "--import",
            served.directory / "GPG-KEY-RPM-pagerduty",
        )
        shutil.rmtree(apt.root / "var/lib/apt/lists")

        build(repo.packages, served.directory, served.url, signer, f"{new} {old}")
        signed = run(
            "gpgv",
            "--keyring",
            repo.public,
            served.directory / "pdagent/deb/InRelease",
            check=False,
        )
        assert new in signed.stdout
        assert apt.get("update").returncode == 0
        packages = served.directory.glob("pdagent/rpm/*.rpm")
        assert signatures(tmp_path / "db", *packages).count("digests signatures OK") == 3


def test_a_key_nobody_has_is_named(repo: Repo, tmp_path: Path) -> None:
    command = ("ci/repos.sh", repo.packages, tmp_path / "repo")
    failed = run(*command, check=False, GNUPGHOME=repo.signer.home, GPG_KEY_ID="no-such-key")
    assert failed.returncode == 1
    assert "no-such-key" in failed.stdout
    assert not (tmp_path / "repo").exists()


def test_a_key_that_runs_out_stops_the_build(repo: Repo, tmp_path: Path) -> None:
    key = repo.signer.make("running out", "300d")
    command = ("ci/repos.sh", repo.packages, tmp_path / "repo")
    failed = run(*command, check=False, GNUPGHOME=repo.signer.home, GPG_KEY_ID=key)
    assert failed.returncode != 0
    assert "time to publish its successor" in failed.stdout
