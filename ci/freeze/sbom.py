"""What is in the program, for scanners and for people: build/sbom.json (CycloneDX) and
build/copyright.bundled (paragraphs for a Debian copyright file).

usage: python ci/freeze/sbom.py OUTPUT-DIRECTORY
"""

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
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def debian() -> dict[str, tuple[str, str]]:
    """Source package -> version, SHA-256 of the upstream archive."""
    built = ROOT / "build" / "runtime.lock"  # what the program was built from, if it was
    lock = built if built.exists() else ROOT / "ci" / "runtime" / "lock"
    rows = [line.split() for line in lock.read_text().splitlines()]
    return {row[0]: (row[1], row[2]) for row in rows if re.search(r"\.orig\.tar\.\w+$", row[3])}


def pypi() -> dict[str, tuple[str, str]]:
    """Package -> version, SHA-256 of the wheel."""
    text = (HERE / "requirements.txt").read_text()
    found = re.findall(r"^(\S+)==(\S+) \\\n\s+--hash=sha256:(\w+)", text, re.MULTILINE)
    return {name: (version, digest) for name, version, digest in found}


def agent_version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def component(name: str, about: dict[str, str]) -> Component:
    if "debian" in about:
        version, digest = debian()[about["debian"]]
        purl = PackageURL("deb", "debian", about["debian"], version, {"arch": "source"})
        # 1:1.3.dfsg+really1.3.1-1 is 1.3.1: what scanners know it by
        upstream = re.sub(r"^.*really", "", re.sub(r"^\d+:|-[^-]*$", "", version))
    else:
        version, digest = pypi()[about["pypi"]]
        purl = PackageURL("pypi", None, about["pypi"], version)
        upstream = version
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
            ExternalReference(
                type=ExternalReferenceType.SOURCE_DISTRIBUTION, url=XsUri(about["source"])
            )
        ],
    )


def main(target: Path) -> None:
    bundled = tomllib.loads((HERE / "bundled.toml").read_text())
    parts = {name: component(name, about) for name, about in bundled.items()}

    bom = Bom(components=parts.values())
    bom.metadata.component = Component(
        type=ComponentType.APPLICATION, name="pdagent", version=agent_version(), bom_ref="pdagent"
    )
    bom.register_dependency(bom.metadata.component, parts.values())
    # the same for the same inputs
    names = " ".join(str(part.purl) for part in parts.values())
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"pdagent@{agent_version()} {names}")
    bom.metadata.timestamp = datetime.fromtimestamp(1700000000, UTC)
    target.mkdir(parents=True, exist_ok=True)
    (target / "sbom.json").write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n")

    paragraphs = [
        f"Files: usr/lib/pdagent/pdagent\nComment: {name} {parts[name].version}\n"
        f"Copyright: {about['copyright']}\nLicense: {about['licence']}\nSource: {about['source']}\n"
        for name, about in bundled.items()
    ]
    (target / "copyright.bundled").write_text("\n".join(paragraphs))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
