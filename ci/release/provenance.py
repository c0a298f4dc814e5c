"""Where each package is from, as an in-toto statement with SLSA's predicate: what it was made of,
by whom and how, beside the package as PACKAGE.intoto.json.

    python ci/release/provenance.py make DIRECTORY               of each package there, as made
    python ci/release/provenance.py publish PACKAGE PUBLISHED    the same of the published file

What was made of what, the list of parts says (sbom.py); this module says it in SLSA's words. A
published rpm is signed, so its bytes are not those that were made: the statement then names both.
"""

import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

BUILD = "https://packages.pagerduty.com/pdagent/make-packages/v1"
BY_HAND = "https://packages.pagerduty.com/pdagent/by-hand"
SOURCES = "git+https://github.com/PagerDuty/pdagent"


def beside(package: Path) -> Path:
    return package.with_name(package.name + ".intoto.json")


def subject(package: Path) -> dict[str, Any]:
    return {
        "name": package.name,
        "digest": {"sha256": sha256(package.read_bytes()).hexdigest()},
    }


def builder() -> str:
    """The workflow, or whoever ran make."""
    workflow = os.environ.get("GITHUB_WORKFLOW_REF")
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    return f"{server}/{workflow}" if workflow else BY_HAND


def made_from(parts: dict[str, Any]) -> dict[str, str]:
    """The list of parts' own words on commit and date."""
    rows = parts["metadata"]["properties"]
    return {row["name"].removeprefix("pdagent:"): row["value"] for row in rows}


def materials(parts: dict[str, Any]) -> list[dict[str, Any]]:
    """Our sources, Debian's files, and the wheels from PyPI."""
    commit = made_from(parts)["commit"]
    known = {"gitCommit": commit.partition("+")[0]}
    found: list[dict[str, Any]] = [{"uri": f"{SOURCES}@{commit}", "digest": known}]
    for part in parts["components"]:
        files = [
            row for row in part["externalReferences"] if row["type"] == "source-distribution"
        ] or [{"url": None, "hashes": part["hashes"]}]
        for row in files:
            digest = {"sha256": row["hashes"][0]["content"]}
            name = {"name": row["url"]} if row["url"] else {}
            found.append({"uri": part["purl"], **name, "digest": digest})
    return found


def statement(package: Path, parts: dict[str, Any]) -> dict[str, Any]:
    made = made_from(parts)
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [subject(package)],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {
                    "command": "make packages",
                    "VERSION": parts["metadata"]["component"]["version"],
                    "COMMIT": made["commit"],
                    "SOURCE_DATE_EPOCH": made["source-date-epoch"],
                },
                "resolvedDependencies": materials(parts),
            },
            "runDetails": {"builder": {"id": builder()}},
        },
    }


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")


def make(directory: Path) -> None:
    (listed,) = directory.glob("pdagent_*.cdx.json")
    parts = json.loads(listed.read_text())
    for package in (*directory.glob("pdagent*.deb"), *directory.glob("pdagent*.rpm")):
        write(beside(package), statement(package, parts))


def publish(package: Path, published: Path) -> None:
    content = json.loads(beside(package).read_text())
    if content["subject"] != [subject(package)]:
        raise SystemExit(f"provenance: {beside(package)} is not about {package}")
    if subject(published) != subject(package):
        made = content["subject"][0]["digest"]
        content["subject"] = [{**subject(published), "annotations": {"unsigned": made}}]
    write(beside(published), content)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", where]:
            make(Path(where))
        case ["publish", made, published]:
            publish(Path(made), Path(published))
        case _:
            sys.exit(__doc__)
