"""The question: is PagerDuty reached? Put by a delivery's own means, and with nothing of any event.

It is an empty event, which PagerDuty refuses in words of its own. Whoever answers in those words
speaks PagerDuty's language; a portal, a filter or a gateway does not. It goes over a connection of
its own, with the proxies, authorities and source address of a delivery.

`pdagent check` asks so, and the daemon does where an event's own content may be why nothing gets
through.
"""

import contextlib
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from pdagent import __version__, api
from pdagent.config import Config
from pdagent.wire.connections import CONNECT_SECONDS, Adapter, NoTrust, Post, begin, cause, proxies
from pdagent.wire.verdict import TooLarge, Unreachable, Verdict, judge

SECONDS = 20.0
_BODY = b"{}"
_ANSWER_BYTES = 65_536
_NOT_ASKED = Unreachable("not asked")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What TLS was spoken with: its version, and when the first of the chain's certificates that
    are known expires, in seconds since the epoch."""

    version: str
    issuer: str
    expires: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the question. `why` is empty if PagerDuty's language was spoken. Else it ended
    at a stage: "trust", "name", "proxy", "tls" or "connection", without a `status`; or at an
    "answer" that is somebody else's."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    certificate: Certificate | None = None
    stage: str = ""
    why: str = ""
    verdict: Verdict = _NOT_ASKED


def begun() -> Post:
    """The Post that `ask` is, in this thread: whoever keeps it may abort it."""
    return begin(time.monotonic() + SECONDS)


def ask(config: Config) -> Answer:
    """Asks the Events API. Never raises. Call `begun` first."""
    path = api.V1_PATH if config.events_api == "v1" else api.V2_PATH
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(_BODY)),
        "User-Agent": f"pdagent/{__version__}",
        "Accept": "application/json",
    }
    ways = proxies(config, config.base_url)
    started = time.monotonic()
    adapter = Adapter(config)
    try:
        request = requests.Request("POST", config.base_url + path, headers, data=_BODY).prepare()
        response = adapter.send(
            request,
            stream=True,
            timeout=Timeout(connect=CONNECT_SECONDS, read=SECONDS),  # type: ignore[arg-type]
            proxies=ways,
        )
        with response:
            seconds = time.monotonic() - started
            certificate = _certificate(response)
            body = response.raw.read(_ANSWER_BYTES, decode_content=True)
    except NoTrust as error:
        return _failed("trust", str(error))
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        return _failed(_stage(error), cause(error, ways))
    finally:
        adapter.close()
    status = response.status_code
    verdict = judge(status, response.headers, body, now=time.time(), v1=config.events_api == "v1")
    if isinstance(verdict, TooLarge):  # not of two bytes: somebody else's
        verdict = Unreachable(f"answered {status} to an empty event")
    stage, why = ("answer", verdict.why) if isinstance(verdict, Unreachable) else ("", "")
    return Answer(status, response.headers, seconds, certificate, stage, why, verdict)


def _failed(stage: str, why: str) -> Answer:
    return Answer(stage=stage, why=why, verdict=Unreachable(why))


def _stage(error: Exception) -> str:
    if isinstance(error, requests.exceptions.ProxyError):
        return "proxy"
    if isinstance(error, requests.exceptions.SSLError):
        return "tls"
    if "NameResolutionError" in str(error):
        return "name"
    return "connection"


def _certificate(response: requests.Response) -> Certificate | None:
    sock = getattr(response.raw.connection, "sock", None)
    if not isinstance(sock, ssl.SSLSocket):
        return None  # plain HTTP; or the other side has hung up already
    with contextlib.suppress(ValueError, OSError):
        leaf: Mapping[str, Any] = sock.getpeercert() or {}
        names = [pair for part in leaf.get("issuer", ()) for pair in part]
        issuer = next((value for name, value in names if name == "organizationName"), "")
        until = [str(part["notAfter"]) for part in (leaf, *_above(sock)) if "notAfter" in part]
        expires = min(ssl.cert_time_to_seconds(text) for text in until)
        return Certificate(sock.version() or "", issuer, expires)
    return None


def _above(sock: ssl.SSLSocket) -> list[dict[str, Any]]:
    """The authorities of the verified chain."""
    chain = getattr(sock, "get_verified_chain", None)  # Python 3.13
    if chain is None:
        return []
    scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # knows how to read a certificate
    for certificate in chain()[1:]:
        scratch.load_verify_locations(cadata=certificate)
    return list(scratch.get_ca_certs())
