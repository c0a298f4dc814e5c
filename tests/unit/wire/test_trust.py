"""Whose certificates are believed, and what is said of one that is not."""

import os
import ssl
from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.wire import trust
from pdagent.wire.trust import NoTrust, ca_file, context, refusal
from tests.support.events_api import CertificateAuthority


def test_which_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration's, then OpenSSL's variable, then the distribution's, if there is one."""
    bundle = tmp_path / "bundle.crt"
    bundle.write_text("")
    monkeypatch.setattr(trust, "CA_FILES", ("/none", str(bundle)))
    environment = {"SSL_CERT_FILE": "/of/openssl"}
    assert ca_file(Config({"ca_file": "/mine"}), environment) == "/mine"
    assert ca_file(Config({}), environment) == "/of/openssl"
    assert ca_file(Config({}), {"SSL_CERT_FILE": ""}) == str(bundle)
    monkeypatch.setattr(trust, "CA_FILES", ("/none",))
    with pytest.raises(NoTrust, match="install ca-certificates, or set ca_file"):
        ca_file(Config({}), {})


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    """Path and cause, in words."""
    path = tmp_path / "ca.pem"
    with pytest.raises(NoTrust, match=f"in {path}: No such file or directory"):
        context(str(path))
    path.write_text("not a certificate")
    with pytest.raises(NoTrust, match=f"in {path}: it holds no certificates in PEM form"):
        context(str(path))
    path.unlink()
    os.mkfifo(path)  # no page waits until somebody writes to it
    with pytest.raises(NoTrust, match=f"in {path}: it is not a regular file"):
        context(str(path))


def test_how_strict(tmp_path: Path) -> None:
    """The chain, the host's name, TLS 1.2 or later; home-made authorities without keyUsage too."""
    found = context(CertificateAuthority(str(tmp_path)).ca_file)
    assert (found.verify_mode, found.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert found.minimum_version == ssl.TLSVersion.TLSv1_2
    assert not found.verify_flags & ssl.VerifyFlags.VERIFY_X509_STRICT


SHOWN = {
    "issuer": ((("commonName", "Gate\nway"),), (("organizationName", "ACME"),)),
    "notBefore": "Jan  1 2026",
    "notAfter": "Jan  2 2026",
}


@pytest.mark.parametrize(
    ("code", "shown", "said"),
    [
        (20, SHOWN, '; it was issued by "Gate?way, ACME", whom this host does not trust'),
        (10, SHOWN, '; it was issued by "Gate?way, ACME" and is valid from Jan  1 2026 to Jan  2 '
         "2026: is this host's clock right?"),
        (62, None, ""),
    ],
)  # fmt: skip
def test_a_refusal(code: int, shown: dict[str, object] | None, said: str) -> None:
    """Who issued the certificate, as one printable line, and what may be wrong here."""
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, "the reason"
    assert refusal(error, shown) == f"certificate verify failed: the reason{said}"
