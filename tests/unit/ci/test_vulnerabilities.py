"""What keeps a release from being made, and what its notes say."""

import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ci.release.vulnerabilities import (
    Known,
    Newer,
    fixed,
    known,
    locked,
    newer_than,
    notes,
    read_newer,
)
from pdagent import __version__
from tests.support.documents import REPOSITORY

LOCK = (REPOSITORY / "ci" / "runtime" / "lock").read_text()
SAID = """
[[source]]
package = "openssl"
version = "3.5.7-1~deb13u3"
basis = "an advisory"
fixes = ["CVE-2026-1", "CVE-2026-2"]

["CVE-2026-1"]
about = "It grows"
part = "OpenSSL"
severity = "low"
state = "affected"
bounded = "MemoryMax="

["CVE-2026-2"]
about = "It crashes"
part = "OpenSSL"
severity = "high"
state = "not-affected"
justification = "code_not_present"
why = "no-quic"
"""


LATER = """
[[source]]
package = "openssl"
version = "3.5.9-1~deb13u1"
basis = "release notes"
fixes = []
"""
CHANGELOG = """openssl (3.5.9-1~deb13u1) trixie; urgency=medium

  * Import 3.5.9

 -- A <a@example.com>  Sat, 03 Oct 2026 18:00:50 +0200

openssl (3.5.7-1~deb13u3) trixie-security; urgency=medium

  * CVE-2026-1 ("It grows")
  * CVE-2026-2 and CVE-2026-3 ("others")

 -- A <a@example.com>  Tue, 29 Sep 2026 22:10:28 +0200

openssl (3.5.7-1~deb13u2) trixie-security; urgency=medium

  * CVE-2026-4 ("What the lock's has fixed")

 -- A <a@example.com>  Sun, 23 Aug 2026 17:26:22 +0200
"""


def complaints(place: str, version: str, said: str = SAID, log: str = "", ours: str = "") -> str:
    """About one newer source, with what its changelog says, and ours."""
    with TemporaryDirectory() as changelogs:
        for name, text in (version, log), ("3.5.7-1~deb13u2", ours):
            (Path(changelogs) / f"openssl_{name}").write_text(text)
        row = f"openssl {version} trixie-security {place}\n"
        rows = read_newer(row, {"openssl": "3.5.7-1~deb13u2"}, Path(changelogs))
        return "\n".join(Known(said).complaints(rows))


def test_a_source_of_which_nothing_is_said() -> None:
    assert "does not say what it fixes" in complaints("missing", "3.5.9-1~deb13u1")


def test_what_affects_us_is_no_excuse_once_it_can_be_had() -> None:
    """While the mirror lacks the fix, a statement of what bounds it does."""
    assert complaints("missing", "3.5.7-1~deb13u3") == ""
    assert "make runtime-lock" in complaints("here", "3.5.7-1~deb13u3")


def test_a_source_holds_what_those_before_it_fix() -> None:
    """So it is no excuse that the one which mends it first cannot be had."""
    assert complaints("missing", "3.5.9-1~deb13u1", SAID + LATER) == ""
    assert "CVE-2026-1 affects us" in complaints("here", "3.5.9-1~deb13u1", SAID + LATER)


@pytest.mark.parametrize("place", ["here", "missing", "later"])
@pytest.mark.parametrize("version", ["3.5.7-1~deb13u3", "3.5.9-1~deb13u1"])
def test_the_lists_are_held_to_debians_changelog(version: str, place: str) -> None:
    """What it names since the lock's version; a source without one is taken at our word."""
    unsaid = "fixes CVE-2026-3, which ci/runtime/vex.toml does not say"
    assert unsaid in complaints(place, version, SAID + LATER, CHANGELOG)
    known_ones = CHANGELOG.replace("2026-3", "2026-2")
    assert "does not say" not in complaints(place, version, SAID + LATER, known_ones)


def test_what_we_have_as_a_patch_is_not_asked_for_again() -> None:
    """The changelog of a later suite names it for a version that we have not."""
    ours = CHANGELOG.replace("3.5.7-1~deb13u3", "3.5.7-1~deb13u1")
    assert complaints("later", "3.5.9-1~deb13u1", SAID + LATER, CHANGELOG, ours) == ""


def test_what_does_not_affect_us_may_wait() -> None:
    harmless = SAID.replace('"CVE-2026-1", ', "")
    assert complaints("here", "3.5.7-1~deb13u3", harmless) == ""


