"""A server without an HTTP library, for conversations that none would have."""

import contextlib
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from typing import Any

ACCEPTED = b'{"status":"success","message":"Event processed","dedup_key":"a"}'
OK = b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n" % len(ACCEPTED) + ACCEPTED


class RawServer(socketserver.ThreadingTCPServer):
    """Hands each connection to `handler`. `port` 0 takes a free one. With `tls` it speaks that."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, handler: type["Conversation"], port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.requests = self.connections = 0
        self.tls = tls

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def process_request(self, *given: Any) -> None:
        self.connections += 1
        super().process_request(*given)

    def handle_error(self, *_: object) -> None:
        """Clients that go away, or that don't trust us, are a test's business."""


class Conversation(socketserver.BaseRequestHandler):
    """One connection to a RawServer. `event` is what the last request held."""

    event: dict[str, Any]

    def setup(self) -> None:
        assert isinstance(self.server, RawServer)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.server.tls is not None:  # in this thread: others are served meanwhile
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)

    def finish(self) -> None:
        with contextlib.suppress(OSError):  # one that is wrapped is nobody else's to close
            self.request.close()

    def read(self) -> bool:
        """Reads one request; False at the end of the connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = self.request.recv(65_536)
            if not part:
                return False
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += self.request.recv(65_536)
        with contextlib.suppress(ValueError):
            self.event = json.loads(body)
        assert isinstance(self.server, RawServer)
        self.server.requests += 1
        return True

    def reset(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@contextlib.contextmanager
def serving(
    handler: type[Conversation], port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[RawServer]:
    """Such a server, in a thread of its own."""
    with RawServer(handler, port, tls) as server:
        # It looks so often whether it is to end, and each test waits for that.
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@contextlib.contextmanager
def black_hole(host: str, port: int = 0) -> Iterator[int]:
    """A port at which nobody answers, not even the kernel: its queue of connections is full."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket(family))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        address = listener.getsockname()[:2]
        while True:
            client = sockets.enter_context(socket.socket(family))
            client.settimeout(0.2)
            if client.connect_ex(address):
                break
        yield address[1]
