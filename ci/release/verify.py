"""Makes a released package again from what it says it was made from, and compares: `make verify`.

    python ci/release/verify.py PACKAGE

The list of parts, in the package or beside it, has the commit, the date and each of Debian's files
by its hash. The commit is checked out elsewhere, its own scripts build, and the bytes must be the
same. Of an rpm the signature is left out, which is not made here. Where bytes differ, diffoscope
says which. It changes nothing of this checkout.
"""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[2]
SBOM = "./usr/share/doc/pdagent/sbom.cdx.json"


class Different(Exception):
    """The package is not what its sources make; the text says where they differ."""


# All that diffoscope can do with a program of this size takes minutes, and nobody reads it.
DIFFOSCOPE = [
    "diffoscope",
    "--no-progress",
    "--exclude-directory-metadata=yes",
    "--exclude-command=^(objdump|readelf|strings|nm)",
    "--max-text-report-size=40000",
    "--timeout=120",
]


def output(*command: str | Path, given: bytes | None = None) -> bytes:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, input=given).stdout


def parts(package: Path) -> dict[str, Any]:
    """The list of parts, of pdagent itself or, for packages that go with it, beside them."""
    if not re.match(r"pdagent[-_]\d", package.name):
        version = re.split("[-_]", package.name)[2]
        text = (package.parent / f"pdagent_{version}.cdx.json").read_bytes()
    elif package.suffix == ".deb":
        tar = output("dpkg-deb", "--fsys-tarfile", package)
        text = output("tar", "--extract", "--to-stdout", SBOM, given=tar)
    else:
        archive = output("rpm2cpio", package)
        text = output("cpio", "--quiet", "--extract", "--to-stdout", SBOM, given=archive)
    return dict(json.loads(text))


def lock(listed: dict[str, Any]) -> str:
    """ci/runtime/lock as the package was built from it."""
    rows = []
    for part in listed["components"]:
        found = re.match(r"pkg:deb/debian/([^@]+)@", part["purl"])
        for file in part["externalReferences"] if found else ():
            if found and file["type"] == "source-distribution":
                digest = file["hashes"][0]["content"]
                rows.append(f"{found[1]} {part['version']} {digest} {file['url']}\n")
    return "".join(rows)


def rows(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if not line.startswith("#"))


def content(package: Path) -> bytes:
    """The bytes that are to be the same. A signed rpm has a header more in front of its own."""
    data = package.read_bytes()
    if package.suffix != ".rpm":
        return data
    lead = 96
    entries, size = struct.unpack(">II", data[lead + 8 : lead + 16])
    signature = 16 + 16 * entries + size
    return data[lead + signature + -signature % 8 :]


def rebuild(package: Path, tree: Path) -> Path:
    """The same package, made again in `tree`."""
    listed = parts(package)
    made = {row["name"]: row["value"] for row in listed["metadata"]["properties"]}
    commit = made["pdagent:commit"]
    if commit.endswith("+changes"):
        raise Different(f"{package.name} was made from {commit}: nobody else has these changes")
    output("git", "clone", "--quiet", "--shared", "--no-checkout", ROOT, tree)
    output("git", "-C", tree, "checkout", "--quiet", "--detach", commit)
    recorded = lock(listed)
    kept = tree / "ci" / "runtime" / "lock"
    if rows(kept.read_text()) != rows(recorded):
        kept.write_text(recorded)
    machines = {"_amd64.deb": "amd64", ".x86_64.rpm": "amd64", "_all.deb": "", ".noarch.rpm": ""}
    architecture = next((m for end, m in machines.items() if package.name.endswith(end)), "arm64")
    environment = {
        **os.environ,
        "ARCHES": architecture,
        "VERSION": listed["metadata"]["component"]["version"],
        "COMMIT": commit,
        "SOURCE_DATE_EPOCH": made["pdagent:source-date-epoch"],
        "VENV": str((ROOT / os.environ.get("VENV", ".venv")).absolute()),
    }
    subprocess.run(["ci/packages.sh", "out"], check=True, cwd=tree, env=environment)
    return tree / "out" / package.name


def compare(package: Path, again: Path) -> None:
    if content(package) == content(again):
        return
    difference = "diffoscope is not installed, and would say where they differ"
    if shutil.which("diffoscope"):
        compared = subprocess.run([*DIFFOSCOPE, package, again], capture_output=True, text=True)
        difference = compared.stdout + compared.stderr
    raise Different(f"{package.name} is not what its sources make\n{difference}")


def main(package: Path) -> int:
    if not (package.is_file() and package.suffix in (".deb", ".rpm")):
        print("verify: PACKAGE must name a package's file, a .deb or an .rpm", file=sys.stderr)
        return 2
    try:
        with TemporaryDirectory() as scratch:
            compare(package, rebuild(package, Path(scratch) / "tree"))
    except Different as error:
        print(f"verify: {error}", file=sys.stderr)
        return 1
    print(f"verify: {package.name} is what its sources make, to the byte")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()) if len(sys.argv) == 2 else __doc__)
