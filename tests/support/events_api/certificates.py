"""A certificate authority for one test run. Nothing outside it trusts it."""

import atexit
import os
import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import trustme

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
