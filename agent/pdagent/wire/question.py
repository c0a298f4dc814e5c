"""The question: is PagerDuty reached? It is asked the way that events go, but holds none of them.

It is an empty event, which PagerDuty refuses in words of its own. Whoever answers in those words
speaks PagerDuty's language; a portal, a filter or a gateway does not. The question has a connection
of its own, with the proxies, authorities and source address of a delivery.

`pdagent check` asks it, and so does the daemon where the content of an event may be the reason that
nothing gets through.
"""

import contextlib
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from requests import RequestException

from pdagent import api
from pdagent.config import Config
from pdagent.wire.adapter import Adapter, stage_of
from pdagent.wire.identity import is_pagerduty
from pdagent.wire.post import Post
from pdagent.wire.verdict import TooLarge, Unreachable, Verdict, judge

SECONDS = 20.0
_NOT_ASKED = Unreachable("not asked")


@dataclass(frozen=True, slots=True)
class Certificate:
    """The version of TLS, and the certificate's issuer. `expires` is when the first certificate of
    the chain expires, as far as the chain is known, in seconds since the epoch."""

    version: str
    issuer: str
    expires: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the question. If PagerDuty answered, `why` and `stage` are empty. If nobody
    answered, there is no `status`, and `stage` says how far the question got: "trust", "identity",
    "name", "proxy", "tls" or "connection". If somebody else answered, the stage is "answer". Names
    of headers may be in upper or lower case."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    certificate: Certificate | None = None
    stage: str = ""
    why: str = ""
    verdict: Verdict = _NOT_ASKED


def ask(settings: Config, post: Post) -> Answer:
    """Asks the Events API, until the post's deadline. Never raises."""
    version = "v1" if settings.events_api == "v1" else "v2"
    adapter = Adapter(settings, settings.base_url)
    started = time.monotonic()
    try:
        request = adapter.request(api.V1_PATH if version == "v1" else api.V2_PATH, b"{}")
        response = adapter.send(request, timeout=post)
    except RequestException as error:
        why = str(error)
        return Answer(stage=stage_of(error), why=why, verdict=Unreachable(why))
    seconds = time.monotonic() - started
    with response:  # at the end its connection is closed, since nothing else is asked
        raw: Any = response.raw  # a Body
        certificate = _certificate(raw.connection.sock)
        verdict = judge(
            response.status_code,
            response.headers,
            response.content,
            now=time.time(),
            version=version,
            pagerduty=is_pagerduty(settings),
            proxy=adapter.answering_proxy,
        )
    if isinstance(verdict, TooLarge):  # nobody but a stranger finds two bytes too large
        verdict = Unreachable(f"answered {response.status_code} to an empty event")
    stage, why = ("answer", verdict.why) if isinstance(verdict, Unreachable) else ("", "")
    return Answer(response.status_code, response.headers, seconds, certificate, stage, why, verdict)


def _certificate(sock: Any) -> Certificate | None:
    if not hasattr(sock, "getpeercert"):
        return None
    with contextlib.suppress(ValueError, OSError):
        leaf: Mapping[str, Any] = sock.getpeercert() or {}
        names = [pair for part in leaf.get("issuer", ()) for pair in part]
        issuer = next((value for name, value in names if name == "organizationName"), "")
        until = [str(part["notAfter"]) for part in (leaf, *_above(sock)) if "notAfter" in part]
        expires = min(ssl.cert_time_to_seconds(text) for text in until)
        return Certificate(sock.version() or "", issuer, expires)
    return None


def _above(sock: Any) -> list[dict[str, Any]]:
    """The authorities of the verified chain."""
    chain = getattr(sock, "get_verified_chain", None)  # Python 3.13
    if chain is None:
        return []
    scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # knows how to read a certificate
    for certificate in chain()[1:]:
        scratch.load_verify_locations(cadata=certificate)
    return list(scratch.get_ca_certs())
