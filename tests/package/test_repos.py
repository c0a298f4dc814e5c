"""Keys and building: what `make repos` promises besides what apt and dnf see."""

from __future__ import annotations

import hashlib
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.agent import directory
from tests.support.repository import EPOCH, ROOT, Apt, Repo, build, run, signatures, site


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
    with directory() as scratch:  # its path is short, since gpg's agent listens at a socket there
        said = run(
            "ci/repos.sh",
            repo.packages,
            tmp_path / "repo",
            SOURCE_DATE_EPOCH=str(EPOCH),
            TMPDIR=scratch,
        ).stdout
        assert "throw-away key. DO NOT PUBLISH" in said
        assert not list(scratch.iterdir()), "the secret key is gone"
    public = tmp_path / "repo/GPG-KEY-pagerduty.gpg"
    release = tmp_path / "repo/pdagent/dists/stable/InRelease"
    run("gpgv", "--keyring", public, release)
    assert "\nDate: Tue, 14 Nov 2023 22:13:20 +0000\n" in release.read_text()
    sources = (tmp_path / "repo/pdagent/pdagent.sources").read_text()
    assert "\nURIs: https://packages.pagerduty.com/pdagent\n" in sources


def test_the_docs_show_the_sources_that_are_published(repo: Repo) -> None:
    docs = {line.strip() for line in (ROOT / "docs/install.md").read_text().splitlines()}
    for name in "pdagent.sources", "pdagent.list", "pdagent.repo":
        published = (repo.top / "pdagent" / name).read_text()
        published = published.replace(repo.site.url, "https://packages.pagerduty.com")
        lines = [line for line in published.splitlines() if not line.startswith("#")]
        assert not set(lines) - docs


def test_a_key_with_a_new_expiry_signs_again(repo: Repo, tmp_path: Path) -> None:
    """The published key says nothing of the time before the change, and sqv heeds that."""
    signer, yesterday = repo.signer, str(int(time.time()) - 86400)
    signer.gpg(
        *("--faked-system-time", yesterday, "--passphrase", ""),
        *("--quick-generate-key", "renewed", "rsa3072", "sign", "60d"),
    )
    key = signer.fingerprint("renewed")
    signer.gpg("--passphrase", "", "--quick-set-expire", key, "2y")
    build(repo.packages, tmp_path / "repo", repo.site.url, signer, key)
    public, release = tmp_path / "repo/GPG-KEY-pagerduty.gpg", tmp_path / "repo/pdagent/deb/Release"
    run("sqv", "--keyring", public, f"{release}.gpg", release)


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
        expires = (apt.root / "usr/share/pdagent-archive-keyring/expires").read_text().strip()
        left = datetime.fromisoformat(expires) - datetime.now(UTC)
        assert timedelta(days=2 * 365) < left < timedelta(days=4 * 365), "the later one's"
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
        assert signatures(tmp_path / "db", *packages).count("digests signatures OK") == 4


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
