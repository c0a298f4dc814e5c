"""Where each package is from: a signed statement beside it, and the same bytes when it is made
again."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ci.release.verify import Different, compare, content, lock, main, parts, rows
from tests.package.packages import ROOT, Deb, Rpm, output
from tests.support.repository import Keys, build


@pytest.fixture(scope="module")
def published(dist: Path, signer: Keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of the very packages."""
    top = tmp_path_factory.mktemp("published") / "repo"
    build(dist, top, "https://packages.example", signer, signer.make("releaser", "2y"))
    return top


@pytest.fixture
def integrations(dist: Path) -> Path:
    """The small one."""
    (path,) = dist.glob("pdagent-integrations_*.deb")
    return path


def packages(published: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each package that ci/packages.sh made, with its statement."""
    for path in sorted((published / "pdagent").rglob("pdagent*")):
        if path.suffix in (".deb", ".rpm") and "keyring" not in path.name:
            yield path, json.loads(path.with_name(path.name + ".intoto.json").read_text())


def test_each_package_has_a_statement(published: Path) -> None:
    """About the bytes that are published, those of an rpm's signature included."""
    found = dict(packages(published))
    assert len(found) >= 4
    for package, statement in found.items():
        assert statement["_type"] == "https://in-toto.io/Statement/v1"
        assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
        (subject,) = statement["subject"]
        assert subject["name"] == package.name
        assert subject["digest"]["sha256"] == sha256(package.read_bytes()).hexdigest()
        assert ("unsigned" in subject.get("annotations", {})) == (package.suffix == ".rpm")


def test_what_it_was_made_of(published: Path) -> None:
    """The commit, and every file that the lock of the runtime names."""
    for _, statement in packages(published):
        definition = statement["predicate"]["buildDefinition"]
        commit = definition["externalParameters"]["COMMIT"]
        digests = [row["digest"] for row in definition["resolvedDependencies"]]
        assert digests[0] == {"gitCommit": commit.partition("+")[0]}
        text = (ROOT / "build/runtime.lock").read_text()
        assert {row.split()[2] for row in rows(text)} <= {row.get("sha256") for row in digests}


def test_signed(published: Path) -> None:
    """By the key of the repository, for any tool that knows OpenPGP; a changed one is refused."""
    keyring = published / "GPG-KEY-pagerduty.gpg"
    path = min((published / "pdagent").rglob("*.intoto.json"))
    signature = path.with_name(path.name + ".asc")
    assert subprocess.call(["gpgv", "--quiet", "--keyring", keyring, signature, path]) == 0
    assert subprocess.call(["sqv", "--keyring", keyring, signature, path]) == 0
    for statement in (published / "pdagent").rglob("*.intoto.json"):
        assert statement.with_name(statement.name + ".asc").exists()
    changed = path.with_name("changed")
    changed.write_text(path.read_text().replace("make packages", "make believe"))
    assert subprocess.call(["gpgv", "--quiet", "--keyring", keyring, signature, changed]) != 0
    changed.unlink()


def test_the_list_of_parts_beside_the_packages(published: Path, deb: Deb) -> None:
    for directory in ("pool/main/p/pdagent", "rpm"):
        (listed,) = (published / "pdagent" / directory).glob("*.cdx.json")
        assert listed.read_bytes() == deb.read("/usr/share/doc/pdagent/sbom.cdx.json")


def test_the_lock_is_recorded(deb: Deb, rpm: Rpm, integrations: Path) -> None:
    """In each package, or beside it, so that it can be made again when Debian has moved on."""
    wanted = rows((ROOT / "build/runtime.lock").read_text())
    for path in (deb.path, rpm.path, integrations):
        assert rows(lock(parts(path))) == wanted


def test_a_signature_is_no_difference(published: Path, rpm: Rpm) -> None:
    """It is put into an rpm after it was made."""
    (signed,) = (published / "pdagent/rpm").glob(rpm.path.name)
    assert signed.read_bytes() != rpm.path.read_bytes()
    assert content(signed) == content(rpm.path)
    compare(signed, rpm.path)


def test_a_difference_is_shown(integrations: Path, tmp_path: Path) -> None:
    """By diffoscope: which file within the package."""
    if not shutil.which("diffoscope"):
        pytest.skip("diffoscope is not installed")
    tree = tmp_path / "tree"
    output("dpkg-deb", "--raw-extract", integrations, tree)
    sample = tree / "usr/share/pdagent-integrations/conf/pagerduty_nagios.cfg"
    sample.write_text(sample.read_text() + "and a line more\n")
    (tree / "DEBIAN/md5sums").unlink()  # diffoscope believes it, and would not look further
    other = tmp_path / integrations.name
    output("dpkg-deb", "--build", "-Zxz", tree, other)
    with pytest.raises(Different) as caught:
        compare(integrations, other)
    assert "+and a line more" in str(caught.value)


def test_what_nobody_else_has_cannot_be_made_again(
    integrations: Path, dist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package made from a tree with changes says so."""
    copy = shutil.copy(integrations, tmp_path)
    (listed,) = dist.glob("*.cdx.json")
    text = re.sub(r'"[0-9a-f]{40}(\+changes)?"', f'"{"0" * 40}+changes"', listed.read_text())
    (tmp_path / listed.name).write_text(text)
    assert main(Path(copy)) == 1
    assert "nobody else has these changes" in capsys.readouterr().err


def test_made_again(integrations: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the commit, by its own scripts, in another directory: the same bytes. The nightly run
    does that with the program, which takes longer."""
    made = parts(integrations)["metadata"]["properties"]
    if any(row["value"].endswith("+changes") for row in made):
        pytest.skip("this tree has changes that are in no commit")
    assert main(integrations) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "nothing.deb", "file"])
def test_what_is_no_package(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`make verify` without a package, or with a wrong name, says in one line what it wants."""
    (tmp_path / "file").touch()
    assert main(tmp_path / name) == 2
    assert "PACKAGE must name a package's file" in capsys.readouterr().err
