"""Listening: a WSGI application served on a loopback address or a Unix socket, within bounds.

Knows sockets and bounds, does not know what is served. Importing waitress takes 2 MB and some
milliseconds, so this module is imported when something is to listen.
"""

import contextlib
import errno
import ipaddress
import logging
import os
import socket
import stat
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ThreadedTaskDispatcher

from pdagent import threads
from pdagent.serve.visitors import guarded

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HEADER_BYTES = 16_384
STOP_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Bounds:
    """What clients may cost: bytes of a request's body and of all bodies together, connections at a
    time, requests answered at a time, seconds for a request to arrive, or for a connection to say
    nothing, and seconds for a request's headers."""

    body_bytes: int
    all_bytes: int = 16 * 1024 * 1024
    connections: int = 100
    threads: int = 1
    seconds: int = 30
    header_seconds: int = 5


def is_local(address: str) -> bool:
    """Whether only this host can reach the address, "HOST:PORT" or a Unix socket's path."""
    return address.startswith("/") or ipaddress.ip_address(_halves(address)[0]).is_loopback


def open_socket(address: str) -> socket.socket:
    """A socket bound to the address. Raises OSError."""
    if address.startswith("/"):
        return _open_unix(address)
    host, port = _halves(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def _halves(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _open_unix(path: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    try:
        if _is_abandoned(path):
            os.unlink(path)
        found.bind(path)
        os.chmod(path, 0o666)  # noqa: S103  (whoever may run pd-send may connect)
    except BaseException:
        found.close()
        raise
    return found


def _is_abandoned(path: str) -> bool:
    """Whether a daemon that died left its socket there."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED


class _Parser(HTTPRequestParser):
    """waitress's, but what may be understood in two ways is refused (RFC 9112, 6.1): whoever stands
    between might have understood it in the other."""

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length beside Transfer-Encoding")


class _Channel(HTTPChannel):
    """A connection on which the arrival of a request counts as one activity: a client that sends a
    byte now and then is cut off like one that sends nothing."""

    parser_class = _Parser

    def __init__(self, crowd: "_Crowd", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert self.socket is not None
        self.peer = _peer(self.socket, self.addr)
        self.has_asked = False
        self._crowd = crowd
        crowd.make_room()

    def handle_read(self) -> None:
        request, began = self.request, self.last_activity
        super().handle_read()
        self.has_asked = True
        if request is not None and self.request is request:
            self.last_activity = began
        self._crowd.make_room()

    @property
    def is_served(self) -> bool:
        """Whether a request is being answered; otherwise we wait for the client."""
        return bool(self.requests)

    @property
    def is_in_headers(self) -> bool:
        return not self.has_asked if self.request is None else not self.request.headers_finished

    @property
    def body_bytes(self) -> int:
        requests = [*self.requests, self.request]
        return sum(request.body_bytes_received for request in requests if request is not None)


def _peer(connection: socket.socket, address: tuple[str, int]) -> str | int:
    """Who is at the other end: a user of this host, as far as that is known, or another host. All
    who come over the loopback interface are one peer."""
    if connection.family == socket.AF_UNIX:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", credentials)[1])
    host = address[0]
    return "loopback" if ipaddress.ip_address(host.partition("%")[0]).is_loopback else host


class _Crowd:
    """The connections of one server, and what they may cost together.

    Where they come to too much, the peer with the most of them loses the one that has kept us
    waiting longest: whoever fills all places takes them from himself. A client that sends its
    request at once is served before it could be the longest.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.channels: Mapping[int, Any] = {}

    def make_room(self) -> None:
        """Closes a connection if there are too many, or their bodies take up too much."""
        found = self._open()
        size = sum(channel.body_bytes for channel in found)
        if len(found) <= self._bounds.connections and size <= self._bounds.all_bytes:
            return
        number = Counter(channel.peer for channel in found)
        waiting = [channel for channel in found if not channel.is_served]
        if waiting:
            # closed in the loop's next round: in this one its descriptor must not become another's
            min(waiting, key=lambda c: (-number[c.peer], c.last_activity)).will_close = True

    def seconds_left(self) -> float:
        """Until `close_late` has something to do: as long as can be where nobody is connected,
        since nothing to do is no reason to wake up."""
        now = time.time()
        ends = [self._end(channel) - now for channel in self._open()]
        return max(0.0, min(ends, default=float(self._bounds.seconds)))

    def close_late(self) -> None:
        """Closes the connections whose clients have kept us waiting for too long."""
        now = time.time()
        for channel in self._open():
            if self._end(channel) <= now:
                channel.will_close = True

    def _open(self) -> list[_Channel]:
        return [
            channel
            for channel in list(self.channels.values())
            if isinstance(channel, _Channel) and not channel.will_close
        ]

    def _end(self, channel: _Channel) -> float:
        """When its client has had its time. What is being served is looked at again later."""
        if channel.is_served:
            return time.time() + self._bounds.seconds
        headers, whole = self._bounds.header_seconds, self._bounds.seconds
        return channel.last_activity + (headers if channel.is_in_headers else whole)


class _Dispatcher(ThreadedTaskDispatcher):
    """waitress's, but that it goes on with the threads that the system gives."""

    def start_new_thread(self, target: Callable[[int], object], thread_no: int) -> None:
        # Called with the lock held, behind `threads.add` and before `active_count += 1`.
        if threads.start(lambda: target(thread_no), f"waitress-{thread_no}") is None:
            self.threads.discard(thread_no)
            self.active_count -= 1


class Listener:
    """Serves `app` at `address`, in threads of its own, from construction until `close`. Raises
    OSError when it can't."""

    def __init__(self, address: str, app: "WSGIApplication", bounds: Bounds) -> None:
        logging.getLogger("waitress").setLevel(logging.ERROR)  # it warns of every request in line
        self._address = address
        bound = open_socket(address)
        self._crowd = _Crowd(bounds)
        self._map: dict[int, Any] = {}
        server = create_server(
            guarded(app, by_name=address.startswith("/") or not is_local(address)),
            map=self._map,
            _dispatcher=_Dispatcher(),
            sockets=[bound],
            threads=bounds.threads,
            ident="pdagent",
            # the crowd's own bound comes first, but for those that are being served
            connection_limit=bounds.connections + 16,
            max_request_body_size=bounds.body_bytes,
            max_request_header_size=HEADER_BYTES,
            inbuf_overflow=bounds.body_bytes + 1,  # bodies are small enough for memory
            asyncore_use_poll=True,
            log_socket_errors=False,
        )
        assert isinstance(server, BaseWSGIServer)  # one socket, one server
        server.channel_class = partial(_Channel, self._crowd)  # type: ignore[assignment]
        self._crowd.channels = server.active_channels  # type: ignore[assignment]
        self._server = server
        # where the kernel put it, if the port was 0
        self.port = 0 if address.startswith("/") else int(bound.getsockname()[1])
        self._thread: threading.Thread | None = None
        self.tend()

    def tend(self) -> None:
        """Once in a while: asks again for the threads that could not be had, or that died."""
        self._server.task_dispatcher.set_thread_count(self._server.adj.threads)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threads.start(self._run, "Listener")

    def _run(self) -> None:
        while self._map:
            wasyncore.loop(self._crowd.seconds_left(), use_poll=True, map=self._map, count=1)
            self._crowd.close_late()

    def close(self) -> None:
        """Lets the requests that are being worked on be answered, and answers no more.

        For a process that ends: the sockets stay open until then. (waitress closes the descriptor
        that wakes it up twice; the second time it may be another thread's file.)
        """
        if self._address.startswith("/"):
            with contextlib.suppress(OSError):
                os.unlink(self._address)
        self._server.task_dispatcher.shutdown(timeout=STOP_SECONDS)
