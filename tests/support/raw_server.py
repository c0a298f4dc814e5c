"""A server without an HTTP library, for conversations that none would have."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

ACCEPTED = b'{"status":"success","message":"Event processed","dedup_key":"a"}'
OK = b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n" % len(ACCEPTED) + ACCEPTED


class RawServer(socketserver.ThreadingTCPServer):
    """Hands each connection to `handler`. `port` 0 takes a free one."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, handler: type["Conversation"], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Conversation(socketserver.BaseRequestHandler):
    """One connection to a RawServer."""

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
        assert isinstance(self.server, RawServer)
        self.server.requests += 1
        return True

    def reset(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@contextlib.contextmanager
def serving(handler: type[Conversation], port: int = 0) -> Iterator[RawServer]:
    """Such a server, in a thread of its own."""
    with RawServer(handler, port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
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
