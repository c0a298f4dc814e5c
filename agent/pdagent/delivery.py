"""Delivery: posts an event to the Events API and says, as a verdict, what came of it.

Knows HTTP, TLS and proxies; does not know the spool or when to try again. Importing requests takes
a tenth of a second and 6 MB, so this module is imported when the first event is there to be sent.

Any number of threads may deliver at once, over one pool of kept-alive connections.
"""

import contextlib
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.util import Timeout

from pdagent import __version__, api
from pdagent.backlog import Pending
from pdagent.config import Config
from pdagent.event import BadEvent, as_v1, encode, shrink
from pdagent.verdict import (
    Delivered,
    Refused,
    TooLarge,
    Troubled,
    Unreachable,
    Verdict,
    judge,
)

log = logging.getLogger("pdagent.delivery")

CONNECT_SECONDS = 10.0
TOTAL_SECONDS = 30.0
_ANSWER_BYTES = 65_536  # PagerDuty's answers have a few hundred

_PATHS = {"v2": api.V2_PATH, "change": api.CHANGE_PATH, "v1": api.V1_PATH}

# Where distributions keep the bundle of CAs that the host trusts.
CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat and its kin, before and after ca-trust
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",
)


class NoTrust(Exception):
    """No CA bundle was found, or it can't be used: nobody's certificate could be verified."""


class _Post:
    """One request on its way."""

    __slots__ = ("deadline", "overdue", "reused", "sent", "twin")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.twin: socket.socket | None = None
        self.sent = False  # whole, as far as the kernel goes
        self.reused = False
        self.overdue = False

    def abort(self) -> None:
        """From another thread: makes whatever this post waits for on its socket fail now."""
        self.overdue = True
        if self.twin is not None:
            with contextlib.suppress(OSError):  # it is closed already
                self.twin.shutdown(socket.SHUT_RDWR)


_here = threading.local()  # .post: what this thread is sending


class _Watched(HTTPConnection):
    """A connection that can be cut off from another thread, at any stage.

    A second descriptor of the same socket does that: while TLS is being set up the first one
    belongs to nobody in particular, and a shut-down of any one of them holds for all.
    """

    twin: socket.socket | None = None
    used = False
    _held: list[bytes] | None = None

    def _new_conn(self) -> socket.socket:
        sock = _connect(self, time.monotonic() + CONNECT_SECONDS)
        self.twin = _here.post.twin = sock.dup()
        self.used = _here.post.reused = False
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        post: _Post = _here.post
        post.twin = self.twin
        post.reused = self.used
        # Head and body in one piece: in two, each is a TLS record, a packet and a wake-up of the
        # other side.
        held: list[bytes] = []
        self._held = held
        try:
            super().request(*args, **kwargs)
        finally:
            self._held = None
        self.send(b"".join(held))  # plain HTTP connects here, TLS has done so before
        post.sent = self.used = True

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)
        else:
            self._held.append(data)

    def close(self) -> None:
        twin, self.twin = self.twin, None
        if twin is not None:
            twin.close()
        super().close()


