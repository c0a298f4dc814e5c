"""Trust: whose certificates are believed, and what to say of one that is not.

A certificate is verified as curl and OpenSSL's own client do it: the chain, its dates, the host's
name. TLS has to be 1.2 or later.
"""

import os
import ssl
from collections.abc import Mapping
from typing import Any

from pdagent.config import Config
from pdagent.shown import printable
from pdagent.wire import pem

# Where distributions keep the bundle of CAs that the host trusts.
CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat and its kin, before and after ca-trust
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",
)

# X509_V_ERR_…, as OpenSSL's x509_vfy.h numbers them.
_NOT_NOW = (9, 10)  # not yet valid, expired
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
_NAME_CHARS = 100


class NoTrust(Exception):
    """No CA bundle was found, or it can't be used: nobody's certificate could be verified."""


def ca_file(settings: Config, environment: Mapping[str, str]) -> str:
    """The bundle of CAs to trust: `ca_file`, else the file that SSL_CERT_FILE names, as for
    OpenSSL, else the distribution's. Raises NoTrust."""
    chosen = settings.ca_file or environment.get("SSL_CERT_FILE", "")
    if chosen:
        return chosen
    for path in CA_FILES:
        if os.path.exists(path):
            return path
    raise NoTrust("no CA certificates found: install ca-certificates, or set ca_file")


def context(path: str) -> ssl.SSLContext:
    """A context that trusts the authorities in the file `path`. To read them takes 8 to 25 ms.
    Raises NoTrust."""
    try:
        pem.mode_of(path)
        found = ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        raise NoTrust(f"cannot use the CA certificates in {path}: {why_not(error)}") from error
    found.minimum_version = ssl.TLSVersion.TLSv1_2
    # Since 3.13 Python refuses what RFC 5280 forbids and everybody else takes. Home-made
    # authorities, such as those of gateways, often lack keyUsage.
    found.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    return found


def why_not(error: OSError) -> str:
    """Why a file of certificates can't be used, in words."""
    if isinstance(error, ssl.SSLError):
        return "it holds no certificates in PEM form"
    return error.strerror or str(error)


def refusal(error: ssl.SSLCertVerificationError, shown: Mapping[str, Any] | None) -> str:
    """Why a certificate is not believed, and who issued it. `shown`: the certificate, as
    SSLSocket.getpeercert gives one."""
    text = f"certificate verify failed: {error.verify_message}"
    issuer = _issuer(shown or {})
    if issuer:
        text += f"; it was issued by {issuer}"
    if error.verify_code in _UNKNOWN_ISSUER:
        text += ", whom this host does not trust"
    elif error.verify_code in _NOT_NOW:
        text += f" and is valid from {_date(shown, 'notBefore')} to {_date(shown, 'notAfter')}"
        text += ": is this host's clock right?"
    return text


def _date(shown: Mapping[str, Any] | None, name: str) -> str:
    return str((shown or {}).get(name, "?"))


def _issuer(shown: Mapping[str, Any]) -> str:
    """Who issued the certificate, as one short printable line: these are somebody else's words."""
    names = {name: value for part in shown.get("issuer", ()) for name, value in part}
    words = [names[name] for name in ("commonName", "organizationName") if names.get(name)]
    line = printable(", ".join(dict.fromkeys(words)))
    return f'"{line[:_NAME_CHARS]}"' if line else ""
