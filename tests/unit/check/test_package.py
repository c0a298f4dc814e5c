"""The package, and the repository's key, on hosts of both families."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pdagent import __version__
from pdagent.check.finding import Finding, Level
from pdagent.check.host import Host
from pdagent.check.package import package, repository_key

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
    info = tmp_path / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info / "pdagent.list").touch()
    now = (info / "pdagent.list").stat().st_mtime + 3 * DAY
    finding = only(package(host(tmp_path, {"dpkg-query": status}, now)))
    assert finding.level is level
    assert says in finding.text


def test_rpm(tmp_path: Path) -> None:
    said = {"rpm": f"{__version__}-1 {MADE}"}
    finding = only(package(host(tmp_path, said, MADE + 5 * DAY)))
    assert finding.text == f"pdagent {__version__}-1 (rpm), installed 5 days ago"


def test_neither(tmp_path: Path) -> None:
    said = {"rpm": "package pdagent is not installed"}
    assert "not from a package" in only(package(host(tmp_path, said))).text


def key(lifetime: int) -> bytes:
    """A key, as little of it as matters: when it was made, and a signature that says how long it
    lives."""
    packet = b"\x04" + MADE.to_bytes(4, "big") + b"\x01"
    times = b"\x05\x02" + MADE.to_bytes(4, "big")
    if lifetime:
        times += b"\x05\x09" + lifetime.to_bytes(4, "big")
    signature = b"\x04\x13\x01\x08" + len(times).to_bytes(2, "big") + times
    return b"\xc6" + bytes([len(packet)]) + packet + b"\xc2" + bytes([len(signature)]) + signature


@pytest.mark.parametrize(
    ("lifetime", "level", "says"),
    [
        (0, Level.OK, "does not expire"),
        (400 * DAY, Level.OK, "made 100 days ago, expires in 300 days"),
        (120 * DAY, Level.WARNING, "expires in 20 days"),
        (90 * DAY, Level.FAILED, "expired 10 days ago"),
    ],
)
@pytest.mark.parametrize(
    "path",
    ["usr/share/keyrings/pdagent-archive-keyring.gpg", "etc/pki/rpm-gpg/RPM-GPG-KEY-pagerduty"],
)
def test_repository_key(tmp_path: Path, path: str, lifetime: int, level: Level, says: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(key(lifetime))
    finding = only(repository_key(host(tmp_path, {}, MADE + 100 * DAY)))
    assert finding.level is level
    assert says in finding.text


def test_a_damaged_key(tmp_path: Path) -> None:
    path = tmp_path / "usr/share/keyrings/pdagent-archive-keyring.gpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"<html>")
    assert only(repository_key(host(tmp_path, {}))).level is Level.FAILED


def test_no_key(tmp_path: Path) -> None:
    assert only(repository_key(host(tmp_path, {}))).level is Level.UNKNOWN
