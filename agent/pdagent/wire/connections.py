"""Connections: how the Events API is reached. TLS, CAs, proxies, and an end to waiting.

What requests and urllib3 leave open for us: a bound on a whole exchange instead of each recv, one
between all addresses of a host, and the CAs that the host trusts, loaded once.
"""

import contextlib
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
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from pdagent.config import Config

CONNECT_SECONDS = 10.0

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


class Post:
    """One request on its way."""

    __slots__ = ("begun", "deadline", "overdue", "reused", "sent", "twin")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.twin: socket.socket | None = None
        self.begun = False  # the request's first bytes may have gone out, if there is a connection
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


def begin(deadline: float) -> Post:
    """The post that this thread's next exchange is; `deadline` in monotonic seconds."""
    post: Post = Post(deadline)
    _here.post = post
    return post


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
        post: Post = _here.post
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
        post.begun = True
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


class Adapter(HTTPAdapter):
    """Connections of our kind, and one TLS context for all of them: loading the CAs costs 8 to 25
    ms."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._more: dict[str, Any] = {}
        self._pools: dict[str | None, Any] = {}
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

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        pool = self._pools.get(request.url)  # the few that there are lead through the same proxy
        if pool is None:
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            self._pools[request.url] = pool
        return pool

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


def cause(error: BaseException, ways: Mapping[str, str]) -> str:
    """What is at the bottom of what requests and urllib3 have wrapped around it, without the
    passwords of the proxies `ways`."""
    seen = set()
    while id(error) not in seen:
        seen.add(id(error))
        # not __context__: what was being handled meanwhile may be no cause, but somebody's path
        inner = [getattr(error, "reason", None), error.__cause__, *error.args]
        error = next((e for e in inner if isinstance(e, BaseException)), error)
    text = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    text = text.replace("Tunnel connection failed:", "the proxy answered")
    for proxy in ways.values():
        if "@" in proxy:
            text = text.replace(proxy, "the proxy").replace(proxy.rpartition("@")[0], "***")
    return "".join(c if c.isprintable() else " " for c in text)[:300]
