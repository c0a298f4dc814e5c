"""Connections: how the Events API is reached. TLS, proxies, and deadlines.

`Adapter` carries requests over them. They are our own, since urllib3's lack four things: a deadline
for a whole exchange and not for each recv, one deadline for all addresses of a host, an abort from
another thread, and answers that are read by `Reader`.

A connection carries the next request only if nothing that the last one brought could be taken for
the next answer: the last answer was final, was read to its end, and nothing has come since, into
the reader, TLS or the socket. This is checked right before each request, also the first.
"""

import contextlib
import encodings.idna  # noqa: F401  # the socket module asks for it, and threads import nothing
import math
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from urllib3.util.ssltransport import SSLTransport

from pdagent import __version__
from pdagent.config import Config
from pdagent.shown import printable
from pdagent.wire import trust
from pdagent.wire.absence import Absence
from pdagent.wire.answer import Answer, NoAnswer, Reader
from pdagent.wire.identity import NoIdentity, show
from pdagent.wire.post import NOT_AWAY, Post
from pdagent.wire.proxy import Proxy

CONNECT_SECONDS = 10.0
# A proxy is near, so TLS with it gets less time, and so does the question whether it speaks plain
# HTTP. Both fit into the ten seconds of a direct delivery.
PROXY_TLS_SECONDS = 5.0
PLAIN_SECONDS = 2.0
# A kernel takes this much at once, if it holds nothing else. What is longer may have to wait.
_AT_ONCE_BYTES = 16_384
_TEXT_CHARS = 500
_NOT_OURS = "it does not accept this host's certificate (events_client_cert)"
AGENT = f"pdagent/{__version__}"


class Unreached(Exception):
    """There was no answer; the text says why. `stage` says how far the request got: "trust",
    "identity", "name", "proxy", "tls" or "connection"."""

    def __init__(self, stage: str, why: str) -> None:
        super().__init__(printable(why, " ")[:_TEXT_CHARS])
        self.stage = stage


class Stale(Unreached):
    """The other side has ended a connection that was kept, or has spoken unasked. Nothing was
    sent."""