@pytest.mark.parametrize(
    ("text", "without", "complaint"),
    [
        ("bounded", 'bounded = "MemoryMax="\n', "what bounds it"),
        ("why", 'why = "no-quic"\n', "and why"),
        ("CVE", SAID[SAID.index('["CVE-2026-2"]') :], "no statement on CVE-2026-2"),
    ],
)
def test_statements_are_whole(text: str, without: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Known(SAID.replace(without, ""))


def test_what_debian_fixed_since() -> None:
    """From a changelog: since an earlier version, or since upstream's release."""
    log = """openssl (3.5.7-1~deb13u2) trixie-security; urgency=medium

  * CVE-2026-18798 ("QUIC")

 -- A <a@example.com>  Sun, 23 Aug 2026 17:26:22 +0200

openssl (3.5.7-1~deb13u1) trixie; urgency=medium

  * Import 3.5.7, CVE-2026-7

 -- A <a@example.com>  Sat, 18 Jul 2026 22:55:34 +0200

openssl (3.5.6-1~deb13u2) trixie-security; urgency=medium

  * CVE-2026-7383

 -- A <a@example.com>  Sat, 13 Jun 2026 22:55:34 +0200
"""
    assert [cve for cve, _ in fixed(log, "")] == ["CVE-2026-18798", "CVE-2026-7"]
    assert list(fixed(log, "3.5.7-1~deb13u1")) == [("CVE-2026-18798", "3.5.7-1~deb13u2")]
    assert len(list(fixed(log, "3.5.5-1"))) == 3


def test_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each statement is in the table of what is open, what affects us first, with the source that
    mends it; so is each source that the release is not built from."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # no sources: nothing is said to be fixed
    newer = [
        Newer("openssl", "3.5.9-1~deb13u1", "trixie", "missing"),
        Newer("zlib", "1:1.3.dfsg+really1.3.1-1+deb13u1", "trixie", "here"),
        Newer("python3.13", "3.13.18-1", "sid", "later"),
    ]
    text = notes(LOCK, newer)
    rows = [line for line in text.splitlines() if line.startswith("| [CVE")]
    assert {row[3 : row.index("]")] for row in rows} == known().statements.keys()
    states = ["**affected**" in row for row in rows]
    assert states == sorted(states, reverse=True)
    for source in known().sources:
        for cve in source.fixes:
            (row,) = (row for row in rows if f"[{cve}]" in row)
            assert row.endswith(f"| {source.package} {source.version} |")
    assert "- openssl 3.5.9-1~deb13u1 (trixie): it cannot be had yet" in text
    assert "deb13u1 (trixie): it mends nothing that affects the agent" in text
    assert "- python3.13 3.13.18-1 (sid): it is of a release of Debian's to come" in text


def test_what_a_release_is_called() -> None:
    """By its version and its commit's day, with the changes that no earlier release had."""
    done = subprocess.run(
        ["sh", REPOSITORY / "ci/release/notes.sh"],
        check=True,
        input="",
        stdout=subprocess.PIPE,
        text=True,
    )
    first, *lines = done.stdout.splitlines()
    assert re.fullmatch(rf"# PagerDuty Agent {re.escape(__version__)}, \d{{4}}-\d\d-\d\d", first)
    assert "## Unreleased" not in lines
    heading = next(line for line in lines if line.startswith("## "))
    assert heading == "## Vulnerabilities of the bundled parts"
    changes = (REPOSITORY / "CHANGELOG.md").read_text()
    for section in re.split(r"^## ", changes, flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        ours = title == "Unreleased" or title.startswith(__version__)
        assert (text.strip().splitlines()[0] in lines) == ours


def test_the_lock_and_the_statements_agree() -> None:
    """What is said to be fixed later is later than what we have; a part that is spoken of is one
    that we have."""
    have = locked(LOCK)
    assert {source.package for source in known().sources} <= have.keys()
    assert {row.part for row in known().statements.values()} <= {"OpenSSL", "CPython", "zlib"}
    for source in known().sources:
        assert newer_than(source.version, have[source.package]), "taken: its CVEs are fixed now"


def test_what_the_statements_say_of_our_own_code() -> None:
    """A relay's TLS has one context a connection, and no callback that gives it another; it is a
    server's. No browser is opened and no temporary directory made."""
    code = [path.read_text() for path in (REPOSITORY / "agent").rglob("*.py")]
    assert any("PROTOCOL_TLS_SERVER" in text for text in code)
    assert not any("sni_callback" in text for text in code)
    [wrapped] = [line for text in code for line in text.splitlines() if "wrap_bio" in line]
    assert "server_side=True" in wrapped
    for name in ("webbrowser", "TemporaryDirectory"):
        assert not any(name in text for text in code)
