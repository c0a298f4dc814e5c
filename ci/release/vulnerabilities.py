"""What is known of vulnerabilities in the bundled parts: ci/runtime/vex.toml, read in one place.

    ci/runtime/newer.sh build/changelogs >FILE
    python3 ci/release/vulnerabilities.py gate <FILE
    python3 ci/release/vulnerabilities.py notes EARLIER-LOCK <FILE

`gate` fails where Debian has a newer source than the lock of which nothing is said, or not all that
Debian's changelog names, or one that can be had and mends what affects the program. `notes` writes
the tables of the release notes. It knows nothing of the network: what is newer it is told. It needs
Python's own library only, since it runs before anything is installed.
"""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHANGELOGS = ROOT / "build" / "changelogs"
CVE = re.compile(r"CVE-\d+-\d+")
STATES = ("not-affected", "affected", "fixed")
# Where newer.sh found a newer source, and why a release is not built from it.
PLACES = {
    "here": "it mends nothing that affects the agent",
    "missing": "it cannot be had yet",
    "later": "it is of a release of Debian's to come",
}
# CycloneDX's words for why something does not affect a program.
JUSTIFICATIONS = {
    "code_not_present",
    "code_not_reachable",
    "requires_configuration",
    "requires_dependency",
    "requires_environment",
    "protected_by_compiler",
    "protected_at_runtime",
    "protected_at_perimeter",
    "protected_by_mitigating_control",
}


@dataclass(frozen=True)
class Source:
    """A version of Debian's, and what it fixes that the lock's version has, and the sources before
    it do not."""

    package: str
    version: str
    basis: str
    fixes: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    cve: str
    about: str
    part: str
    severity: str
    state: str
    published: date | None = None
    justification: str = ""
    why: str = ""
    bounded: str = ""
    fixed: str = ""
    absent: str = ""
    modules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"{self.cve}: state is one of {', '.join(STATES)}")
        if self.state == "not-affected" and not (self.justification in JUSTIFICATIONS and self.why):
            raise ValueError(f"{self.cve}: needs a justification of CycloneDX's, and why")
        if self.state == "affected" and not self.bounded:
            raise ValueError(f"{self.cve}: affected needs what bounds it")
        if self.state == "fixed" and not self.fixed:
            raise ValueError(f"{self.cve}: fixed needs the version")


@dataclass(frozen=True)
class Newer:
    """One line of newer.sh, and the CVEs that Debian's changelog, where it can be had, names since
    the lock's version."""

    package: str
    version: str
    suite: str
    place: str  # a key of PLACES
    named: frozenset[str] = frozenset()


class Known:
    def __init__(self, text: str) -> None:
        tables = tomllib.loads(text)
        self.sources = [
            Source(row["package"], row["version"], row["basis"], tuple(row["fixes"]))
            for row in tables.pop("source", [])
        ]
        self.statements = {
            cve: Statement(cve, **{**row, "modules": tuple(row.get("modules", ()))})
            for cve, row in tables.items()
        }
        unsaid = {cve for source in self.sources for cve in source.fixes} - self.statements.keys()
        if unsaid:
            raise ValueError(f"no statement on {', '.join(sorted(unsaid))}")

    def fixed_by(self, row: Newer) -> set[str]:
        """By that source, or by an earlier one, whose fixes it holds, too."""
        return {
            cve
            for source in self.sources
            if source.package == row.package and not newer_than(source.version, row.version)
            for cve in source.fixes
        }

    def complaints(self, newer: Iterable[Newer]) -> Iterator[str]:
        """Why a release must not be made, one line a reason."""
        listed = {(source.package, source.version) for source in self.sources}
        for row in newer:
            name = f"{row.package} {row.version} ({row.suite})"
            if (row.package, row.version) not in listed:
                yield f"{name}: ci/runtime/vex.toml does not say what it fixes"
                continue
            fixes = self.fixed_by(row)
            for cve in sorted(row.named - fixes):
                yield f"{name}: fixes {cve}, which ci/runtime/vex.toml does not say"
            for cve in sorted(fixes):
                if self.statements[cve].state == "affected" and row.place == "here":
                    yield f"{name}: can be had, and {cve} affects us: make runtime-lock"


def known() -> Known:
    return Known((ROOT / "ci" / "runtime" / "vex.toml").read_text())


def locked(lock: str) -> dict[str, str]:
    """Source package -> version."""
    rows = (line.split() for line in lock.splitlines() if not line.startswith("#"))
    return {row[0]: row[1] for row in rows}