class _WatchedTLS(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _PoolTLS(HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


def _connect(connection: HTTPConnection, deadline: float) -> socket.socket:
    """urllib3 gives each address of a host the whole time-out; here all of them share it, so that a
    black hole among them (often IPv6) leaves time for the rest. Raises urllib3's exceptions."""
    host = connection.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, connection.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise NameResolutionError(host, connection, socket.gaierror(str(error))) from error
    problem: OSError | None = None
    for number, (family, kind, protocol, _, address) in enumerate(found):
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if connection.source_address:
                sock.bind(connection.source_address)
            share = (deadline - time.monotonic()) / (len(found) - number)
            sock.settimeout(max(share, 0.1))
            sock.connect(address)
            sock.settimeout(CONNECT_SECONDS)  # for the TLS handshake; requests has its own after it
            return sock
        except OSError as error:
            problem = error
            if sock is not None:
                sock.close()
    if isinstance(problem, TimeoutError):
        raise ConnectTimeoutError(connection, "connect timed out") from problem
    raise NewConnectionError(connection, str(problem)) from problem


class _Adapter(HTTPAdapter):
    """Connections of our kind, and one TLS context for all of them: loading the CAs costs 8 to 25
    ms."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._more: dict[str, Any] = {}
        if config.source_address != "0.0.0.0":  # noqa: S104  (means: not set)
            self._more["source_address"] = (config.source_address, 0)
        super().__init__(pool_maxsize=config.max_connections)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **kwargs: Any
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, **kwargs, **self._more)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTLS}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs, **self._more)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTLS}
        return manager

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        tls = {"ssl_context": self._tls(), "cert_reqs": "CERT_REQUIRED"}
        return host, tls if host["scheme"] == "https" else {}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        pass  # the context does: requests would load its own bundle of CAs for each connection

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = _context(ca_file(self._config, os.environ))
            return self._context


def ca_file(config: Config, environment: Mapping[str, str]) -> str:
    """The bundle of CAs to trust: `ca_file`, SSL_CERT_FILE (as OpenSSL has it), or the
    distribution's. Raises NoTrust."""
    chosen = config.ca_file or environment.get("SSL_CERT_FILE", "")
    if chosen:
        return chosen
    for path in CA_FILES:
        if os.path.exists(path):
            return path
    raise NoTrust("no CA certificates found: install ca-certificates, or set ca_file")


def _context(path: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        raise NoTrust(f"cannot use the CA certificates in {path}: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def proxies(config: Config, url: str) -> dict[str, str]:
    """The proxies on the way to `url`: `proxy_url`, else http_proxy, https_proxy and no_proxy."""
    if config.proxy_url:
        return {"http": config.proxy_url, "https": config.proxy_url}
    return requests.utils.get_environ_proxies(url)


class Delivery:
    """Delivers events as `config` says."""

    def __init__(self, config: Config) -> None:
        self._posts: set[_Post] = set()
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Takes up a new configuration, from the next post on."""
        self._config = config
        self._v1_keys: set[str] = set()  # keys that v2 refused and v1 took
        self._open()

    def _open(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False  # what it would read per request is read here, once
        adapter = _Adapter(self._config)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._proxies = proxies(self._config, self._config.base_url)
        self._templates = {version: self._template(path) for version, path in _PATHS.items()}

    def _template(self, path: str) -> requests.PreparedRequest:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"pdagent/{__version__}",
            "Accept": "application/json",
        }
        return requests.Request("POST", self._config.base_url + path, headers=headers).prepare()

    def deliver(self, pending: Pending) -> Verdict:
        """Sends the event, and if need be in the form that PagerDuty takes it in. Never raises."""
        if pending.version != "v2" or self._config.events_api != "auto":
            return self._deliver_as(pending.version, pending.body, pending.data)
        key = str(pending.body["routing_key"])
        if key in self._v1_keys:
            verdict = self._deliver_v1(pending)
            if not isinstance(verdict, Refused):
                return verdict
            self._v1_keys.discard(key)  # it has changed its kind, perhaps
        verdict = self._deliver_as("v2", pending.body, pending.data)
        if not (isinstance(verdict, Refused) and verdict.about_key):
            return verdict
        second = self._deliver_v1(pending)
        if isinstance(second, Delivered):
            self._v1_keys.add(key)
        if isinstance(second, Refused):
            return Refused(verdict.status, f"{verdict.reason} (and as v1: {second.reason})")
        return second

    def _deliver_v1(self, pending: Pending) -> Verdict:
        body = as_v1(pending.body)
        try:
            return self._deliver_as("v1", body, encode(body))
        except (BadEvent, RecursionError):
            return Refused(400, "the event can't be written for Events API v1")

    def _deliver_as(self, version: str, body: dict[str, object], data: bytes) -> Verdict:
        verdict = self._post(version, data)
        if not isinstance(verdict, TooLarge):
            return verdict
        log.warning("%s; sending it with less detail", verdict.reason)
        try:
            second = self._post(version, shrink(body))
        except RecursionError:
            second = verdict
        if isinstance(second, TooLarge):
            return Refused(second.status, second.reason)
        return second

    def _post(self, version: str, data: bytes) -> Verdict | TooLarge:
        while True:
            post = self._started()
            try:
                return self._exchange(version, data)
            except NoTrust as error:
                return Unreachable(str(error))
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                if post.reused and not post.overdue and not isinstance(error, requests.Timeout):
                    # The server closed a kept-alive connection just as we wrote to it. Whether it
                    # read the event before that is unknown; the same bytes twice are one event.
                    # The next connection may be as stale, but in the end there is a new one.
                    continue
                return self._failure(post, error)
            finally:
                self._posts.discard(post)

    def _started(self) -> _Post:
        post = _here.post = _Post(time.monotonic() + TOTAL_SECONDS)
        self._posts.add(post)
        return post

    def _exchange(self, version: str, data: bytes) -> Verdict | TooLarge:
        request = self._templates[version].copy()
        request.body = data
        request.headers["Content-Length"] = str(len(data))
        response = self._session.send(
            request,
            stream=True,
            timeout=Timeout(connect=CONNECT_SECONDS, read=TOTAL_SECONDS),  # type: ignore[arg-type]
            allow_redirects=False,
            proxies=self._proxies,
        )
        with response:
            return judge(
                response.status_code,
                response.headers,
                _answer(response),
                now=time.time(),
                v1=version == "v1",
                proxied=bool(self._proxies)
                and request.url is not None
                and request.url.startswith("http:"),
            )

    def _failure(self, post: _Post, error: Exception) -> Verdict:
        if post.sent and (post.overdue or isinstance(error, requests.Timeout)):
            return Troubled(f"no answer within {TOTAL_SECONDS:.0f} s")
        if isinstance(error, requests.exceptions.SSLError):
            self._open()  # the host's CAs may have been put right meanwhile: read them anew
        why = "timed out" if post.overdue else self._innermost(error)
        return Unreachable(why)

    def _innermost(self, error: BaseException) -> str:
        """The cause at the bottom of what requests and urllib3 have wrapped around it, without
        secrets."""
        seen = set()
        while id(error) not in seen:
            seen.add(id(error))
            # not __context__: what was being handled meanwhile may be no cause, but somebody's path
            inner = [getattr(error, "reason", None), error.__cause__, *error.args]
            error = next((e for e in inner if isinstance(e, BaseException)), error)
        text = str(error) or type(error).__name__
        for proxy in self._proxies.values():
            if "@" in proxy:
                text = text.replace(proxy, "the proxy").replace(proxy.rpartition("@")[0], "***")
        return "".join(c if c.isprintable() else " " for c in text)[:300]

    def abort_overdue(self, now: float) -> None:
        """Ends posts past their deadline, whatever they are waiting for. `now` is monotonic."""
        for post in list(self._posts):
            if post.deadline <= now:
                post.abort()

    def abort_all(self) -> None:
        for post in list(self._posts):
            post.abort()


def _answer(response: requests.Response) -> bytes:
    """The answer's body as far as it came: the status line has said the most important thing
    already."""
    parts = []
    try:
        for part in response.raw.stream(_ANSWER_BYTES, decode_content=True):
            parts.append(part)
            if sum(map(len, parts)) >= _ANSWER_BYTES:
                response.raw.close()  # more than we want to read before the next event
                break
    except (HTTPError, OSError, ValueError):
        response.raw.close()
    return b"".join(parts)[:_ANSWER_BYTES]
