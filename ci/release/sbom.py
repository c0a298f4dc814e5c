"""What is in the program, and what is known of vulnerabilities in that: a list of parts (CycloneDX)
for scanners and auditors. It also says what the packages were made from, so that `make verify` can
make them again: the commit, the date, and each of Debian's files by its hash.

usage: VERSION=… COMMIT=… SOURCE_DATE_EPOCH=… python ci/release/sbom.py FILE
"""

import os
import re
import sys
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.impact_analysis import (
    ImpactAnalysisJustification,
    ImpactAnalysisResponse,
    ImpactAnalysisState,
)
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.model.vulnerability import (
    BomTarget,
    Vulnerability,
    VulnerabilityAnalysis,
    VulnerabilityRating,
    VulnerabilitySeverity,
    VulnerabilitySource,
)
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from vulnerabilities import Statement, known

ROOT = Path(__file__).parents[2]
FREEZE = ROOT / "ci" / "freeze"
STATES = {
    "not-affected": ImpactAnalysisState.NOT_AFFECTED,
    "affected": ImpactAnalysisState.EXPLOITABLE,
    "fixed": ImpactAnalysisState.RESOLVED,
}


def debian() -> dict[str, list[tuple[str, str, str]]]:
    """Source package -> version, SHA-256 and name of each of its files."""
    built = ROOT / "build" / "runtime.lock"  # what the program was built from, if it was
    lock = built if built.exists() else ROOT / "ci" / "runtime" / "lock"
    files: dict[str, list[tuple[str, str, str]]] = {}
    for line in lock.read_text().splitlines():
        if not line.startswith("#"):
            package, version, digest, name = line.split()
            files.setdefault(package, []).append((version, digest, name))
    return files


def pypi() -> dict[str, tuple[str, str]]:
    """Package -> version, SHA-256 of the wheel."""
    text = (FREEZE / "requirements.txt").read_text()
    found = re.findall(r"^(\S+)==(\S+) \\\n\s+--hash=sha256:(\w+)", text, re.MULTILINE)
    return {name: (version, digest) for name, version, digest in found}


def source(name: str, digest: str) -> ExternalReference:
    return ExternalReference(
        type=ExternalReferenceType.SOURCE_DISTRIBUTION,
        url=XsUri(name),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )


def component(name: str, about: dict[str, str]) -> Component:
    if "debian" in about:
        files = debian()[about["debian"]]
        version = files[0][0]
        (digest,) = [digest for _, digest, file in files if re.search(r"\.orig\.tar\.\w+$", file)]
        purl = PackageURL("deb", "debian", about["debian"], version, {"arch": "source"})
        # 1:1.3.dfsg+really1.3.1-1 is 1.3.1: what scanners know it by
        upstream = re.sub(r"^.*really", "", re.sub(r"^\d+:|-[^-]*$", "", version))
        sources = [source(file, digest) for _, digest, file in files]
    else:
        version, digest = pypi()[about["pypi"]]
        purl = PackageURL("pypi", None, about["pypi"], version)
        upstream, sources = version, []
    licence = about["licence"]
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=str(purl),
        purl=purl,
        cpe=f"cpe:2.3:a:{about['cpe']}:{upstream}:*:*:*:*:*:*:*" if "cpe" in about else None,
        copyright=about["copyright"],
        licenses=[LicenseExpression(licence) if " " in licence else DisjunctiveLicense(id=licence)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        external_references=[
            ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(about["source"])),
            *sources,
        ],
    )


def vulnerability(said: Statement, part: Component) -> Vulnerability:
    """CycloneDX's form of a statement (VEX)."""
    detail = said.why or said.bounded
    if said.fixed:
        detail += f" Fixed in {part.purl.name} {said.fixed}."  # type: ignore[union-attr]
    affected = said.state == "affected"
    return Vulnerability(
        bom_ref=said.cve,
        id=said.cve,
        source=VulnerabilitySource(
            name="CVE", url=XsUri(f"https://www.cve.org/CVERecord?id={said.cve}")
        ),
        ratings=[VulnerabilityRating(severity=VulnerabilitySeverity(said.severity))],
        description=said.about,
        published=said.published and datetime.combine(said.published, datetime.min.time(), UTC),
        analysis=VulnerabilityAnalysis(
            state=STATES[said.state],
            justification=ImpactAnalysisJustification(said.justification)
            if said.justification
            else None,
            responses=[ImpactAnalysisResponse.WORKAROUND_AVAILABLE] if affected else None,
            detail=detail.strip(),
        ),
        affects=[BomTarget(ref=str(part.bom_ref))],
    )


def main(target: Path) -> None:
    bundled = tomllib.loads((FREEZE / "bundled.toml").read_text())
    parts = {name: component(name, about) for name, about in bundled.items()}
    version, epoch = os.environ["VERSION"], os.environ["SOURCE_DATE_EPOCH"]

    bom = Bom(components=parts.values())
    bom.metadata.component = Component(
        type=ComponentType.APPLICATION, name="pdagent", version=version, bom_ref="pdagent"
    )
    bom.metadata.properties = [
        Property(name="pdagent:commit", value=os.environ["COMMIT"]),
        Property(name="pdagent:source-date-epoch", value=epoch),
    ]
    bom.register_dependency(bom.metadata.component, parts.values())
    bom.vulnerabilities = [
        vulnerability(said, parts[said.part]) for said in known().statements.values()
    ]
    # the same for the same inputs
    names = " ".join(str(part.purl) for part in parts.values())
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"pdagent@{version} {epoch} {names}")
    bom.metadata.timestamp = datetime.fromtimestamp(int(epoch), UTC)
    target.write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
