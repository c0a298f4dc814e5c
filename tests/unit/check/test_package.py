"""The package, and the repository's key, on hosts of both families."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pdagent import __version__
from pdagent.check.finding import Finding, Level
from pdagent.check.host import Host
from pdagent.check.package import EXPIRY, package, repository_key

MADE = 1_700_000_000
DAY = 86_400


def host(root: Path, said: dict[str, str], now: float = 0) -> Host:
    def ask(command: Sequence[str]) -> str | None:
        return said.get(command[0])

    return Host(str(root), now=lambda: now, ask=ask)


def only(findings: Iterator[Finding]) -> Finding:
    [finding] = findings
    return finding


@pytest.mark.parametrize(
    ("status", "level", "says"),
    [
        (f"ii  {__version__}-1", Level.OK, "(deb), installed 3 days ago"),
        ("iF  3.0.0-1", Level.FAILED, "half installed (dpkg: iF)"),
        ("ii  2.9.0-1", Level.WARNING, "the package is 2.9.0-1, but this is"),
    ],
)
def test_deb(tmp_path: Path, status: str, level: Level, says: str) -> None:
    """What dpkg says decides, and a package of another version than the program is a warning."""
    info = tmp_path / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info / "pdagent.list").touch()
    now = (info / "pdagent.list").stat().st_mtime + 3 * DAY
    finding = only(package(host(tmp_path, {"dpkg-query": status}, now)))
    assert finding.level is level
    assert says in finding.text


def test_rpm(tmp_path: Path) -> None:
    """The time of the installation is the one that rpm says."""
    said = {"rpm": f"{__version__}-1 {MADE}"}
    finding = only(package(host(tmp_path, said, MADE + 5 * DAY)))
    assert finding.text == f"pdagent {__version__}-1 (rpm), installed 5 days ago"


def test_neither(tmp_path: Path) -> None:
    """A program that no package brought says so."""
    said = {"rpm": "package pdagent is not installed"}
    assert "not from a package" in only(package(host(tmp_path, said))).text


@pytest.mark.parametrize(
    ("said", "level", "says"),
    [
        ("never", Level.OK, "does not expire"),
        ("2025-01-15T00:00:00+00:00", Level.OK, "expires in 427 days"),
        ("2023-12-04T22:13:20Z", Level.WARNING, "expires in 20 days"),
        ("2023-11-04T22:13:20Z", Level.FAILED, "expired 10 days ago"),
        ("<html>", Level.FAILED, "does not hold a date"),
    ],
)
def test_repository_key(tmp_path: Path, said: str, level: Level, says: str) -> None:
    """The date that came with the keyring is what counts."""
    path = tmp_path / EXPIRY[1:]
    path.parent.mkdir(parents=True)
    path.write_text(said + "\n")
    finding = only(repository_key(host(tmp_path, {}, MADE)))
    assert finding.level is level
    assert says in finding.text


def test_no_keyring_package(tmp_path: Path) -> None:
    """A key that was fetched by hand has no date beside it: nobody knows."""
    finding = only(repository_key(host(tmp_path, {})))
    assert finding.level is Level.UNKNOWN
    assert "pdagent-archive-keyring" in finding.remedy
