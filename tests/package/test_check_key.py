"""ci/check-key.sh speaks up a year early, and about keys that some hosts would refuse."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.support.documents import REPOSITORY
from tests.support.repository import Keys, run

pytestmark = pytest.mark.skipif(not shutil.which("gpg"), reason="not installed: gpg")


def check_key(file: Path) -> tuple[int, str]:
    result = run("ci/check-key.sh", file, check=False)
    return result.returncode, result.stdout


@pytest.mark.parametrize(
    ("expires", "algorithm", "complaint"),
    [
        ("2y", "rsa4096/sign", ""),
        ("never", "rsa3072/sign", ""),
        ("367d", "rsa3072/sign", ""),
        ("360d", "rsa3072/sign", "time to publish its successor"),
        ("20d", "rsa3072/sign", "sign with its successor"),
        ("2y", "rsa2048/sign", "is not RSA of 3072 bits or more"),
        ("2y", "ed25519/sign", "is not RSA of 3072 bits or more"),
        ("2y", "rsa3072/cert", "cannot sign"),
    ],
)
def test_check_key(
    signer: Keys, tmp_path: Path, expires: str, algorithm: str, complaint: str
) -> None:
    """A key that no old package manager takes, or that soon expires, is refused with the reason."""
    key = signer.make(f"{expires} {algorithm}", expires, algorithm)
    status, said = check_key(signer.export(tmp_path / "key", key))
    assert status == bool(complaint)
    assert complaint in said
    assert bool(said) == bool(complaint)


def test_check_key_says_what_the_page_has(signer: Keys, tmp_path: Path) -> None:
    """Whoever looks for its words in docs/publish.md finds them."""
    page = (REPOSITORY / "docs" / "publish.md").read_text()
    said = check_key(signer.export(tmp_path / "key", signer.make("its last year", "360d")))[1]
    words = said.strip().removeprefix("check-key: ")
    assert f"`{re.sub('[0-9]+', '…', words)}`" in page


def test_check_key_looks_at_the_successor(signer: Keys, tmp_path: Path) -> None:
    """A year is asked of one key only: beside it the old one may run down to its last month."""
    both = signer.make("predecessor", "60d"), signer.make("heir", "2y")
    assert check_key(signer.export(tmp_path / "key", *both)) == (0, "")


def test_check_key_knows_what_old_and_new_rpm_refuse(signer: Keys, tmp_path: Path) -> None:
    key = signer.make("with subkey", "2y")
    signer.gpg("--passphrase", "", "--quick-add-key", key, "rsa3072", "sign", "2y")
    assert "signs with a subkey" in check_key(signer.export(tmp_path / "subkey", key))[1]

    with (signer.home / "gpg.conf").open("w") as conf:
        conf.write("cert-digest-algo SHA1\n")
    weak = signer.make("weak", "2y")
    (signer.home / "gpg.conf").unlink()
    assert "SHA-1" in check_key(signer.export(tmp_path / "weak", weak))[1]


def test_check_key_says_expired_and_revoked(signer: Keys, tmp_path: Path) -> None:
    signer.gpg(
        *("--faked-system-time", "20200101T000000", "--passphrase", ""),
        *("--quick-generate-key", "expired", "rsa3072", "sign", "1y"),
    )
    assert "has expired" in check_key(signer.export(tmp_path / "expired", "=expired"))[1]

    key = signer.make("revoked", "2y")
    certificate = signer.home / f"openpgp-revocs.d/{key}.rev"
    certificate.write_text(certificate.read_text().replace(":-----BEGIN", "-----BEGIN"))
    signer.gpg("--import", certificate)
    assert "is revoked" in check_key(signer.export(tmp_path / "revoked", key))[1]


def test_check_key_wants_a_key(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    status, said = check_key(tmp_path / "empty")
    assert status == 1
    assert "no public key" in said
