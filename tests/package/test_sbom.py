"""The list of parts in the package: what CycloneDX's own library makes of it, and whether what it
says of vulnerabilities is so."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from PyInstaller.archive.readers import CArchiveReader

from ci.release.vulnerabilities import known, locked
from tests.package.packages import ROOT, Deb, Package, Rpm, output

SBOM = "/usr/share/doc/pdagent/sbom.cdx.json"
PROGRAMS = [ROOT / "build/freeze/pdagent", ROOT / "build/freeze-arm64/pdagent"]


@pytest.fixture
def parts(deb: Deb) -> dict[str, Any]:
    return dict(json.loads(deb.read(SBOM)))


def test_valid(package: Package) -> None:
    """To the letter of the schema, which knows a spoilt one too."""
    text = package.read(SBOM).decode()
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"not_affected"', '"harmless"')) is not None


def test_the_same_everywhere(deb: Deb, rpm: Rpm, dist: Path) -> None:
    """In both families' packages, and beside them."""
    (beside,) = dist.glob("pdagent_*.cdx.json")
    assert deb.read(SBOM) == rpm.read(SBOM) == beside.read_bytes()


def test_each_part_with_its_sources(parts: dict[str, Any]) -> None:
    """What is bundled, in the versions of the locks, each file of Debian's by its hash."""
    bundled = tomllib.loads((ROOT / "ci/freeze/bundled.toml").read_text())
    found = {part["name"]: part for part in parts["components"]}
    assert found.keys() == bundled.keys()
    built = ROOT / "build/runtime.lock"
    lock = (built if built.exists() else ROOT / "ci/runtime/lock").read_text()
    files = {
        (row["url"], row["hashes"][0]["content"])
        for part in found.values()
        for row in part["externalReferences"]
        if row["type"] == "source-distribution"
    }
    rows = (line.split() for line in lock.splitlines() if not line.startswith("#"))
    assert files == {(name, digest) for _, _, digest, name in rows}
    for name, about in bundled.items():
        if "debian" in about:
            assert found[name]["version"] == locked(lock)[about["debian"]]


def test_it_says_what_it_was_made_from(parts: dict[str, Any]) -> None:
    """The commit and the date: `make verify` makes the package again."""
    said = {row["name"]: row["value"] for row in parts["metadata"]["properties"]}
    head = output("git", "-C", ROOT, "rev-parse", "HEAD").decode().strip()
    assert said["pdagent:commit"].partition("+")[0] == head
    assert int(said["pdagent:source-date-epoch"]) > 1_700_000_000


def test_vulnerabilities(parts: dict[str, Any]) -> None:
    """Each statement, about a part that is listed, in CycloneDX's words."""
    listed = {part["bom-ref"] for part in parts["components"]}
    found = {row["id"]: row for row in parts["vulnerabilities"]}
    assert found.keys() == known().statements.keys()
    for cve, said in known().statements.items():
        assert {target["ref"] for target in found[cve]["affects"]} <= listed
        analysis = found[cve]["analysis"]
        assert analysis["detail"]
        if said.state == "affected":
            assert analysis["state"] == "exploitable"
            assert said.bounded in analysis["detail"]
            assert said.fixed in analysis["detail"]
        if said.state == "not-affected":
            assert analysis["state"] == "not_affected"
            assert analysis["justification"] == said.justification


@pytest.mark.parametrize("program", PROGRAMS, ids=["amd64", "arm64"])
def test_code_that_is_said_to_be_absent(program: Path) -> None:
    """Names of functions and texts of errors stay in a program whose symbols are gone: those of
    DTLS, which is linked and unused, are there; none of what is said not to be."""
    if not program.exists():
        pytest.skip("not frozen for this architecture")
    code = program.read_bytes()
    assert b"dtls1_retransmit_message" in code
    said = [row for row in known().statements.values() if row.justification == "code_not_present"]
    assert all(row.absent or row.modules for row in said)
    assert {row.cve: row.absent for row in said if row.absent and row.absent.encode() in code} == {}


def test_modules_that_are_said_to_be_absent() -> None:
    archive = CArchiveReader(str(PROGRAMS[0]))
    (name,) = (name for name in archive.toc if name.endswith(".pyz"))
    modules = archive.open_embedded_archive(name).toc.keys()
    assert "requests" in modules
    said = {module for row in known().statements.values() for module in row.modules}
    assert said & modules == set()
