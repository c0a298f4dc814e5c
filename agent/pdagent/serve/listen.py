"""Listening: a WSGI application served at an address or a Unix socket, within bounds.

This module knows sockets and bounds. It does not know what is served. To import waitress takes 2 MB
and some milliseconds, so this module is imported when something is to listen.
"""

import contextlib
import encodings.idna  # noqa: F401  (else the first look-up of a name imports it, in any thread)
import errno
import ipaddress
import logging
import os
import socket
import stat
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ThreadedTaskDispatcher

from pdagent import threads
from pdagent.serve.crowd import Bounds, Channel, Crowd
from pdagent.serve.visitors import guarded

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from pdagent.serve.encryption import Encryption

log = logging.getLogger("main")

HEADER_BYTES = 16_384
LARGE_BYTES = 16_384  # the events of tools have a few thousand
STOP_SECONDS = 5


def is_local(address: str) -> bool:
    """Whether only this host can reach the address, "HOST:PORT" or a Unix socket's path."""
    return address.startswith("/") or ipaddress.ip_address(_halves(address)[0]).is_loopback


def are_one(address: str, other: str) -> bool:
    """Whether nobody can listen at one of the addresses while somebody listens at the other."""
    if address.startswith("/") or other.startswith("/"):
        return address == other
    (host, port), (other_host, other_port) = _halves(address), _halves(other)
    ips = ipaddress.ip_address(host), ipaddress.ip_address(other_host)
    if port != other_port or ips[0].version != ips[1].version:
        return False
    return ips[0] == ips[1] or any(ip.is_unspecified for ip in ips)


