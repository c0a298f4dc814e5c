"""What stands in for `socket` and `ssl`: connections, byte by byte, to a server whose answers a
seed draws. Nothing is encrypted: a TLS handshake fails where the other side has spoken before it,
and succeeds otherwise."""

import json
import math
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.simulation.world import World

# An answer is what comes, and how many seconds after the one before: bytes, an error, or b"", the
# end of the connection.
Item = bytes | OSError
Answer = list[tuple[float, Item]]


class Network:
    """`server` is handed the method, the address and the body of each request that is whole.
    `down`: hosts that refuse connections."""

    AF_INET6, SOCK_STREAM = socket.AF_INET6, socket.SOCK_STREAM
    IPPROTO_TCP, TCP_NODELAY, SHUT_RDWR = socket.IPPROTO_TCP, socket.TCP_NODELAY, socket.SHUT_RDWR
    gaierror = socket.gaierror

    def __init__(self, world: World, server: Callable[[str, str, bytes], Answer]) -> None:
        self.world = world
        self.server = server
        self.down: set[str] = set()

    def getaddrinfo(self, host: str, port: int, type: int) -> list[Any]:
        self.world.wait("getaddrinfo")
        return [(socket.AF_INET, type, 0, "", (host, port))]

    def socket(self, *_: int) -> "Socket":
        return Socket(self)


class Socket:
    def __init__(self, network: Network) -> None:
        self._network = network
        self._world = network.world
        self._timeout: float | None = None
        self._asked = bytearray()
        self._coming: deque[tuple[float, Item]] = deque()
        self._shut = False

    def dup(self) -> "Socket":
        return self  # as far as `shutdown` goes

    def fileno(self) -> int:
        return 0

    def setsockopt(self, *_: int) -> None:
        pass

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def connect(self, address: tuple[str, int]) -> None:
        self._world.wait("connect")
        self._world.sleep(0.01)
        if address[0] in self._network.down:
            raise ConnectionRefusedError(111, "Connection refused")

    def sendall(self, data: bytes) -> None:
        self._world.wait("send")
        end = next(
            (item for at, item in self._coming if at <= self._world.now and _ends(item)), None
        )
        if self._shut or isinstance(end, OSError):
            raise BrokenPipeError(32, "Broken pipe")
        if end is not None:
            return  # nobody reads it
        self._asked += data
        head, whole, rest = bytes(self._asked).partition(b"\r\n\r\n")
        size = int(head.partition(b"Content-Length: ")[2].split()[0]) if b"Length" in head else 0
        if whole and len(rest) >= size:
            self._asked.clear()
            at = max([self._world.now, *(at for at, _ in self._coming)])
            method, address = head.decode().split()[:2]
            for seconds, item in self._network.server(method, address, rest):
                at += seconds
                self._coming.append((at, item))

    def recv(self, size: int) -> bytes:
        deadline = self._world.now + (math.inf if self._timeout is None else self._timeout)
        self._world.wait("receive")
        while True:
            if self._shut:
                return b""
            at = self._coming[0][0] if self._coming else math.inf
            if at <= self._world.now:
                return self._received(size)
            if self._timeout == 0:
                raise BlockingIOError(11, "nothing there")
            if self._world.now >= deadline:
                raise TimeoutError("timed out")
            self._world.wait("bytes", lambda: self._shut, min(at, deadline) - self._world.now)

    def _received(self, size: int) -> bytes:
        at, item = self._coming[0]
        if isinstance(item, OSError):
            raise item
        if not item:
            return b""
        self._coming.popleft()
        if len(item) > size:
            self._coming.appendleft((at, item[size:]))
        return item[:size]

    def do_handshake(self) -> None:
        self._world.wait("handshake")
        self._world.sleep(0.01)
        if self._coming:
            error = ssl.SSLError(1, "wrong version number")
            error.reason = "WRONG_VERSION_NUMBER"
            raise error

    def shutdown(self, _: int) -> None:
        self._shut = True

    def close(self) -> None:
        self._shut = True


class Plain:
    """An `SSLContext`."""

    def wrap_socket(self, sock: Socket, **_: object) -> Socket:
        return sock


def _ends(item: Item) -> bool:
    return not isinstance(item, bytes) or not item


def http(status: int, body: object, *headers: str, length: int | None = None) -> bytes:
    """A whole answer."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    size = len(text) if length is None else length
    lines = [f"HTTP/1.1 {status} Words", f"Content-Length: {size}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + text