def linked(cve: str) -> str:
    return f"[{cve}](https://www.cve.org/CVERecord?id={cve})"


def by_number(cve: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", cve)]


def changelog(lock: str) -> dict[str, str]:
    """Source package -> Debian's changelog, of the archives that the lock names."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pdagent" / "sources"
    found = {}
    for line in lock.splitlines():
        package, _, _, name = line.split() if not line.startswith("#") else ("", "", "", "")
        if name.endswith(".debian.tar.xz") and (cache / name).exists():
            with tarfile.open(cache / name) as archive:
                file = archive.extractfile("debian/changelog")
                assert file is not None
                found[package] = file.read().decode()
    return found


def newer_than(version: str, earlier: str) -> bool:
    return not subprocess.call(["dpkg", "--compare-versions", version, "gt", earlier])


def fixed(log: str, earlier: str) -> Iterator[tuple[str, str]]:
    """CVEs that a changelog names after a version, each with the version that fixed it. Without an
    earlier version: those of Debian's own versions of the newest release of upstream's."""
    entries = re.findall(r"^\S+ \(([^)]+)\)[^\n]*\n(.*?)^ -- ", log, re.DOTALL | re.MULTILINE)
    base = entries[0][0].rpartition("-")[0] if entries else ""
    for version, text in entries:
        if not (newer_than(version, earlier) if earlier else version.startswith(base + "-")):
            return
        for cve in CVE.findall(text):
            yield cve, version


def read_newer(text: str, have: dict[str, str], changelogs: Path = CHANGELOGS) -> Iterator[Newer]:
    """What newer.sh says, and the changelogs that it found."""

    def log(package: str, version: str) -> str:
        path = changelogs / f"{package}_{version}"
        return path.read_text() if path.exists() else ""

    for line in text.splitlines():
        package, version, suite, place = line.split()
        named = {cve for cve, _ in fixed(log(package, version), have[package])}
        patched = set(CVE.findall(log(package, have[package])))
        yield Newer(package, version, suite, place, frozenset(named - patched))


def notes(lock: str, newer: Iterable[Newer], earlier: str = "") -> str:
    said, before = known(), locked(earlier)
    rows = {}
    for package, log in changelog(lock).items():
        # Named twice, it was fixed well by the later version only.
        for cve, version in reversed(list(fixed(log, before.get(package, "")))):
            rows[cve] = (package, version)
    for cve, row in said.statements.items():
        if row.state == "fixed":
            rows[cve] = (row.part, row.fixed)
    mending = {
        cve: f"{row.package} {row.version}" for row in reversed(said.sources) for cve in row.fixes
    }
    since = "since the release before" if earlier else "by Debian's patches"
    lines = [
        "## Vulnerabilities of the bundled parts",
        "",
        *(f"- {name} {version}" for name, version in locked(lock).items()),
        "",
        f"### Fixed {since}",
        "",
        "| | part | in |",
        "|---|---|---|",
        *(f"| {linked(cve)} | {' | '.join(rows[cve])} |" for cve in sorted(rows, key=by_number)),
        "",
        "### Open",
        "",
        "Debian's newer sources, which this release is not built from:",
        "",
        *(f"- {row.package} {row.version} ({row.suite}): {PLACES[row.place]}" for row in newer),
        "",
        "What is known and not fixed in this release:",
        "",
        "| | part | severity | | why, or what bounds it | fixed in |",
        "|---|---|---|---|---|---|",
    ]
    opened = [row for row in said.statements.values() if row.state != "fixed"]
    for row in sorted(
        opened, key=lambda row: (row.state != "affected", row.part, by_number(row.cve))
    ):
        state = "**affected**" if row.state == "affected" else "not affected"
        lines.append(
            f"| {linked(row.cve)} | {row.part} | {row.severity} | {state} | "
            f"{row.about}. {row.bounded or row.why} | {mending.get(row.cve, '')} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    lock = (ROOT / "ci" / "runtime" / "lock").read_text()
    match arguments:
        case ["gate"]:
            newer = read_newer(sys.stdin.read(), locked(lock))
            complaints = list(known().complaints(newer))
            for line in complaints:
                print(f"release: {line}", file=sys.stderr)
            if not complaints:
                print("ci/runtime/vex.toml speaks of each source that Debian has newer")
            return 1 if complaints else 0
        case ["notes", earlier]:
            newer = read_newer(sys.stdin.read(), locked(lock))
            sys.stdout.write(notes(lock, newer, Path(earlier).read_text()))
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