def open_socket(address: str) -> socket.socket:
    """A socket bound to the address. Raises OSError."""
    if address.startswith("/"):
        return _open_unix(address)
    host, port = _halves(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:  # Python's words repeat the address, as it looks in Python
        raise OSError(error.errno, os.strerror(error.errno or 0)) from error


def _halves(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _open_unix(path: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    try:
        if _is_abandoned(path):
            os.unlink(path)
        found.bind(path)
        os.chmod(path, 0o666)  # noqa: S103  (everybody may run pd-send, so everybody may connect)
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


def _file_at(address: str) -> tuple[int, int] | None:
    """The file of a Unix socket, by device and inode; None if there is none."""
    if not address.startswith("/"):
        return None
    try:
        found = os.lstat(address)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class _Dispatcher(ThreadedTaskDispatcher):
    """waitress's dispatcher, which also goes on if the system gives it fewer threads. Requests with
    large bodies have a line of their own and `threads_of_large` threads. Each takes as long as a
    hundred small ones, so a client with many would keep all others waiting. In that line peers take
    turns, and one peer has half of the threads."""

    def __init__(self, threads_of_large: int) -> None:
        super().__init__()
        self._left_to_large = threads_of_large
        self._most_of_one = max(1, threads_of_large // 2)
        # Those that wait, by peer. The peer that comes first has the next turn.
        self._large: dict[str | int, deque[_Large]] = {}
        self._served: Counter[str | int] = Counter()  # how many of a peer have a thread

    def add_task(self, task: Any) -> None:  # a channel, whose first request is to be answered
        if task.requests[0].body_bytes_received <= LARGE_BYTES:
            super().add_task(task)
            return
        with self.lock:
            self._large.setdefault(task.peer, deque()).append(_Large(task, self._end_large))
        self._begin_large()

    def _begin_large(self) -> None:
        with self.lock:
            peer = next((p for p in self._large if self._served[p] < self._most_of_one), None)
            if peer is None or not self._left_to_large:
                return
            self._left_to_large -= 1
            self._served[peer] += 1
            line = self._large.pop(peer)
            task: Any = line.popleft()
            if line:
                self._large[peer] = line
        super().add_task(task)

    def _end_large(self, peer: str | int) -> None:
        with self.lock:
            self._left_to_large += 1
            self._served[peer] -= 1
            self._served += Counter()  # which leaves out those of 0
        self._begin_large()

    def start_new_thread(self, target: Callable[[int], object], thread_no: int) -> None:
        # Called with the lock held, behind `threads.add` and before `active_count += 1`.
        if threads.start(lambda: target(thread_no), f"waitress-{thread_no}") is None:
            self.threads.discard(thread_no)
            self.active_count -= 1


class _Large:
    """A request with a large body, as a task of the dispatcher's. `then` is called after it, with
    its peer."""

    def __init__(self, channel: Channel, then: Callable[[str | int], None]) -> None:
        self._channel = channel
        self._then = then

    def service(self) -> None:
        try:
            self._channel.service()
        finally:
            self._then(self._channel.peer)

    def cancel(self) -> None:
        self._channel.cancel()


class Listener:
    """Serves `app` at `address`, in threads of its own, from construction until `close`, with TLS
    if there is an `encryption`. `turned_away` is told the status of each answer that `app` did not
    give. Raises OSError when it can't."""

    def __init__(
        self,
        address: str,
        app: "WSGIApplication",
        bounds: Bounds,
        encryption: "Encryption | None" = None,
        turned_away: Callable[[int], object] = lambda _: None,
    ) -> None:
        logging.getLogger("waitress").setLevel(logging.ERROR)  # it warns of every request in line
        self._address = address
        self._socket = bound = open_socket(address)
        self._file = _file_at(address)
        self._crowd = Crowd(bounds, turned_away)
        self._map: dict[int, Any] = {}
        server = create_server(
            guarded(app, address.startswith("/") or not is_local(address), turned_away),
            map=self._map,
            _dispatcher=_Dispatcher(max(1, bounds.threads // 4)),
            sockets=[bound],
            threads=bounds.threads,
            ident="pdagent",
            # The crowd closes connections before this bound, except those that are being served.
            connection_limit=bounds.connections + 16,
            max_request_body_size=bounds.body_bytes,
            max_request_header_size=HEADER_BYTES,
            inbuf_overflow=bounds.body_bytes + 1,  # bodies are small enough for memory
            asyncore_use_poll=True,
            log_socket_errors=False,
        )
        assert isinstance(server, BaseWSGIServer)  # one socket, one server
        channel: Any = Channel if encryption is None else encryption.channel
        server.channel_class = partial(channel, self._crowd)  # type: ignore[assignment]
        self._crowd.channels = server.active_channels  # type: ignore[assignment]
        self._server = server
        # If the port in the address is 0, the kernel has chosen one.
        self.port = 0 if address.startswith("/") else int(bound.getsockname()[1])
        self._thread: threads.Thread | None = None
        self.tend()

    def tend(self) -> None:
        """Called once in a while: asks again for threads that the system did not give, or that have
        died, and makes a socket anew whose file somebody removed. Raises OSError."""
        if _file_at(self._address) != self._file:
            self._bind_anew()
        self._server.task_dispatcher.set_thread_count(self._server.adj.threads)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threads.start(self._run, "Listener")

    def _bind_anew(self) -> None:
        with open_socket(self._address) as bound:
            bound.setblocking(False)
            bound.listen(self._server.adj.backlog)
            # The number stays the same, for the loop. It still waits at the old socket.
            os.dup2(bound.fileno(), self._socket.fileno(), inheritable=False)
        self._file = _file_at(self._address)
        self._server.pull_trigger()
        log.error("the socket %s was removed: made anew", self._address)

    def _run(self) -> None:
        while self._map:
            wasyncore.loop(self._crowd.seconds_left(), use_poll=True, map=self._map, count=1)
            self._crowd.close_late()

    def close(self) -> None:
        """Answers the requests that are being worked on, and no others.

        The process ends after this, and the sockets stay open until then. (waitress closes the
        descriptor that wakes it up twice. The second time it may be another thread's file.)
        """
        # Where somebody removed it, another process may listen there by now.
        if self._file is not None and _file_at(self._address) == self._file:
            with contextlib.suppress(OSError):
                os.unlink(self._address)
        self._server.task_dispatcher.shutdown(timeout=STOP_SECONDS)
