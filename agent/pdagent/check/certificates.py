"""The certificates between senders and relays: what the agent itself shows to the others, and a
relay's authorities of its senders. Once one has expired, nobody gets in any more."""

import _ssl
import ssl
from collections.abc import Callable, Iterator
from typing import Any

from pdagent.check.finding import Finding, days, failed, ok, unknown, warning
from pdagent.config import Config
from pdagent.wire import pem

SUBJECT = "certificates"
SOON = 14 * 86_400.0

# The module ssl reads a certificate only of an authority, or of a peer.
_decoded: Callable[[str], dict[str, Any]] = _ssl._test_decode_cert  # type: ignore[attr-defined]


def certificates(settings: Config, now: Callable[[], float]) -> Iterator[Finding]:
    """For how long the certificates in `listen_cert`, `events_client_cert` and `listen_client_ca`
    hold. A file that is none is told of by the lines configuration and delivery."""
    for name, look in (
        ("listen_cert", term),
        ("events_client_cert", term),
        ("listen_client_ca", _last),
    ):
        file = str(getattr(settings, name))
        if not file:
            continue
        try:
            begins, ends = look(file)
        except PermissionError as error:
            yield unknown(SUBJECT, f"{name} = {file}: {error.strerror}")
            continue
        except (OSError, ValueError):
            continue
        left = ends - now()
        remedy = f"Renew the certificate in {file}, then reload the service."
        if begins > now():
            text = f"{name} = {file}: it is valid in {days(begins - now())} only"
            yield failed(SUBJECT, text, f"See whether the host's clock is right. {remedy}")
        elif left <= 0:
            yield failed(SUBJECT, f"{name} = {file}: it expired {days(-left)} ago", remedy)
        elif left < SOON:
            yield warning(SUBJECT, f"{name} = {file}: it expires in {days(left)}", remedy)
        else:
            yield ok(SUBJECT, f"{name} = {file}: it holds for {days(left)}")


def term(file: str) -> tuple[float, float]:
    """From when until when the first certificate in a file in PEM form is valid, in seconds since
    the epoch. Raises OSError, ValueError."""
    pem.mode_of(file)  # OpenSSL reads anything, and does not say why it cannot open a file
    return _term(_decoded(file))


def terms(file: str) -> list[tuple[float, float]]:
    """The same for each authority in a file. A file without one may hold a certificate that is
    trusted for itself. Raises OSError, ValueError."""
    pem.mode_of(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=file)
    found: list[dict[str, Any]] = context.get_ca_certs()
    return [_term(each) for each in found] or [term(file)]


def _last(file: str) -> tuple[float, float]:
    """The term of the authority that is valid for longest."""
    return max(terms(file), key=lambda term: term[1])


def _term(found: dict[str, Any]) -> tuple[float, float]:
    begins, ends = (ssl.cert_time_to_seconds(found[name]) for name in ("notBefore", "notAfter"))
    return begins, ends
