"""A certificate authority for one test run. Nothing outside it trusts it."""

import atexit
import os
import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Literal

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LOCAL = ("localhost", "127.0.0.1", "::1")
Flaw = Literal["expired", "another host", "unknown authority", "TLS 1.1"]


class CertificateAuthority:
    """Signs what a server on this machine needs; `ca_file` is what its clients must trust.

    Without a directory the file lives as long as this process. Servers that start while it has a
    `flaw` have it too.
    """

    flaw: Flaw | None = None

    def __init__(self, directory: str | None = None) -> None:
        self._ca = trustme.CA()
        if directory is None:
            own = tempfile.TemporaryDirectory(prefix="events-api-ca-")
            atexit.register(own.cleanup)
            directory = own.name
        os.makedirs(directory, exist_ok=True)
        self.ca_file = os.path.join(directory, "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)

    def context(self, hosts: Sequence[str] = LOCAL) -> ssl.SSLContext:
        """A server's context, TLS 1.2 or later, with a certificate for these hosts only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        authority, until = self._ca, None
        match self.flaw:
            case "expired":
                until = datetime.now(UTC) - timedelta(days=1)
            case "another host":
                hosts = ["elsewhere.example"]
            case "unknown authority":
                authority = trustme.CA()
            case "TLS 1.1":
                context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
                context.set_ciphers("DEFAULT@SECLEVEL=0")
        authority.issue_cert(*hosts, not_after=until).configure_cert(context)
        return context

    def files(self, directory: str, *names: str, until: datetime | None = None) -> tuple[str, str]:
        """A certificate for these names, of hosts or of a client, and its key: two paths. Whoever
        makes them owns them, and nobody else may read the key."""
        made = self._ca.issue_cert(*names, not_after=until, common_name=names[0])
        cert, key = (os.path.join(directory, f"{names[0]}.{end}") for end in ("crt", "key"))
        with open(cert, "wb") as file:
            file.write(b"".join(pem.bytes() for pem in made.cert_chain_pems))
        made.private_key_pem.write_to_path(key)
        os.chmod(key, 0o600)
        return cert, key


def home_made(directory: str) -> tuple[ssl.SSLContext, str]:
    """A server's context for this machine, and the file of its authority: one as gateways have
    them, without keyUsage, subject and authority key identifiers."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Home-made Gateway CA")])
    now = datetime.now(UTC)
    authority, key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    common = x509.CertificateBuilder().issuer_name(name).not_valid_before(now - timedelta(days=1))
    common = common.not_valid_after(now + timedelta(days=9))
    ca = (
        common.subject_name(name)
        .public_key(authority.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
        .sign(authority, hashes.SHA256())
    )
    alternatives = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
    leaf = (
        common.subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(authority, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    ca_file, both = os.path.join(directory, "home-ca.pem"), os.path.join(directory, "home.pem")
    for path, data in ((ca_file, ca.public_bytes(pem)), (both, private + leaf.public_bytes(pem))):
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, 0o644)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, ca_file
