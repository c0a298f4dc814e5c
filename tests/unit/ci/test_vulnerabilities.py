"""What keeps a release from being made, and what its notes say."""

from pathlib import Path

import pytest

from ci.release.vulnerabilities import Known, Newer, fixed, known, locked, notes
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


def complaints(version: str, *, here: bool, said: str = SAID) -> str:
    row = Newer("openssl", version, "trixie-security", here)
    return "\n".join(Known(said).complaints([row]))


def test_a_source_of_which_nothing_is_said() -> None:
    assert "does not say what it fixes" in complaints("3.5.9-1~deb13u1", here=False)


def test_what_affects_us_is_no_excuse_once_it_can_be_had() -> None:
    """While the mirror lacks the fix, a statement of what bounds it does."""
    assert complaints("3.5.7-1~deb13u3", here=False) == ""
    assert "make runtime-lock" in complaints("3.5.7-1~deb13u3", here=True)


def test_what_does_not_affect_us_may_wait() -> None:
    harmless = SAID.replace('"CVE-2026-1", ', "")
    assert complaints("3.5.7-1~deb13u3", here=True, said=harmless) == ""


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
    """Each statement is in the table of what is open, what affects us first; so is each source that
    could not be had."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # no sources: nothing is said to be fixed
    text = notes(LOCK)
    assert all(cve in text for cve in known().statements)
    rows = [line for line in text.splitlines() if line.startswith("| CVE")]
    states = ["**affected**" in row for row in rows]
    assert states == sorted(states, reverse=True)
    assert all(f"- {line[2:]}" in text for line in LOCK.splitlines()[1:] if line.startswith("# "))


def test_the_lock_and_the_statements_agree() -> None:
    """What is said to be fixed later is later than what we have; a part that is spoken of is one
    that we have."""
    have = locked(LOCK)
    assert {source.package for source in known().sources} <= have.keys()
    assert {row.part for row in known().statements.values()} <= {"OpenSSL", "CPython", "zlib"}
    for source in known().sources:
        assert source.version != have[source.package], "taken: its CVEs are fixed now"


def test_what_the_statements_say_of_our_own_code() -> None:
    """A relay's TLS has one context a connection, and no callback that gives it another."""
    code = [path.read_text() for path in (REPOSITORY / "agent").rglob("*.py")]
    assert any("PROTOCOL_TLS_SERVER" in text for text in code)
    assert not any("sni_callback" in text for text in code)
    assert not any("wrap_bio" in text for text in code)
