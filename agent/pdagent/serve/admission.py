"""Admission: who may reach the endpoint, according to the configuration, and whether that is safe.

An address that other hosts can reach needs TLS, and senders that are known: by a token, by a
certificate, or by both. All files are read here, at the start and at each reload. A file that can't
be used is a mistake in the configuration.
"""

from typing import TYPE_CHECKING

from pdagent.config import Config
from pdagent.serve.listen import is_local
from pdagent.serve.tokens import BadTokens, Senders, load
from pdagent.threads import importing

if TYPE_CHECKING:
    import ssl


class NotSafe(Exception):
    """The text says what is wrong, and what to set."""


class Admission:
    """Who may send to `address`, and how they encrypt. Raises NotSafe."""

    def __init__(self, settings: Config, address: str) -> None:
        try:
            self.local = is_local(address)
            self.senders: Senders = load(settings)
        except BadTokens as bad:
            raise NotSafe(str(bad)) from bad
        except ValueError as error:
            raise NotSafe(f"listen = {address}: {error}") from error
        has_certificate = bool(settings.listen_cert)
        for name in ("listen_key", "listen_client_ca"):
            if getattr(settings, name) and not has_certificate:
                raise NotSafe(f"{name} is set without a certificate: set listen_cert")
        if not self.local:
            if not has_certificate:
                why = "lets other hosts in without encryption: set listen_cert and listen_key"
                raise NotSafe(f"listen = {address}: {why}")
            if not self.senders and not settings.listen_client_ca:
                why = "lets everybody in: set listen_tokens_file or listen_client_ca"
                raise NotSafe(f"listen = {address}: {why}")
        self.context = _context(settings) if has_certificate and address[:1] != "/" else None


def _context(settings: Config) -> "ssl.SSLContext":
    with importing:
        from pdagent.serve.encryption import BadCertificate, context

    try:
        return context(settings)
    except BadCertificate as bad:
        raise NotSafe(str(bad)) from bad
