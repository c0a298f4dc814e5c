"""The way out: one question to the Events API, put by the daemon's own means.

The same connections, proxies, CAs and source address as a delivery's. What is asked for is the
start page, which PagerDuty does not have; any answer will do.
"""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.utils import select_proxy
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from pdagent import __version__
from pdagent.config import Config
from pdagent.wire.connections import CONNECT_SECONDS, Adapter, NoTrust, begin, cause, proxies

SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """What TLS was spoken with: its version, and when the first of the chain's certificates that
    are known expires, in seconds since the epoch."""

    version: str
    issuer: str
    expires: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the question. Without a `status` it failed for the reason `why`, at a stage:
    "trust", "name", "proxy", "tls" or "connection"."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    certificate: Certificate | None = None
    stage: str = ""
    why: str = ""


Ask = Callable[[], Answer]


def once(ask: Ask) -> Ask:
    """The same answer for all who want one; they wait for the first."""
    lock = threading.Lock()
    answers: list[Answer] = []

    def asked() -> Answer:
        with lock:
            if not answers:
                answers.append(ask())
            return answers[0]

    return asked


def proxy_of(settings: Config) -> str:
    """The proxy on the way to the Events API, its password included; empty: none."""
    url = settings.base_url
    return select_proxy(url, proxies(settings, url)) or ""


def without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def ask(settings: Config) -> Answer:
    """Asks the Events API for its start page."""
    url = settings.base_url + "/"
    ways = proxies(settings, settings.base_url)
    started = time.monotonic()
    session = requests.Session()
    session.trust_env = False
    try:
        for scheme in ("http://", "https://"):
            session.mount(scheme, Adapter(settings))
        begin(started + SECONDS)
        response = session.get(
            url,
            headers={"User-Agent": f"pdagent/{__version__}"},
            stream=True,
            timeout=Timeout(connect=CONNECT_SECONDS, read=SECONDS),  # type: ignore[arg-type]
            allow_redirects=False,
            proxies=ways,
        )
        with response:
            seconds = time.monotonic() - started
            return Answer(response.status_code, response.headers, seconds, _certificate(response))
    except NoTrust as error:
        return Answer(stage="trust", why=str(error))
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        return Answer(stage=_stage(error), why=cause(error, ways))
    finally:
        session.close()


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
