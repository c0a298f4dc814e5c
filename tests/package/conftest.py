"""The packages as `make packages` makes them; a repository of stand-ins, to use and to spoil."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.package.packages import ROOT, Deb, Package, Rpm
from tests.support.repository import Apt, Keys, Repo, Site, build, keys, site, stand_ins

needed = ("apt-ftparchive", "createrepo_c", "dnf", "gpg", "gpgv", "rpmsign", "sqv")


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    with keys(tmp_path_factory.mktemp("keys") / "gpg") as made:
        yield made


@pytest.fixture(scope="session")
def stranger(signer: Keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody else's public key."""
    target = tmp_path_factory.mktemp("stranger")
    key = signer.make("stranger")
    signer.gpg("--output", target / "key.gpg", "--export", key)
    return signer.export(target / "key.asc", key).with_suffix(".gpg")


@pytest.fixture(scope="session")
def repo(signer: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    missing = [name for name in needed if not shutil.which(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
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


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make packages` has made, alone in a directory."""
    directory = tmp_path_factory.mktemp("dist")
    made = [path for kind in ("deb", "rpm", "json") for path in (ROOT / "dist").glob(f"*.{kind}")]
    assert made, "there are no packages in dist/: run 'make packages' first"
    for path in made:
        shutil.copy2(path, directory)
    return directory


def _one(directory: Path, pattern: str) -> Path:
    (path,) = directory.glob(pattern)
    return path


@pytest.fixture(scope="session")
def deb(dist: Path) -> Deb:
    return Deb(_one(dist, "pdagent_*_amd64.deb"))


@pytest.fixture(scope="session")
def rpm(dist: Path) -> Rpm:
    return Rpm(_one(dist, "pdagent-[0-9]*.x86_64.rpm"))


@pytest.fixture(params=["deb", "rpm"])
def package(request: pytest.FixtureRequest) -> Package:
    """The package pdagent, one family's and then the other's."""
    made: Package = request.getfixturevalue(request.param)
    return made