class Target:
    """Where a request goes. `url` is as requests prepares it: without a user, and with a host in
    ASCII. `name` is the host as a URL has it; `authority` adds the port where it is not the usual
    one. Raises ValueError."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.tls = parts.scheme == "https"
        self.host = (parts.hostname or "").rstrip(".")
        self.port = parts.port or (443 if self.tls else 80)
        self.name = f"[{self.host}]" if ":" in self.host else self.host
        default = self.port == (443 if self.tls else 80)
        self.authority = self.name if default else f"{self.name}:{self.port}"


class Connection:
    """One connection to `target`, perhaps through a proxy. For one thread at a time."""

    def __init__(self, target: Target, proxy: Proxy | None, source: str, tls: "Tls") -> None:
        self._target = target
        self._proxy = proxy
        self._source = source
        self._tls = tls
        self._sock: Any = None  # a socket, an SSLSocket, or an SSLTransport
        self._twin: socket.socket | None = None
        self._peer = "PagerDuty"
        self._used = False
        self._absence = Absence()
        self._alert: ssl.SSLError | None = None  # what TLS's other side said instead of an answer
        self.sound = False  # whether it may carry another request

    @property
    def sock(self) -> Any:
        """A socket, an SSLSocket or an SSLTransport; None before `open`."""
        return self._sock

    def open(self, post: Post) -> None:
        """Connects, through the proxy if there is one, and with TLS if need be. Raises Unreached,
        TimeoutError."""
        proxy = self._proxy
        self._connect(post)
        if proxy is not None and proxy.scheme == "https":
            self._wrap_proxy(proxy, post)
        if not self._target.tls:
            return
        if proxy is not None:
            self._tunnel(proxy, post)
            self._peer = f"PagerDuty, through the proxy at {proxy.where}"
        self._wrap(self._target.host, post.left(CONNECT_SECONDS))

    def exchange(self, request: bytes, post: Post) -> Answer:
        """The final answer to the request. Raises Stale, Unreached, TimeoutError."""
        self.sound = False
        post.reused, self._used = self._used, True
        post.twin = self._twin
        if not self.silent():
            why = _words(self._alert) if self._alert else "it spoke before it was asked"
            kind = Stale if post.reused else Unreached
            raise kind("connection", f"{self._peer}: {why}")
        whole = True
        try:
            self._sock.settimeout(post.left())
            try:
                post.begun = True
                with post.away if len(request) > _AT_ONCE_BYTES else NOT_AWAY:
                    self._sock.sendall(request)
                post.sent = True
            except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                whole = False  # the other side may have answered without reading all of it
            with contextlib.ExitStack() as rest:
                receive = partial(self._receive, post)
                answer = Reader(self._absence.receiver(receive, post, rest)).answer()
        except TimeoutError:
            raise
        except (OSError, NoAnswer) as error:
            raise Unreached("connection", f"{self._peer}: {_words(error)}") from error
        self.sound = whole and not answer.last
        return answer

    def silent(self) -> bool:
        """Whether the other side is still there, and has said nothing that it was not asked."""
        try:
            # This reads what the kernel holds as well as what OpenSSL holds.
            self._sock.settimeout(0)
            self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except ssl.SSLError as error:
            self._alert = error
        except OSError:
            pass
        return False

    def close(self) -> None:
        """Closes it, however far it got."""
        for sock in (self._sock, self._twin):
            if sock is not None:
                sock.close()
        self._twin = None

    def _receive(self, post: Post, size: int, most: float = math.inf) -> bytes:
        self._sock.settimeout(post.left(most))
        return self._sock.recv(size) or b""  # with TLS within TLS, recv returns 0 at the end

    # --- on the way there -----------------------------------------------------------------------

    def _connect(self, post: Post) -> None:
        """Connects to the first address that answers. All addresses of a host share the time, so
        that a black hole among them, often IPv6, leaves some time for the rest."""
        proxy = self._proxy
        host, port = (
            (self._target.host, self._target.port) if proxy is None else (proxy.host, proxy.port)
        )
        until = time.monotonic() + post.left(CONNECT_SECONDS)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            whose = "the proxy's name" if proxy is not None else "the name"
            raise Unreached("name", f"{whose} {host}: {_words(error)}") from error
        problem: Exception = OSError("it has no address")
        if proxy is not None:
            self._peer = f"the proxy at {proxy.where}"
        if self._source:  # with the others nothing can be reached, and they would say why in vain
            family = socket.AF_INET6 if ":" in self._source else socket.AF_INET
            found = [each for each in found if each[0] == family]
            problem = OSError(f"it has no address of the kind of source_address = {self._source}")
        for number, (family, kind, protocol, _, address) in enumerate(found):
            if proxy is None:
                shown = f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
                self._peer = f"PagerDuty at {shown}:{port}"
            try:
                # Without IPv6 on this host this fails, and another address may do.
                sock = socket.socket(family, kind, protocol)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._source:
                    sock.bind((self._source, 0))
                share = (until - time.monotonic()) / (len(found) - number)
                sock.settimeout(max(share, 0.1))
                self._sock, self._twin = sock, sock.dup()
                post.twin = self._twin
                post.left(CONNECT_SECONDS)  # raises if it was aborted before it had a socket
                sock.connect(address)
                return
            except OSError as error:
                problem = error
                self.close()
        stage = "connection" if proxy is None else "proxy"
        raise Unreached(stage, f"{self._peer}: {_words(problem)}") from problem

    def _wrap_proxy(self, proxy: Proxy, post: Post) -> None:
        try:
            self._wrap(proxy.host, post.left(PROXY_TLS_SECONDS), "proxy")
        except Unreached as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise
            # Nothing is sent in plain text: whoever breaks TLS would get the password.
            if self._speaks_plain(proxy, post):
                why = f"{self._peer}: it speaks plain HTTP: write http:// before it, not https://"
                raise Unreached("proxy", f"{why} ({proxy.source})") from error
            raise

    def _speaks_plain(self, proxy: Proxy, post: Post) -> bool:
        """Whether the proxy speaks plain HTTP. The request for this holds no secret."""
        self.close()
        try:
            self._connect(post)
            self._sock.settimeout(post.left(PLAIN_SECONDS))
            self._sock.sendall(f"OPTIONS * HTTP/1.1\r\nHost: {proxy.where}\r\n\r\n".encode())
            return bytes(self._sock.recv(5)) == b"HTTP/"
        except (Unreached, OSError):
            return False

    def _tunnel(self, proxy: Proxy, post: Post) -> None:
        place = f"{self._target.name}:{self._target.port}"
        lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", f"User-Agent: {AGENT}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        reader = Reader(lambda size: self._receive(post, size))
        try:
            self._sock.settimeout(post.left(CONNECT_SECONDS))
            self._sock.sendall("\r\n".join([*lines, "", ""]).encode())
            status = reader.head().status
        except (OSError, NoAnswer) as error:
            raise Unreached("proxy", f"{self._peer}: {_words(error)}") from error
        if not 200 <= status < 300:
            # The proxy's own words are not quoted: the password could be in them.
            raise Unreached("proxy", f"{self._peer} answered {said(status)}")
        if reader.has_more:
            raise Unreached("proxy", f"{self._peer}: it sent more than its answer")

    def _wrap(self, host: str, seconds: float, stage: str = "tls") -> None:
        try:
            context = self._tls.context()
        except trust.NoTrust as error:
            raise Unreached("trust", str(error)) from error
        except NoIdentity as error:
            raise Unreached("identity", str(error)) from error
        self._sock.settimeout(seconds)
        try:
            if isinstance(self._sock, ssl.SSLSocket):  # there is TLS with the proxy already
                self._sock = _Nested(self._sock, context, host)
                return
            self._sock = context.wrap_socket(
                self._sock, server_hostname=host, do_handshake_on_connect=False
            )
            self._sock.do_handshake()
        except ssl.SSLCertVerificationError as error:
            self._tls.forget()
            why = trust.refusal(error, _shown(error, self._sock))
            raise Unreached(stage, f"{self._peer}: {why}") from error
        except OSError as error:  # ssl.SSLError is one
            raise Unreached(stage, f"{self._peer}: no TLS: {_words(error)}") from error


class Tls:
    """One context for all connections, made when the first needs it."""

    def __init__(self, settings: Config) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """The context. Raises NoTrust, NoIdentity."""
        with self._lock:
            if self._context is None:
                made = trust.context(trust.ca_file(self._settings, os.environ))
                show(made, self._settings)
                self._context = made
            return self._context

    def forget(self) -> None:
        """Has the authorities read anew the next time, since somebody may have put them right."""
        with self._lock:
            self._context = None


class _Nested(SSLTransport):
    """TLS within TLS. The constructor does the handshake, so the certificate that is not believed
    has to be taken from there."""

    def __init__(self, *args: Any) -> None:
        try:
            super().__init__(*args)
        except ssl.SSLCertVerificationError as error:
            error.refused = self.sslobj  # type: ignore[attr-defined]
            raise


def said(status: int) -> str:
    """A status with its name, such as "502 Bad Gateway"."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, UnicodeError):
        return "it cannot be a host's name"
    if isinstance(error, ssl.SSLEOFError):
        return "the connection was closed in violation of the protocol"
    if isinstance(error, ssl.SSLError):
        words = (error.reason or str(error)).replace("_", " ").lower()
        return f"{words}: {_NOT_OURS}" if _is_about_us(words) else words
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _is_about_us(words: str) -> bool:
    """Whether it is an alert of the other side's, about the certificate that it was shown."""
    return " alert " in words and ("certificate" in words or "unknown ca" in words)


def _shown(error: ssl.SSLCertVerificationError, sock: Any) -> Mapping[str, Any] | None:
    """The certificate that was not believed. The module ssl has no public function for this."""
    try:
        chain = getattr(error, "refused", sock)._sslobj.get_unverified_chain()
        return chain[0].get_info() if chain else None
    except (AttributeError, ValueError, ssl.SSLError):
        return None
