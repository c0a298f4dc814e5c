"""Other ends of a connection, for tests, and connections to them."""

import contextlib
import socket
import threading
import time

import pytest

from pdagent.config import Config
from pdagent.wire.connections import Connection, Target, Tls, Unreached
from pdagent.wire.post import Post
from pdagent.wire.proxy import Proxy
from tests.support.raw_server import OK, Conversation

REQUEST = b"POST /v2/enqueue HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


class Away:
    """How often somebody went away, and whether he is now. Nobody goes away twice."""

    def __init__(self) -> None:
        self.times = 0
        self.is_on = False

    def __enter__(self) -> None:
        assert not self.is_on
        self.times += 1
        self.is_on = True

    def __exit__(self, *_: object) -> None:
        self.is_on = False

    def post(self) -> Post:
        return Post(time.monotonic() + 60.0, away=self)


class Polite(Conversation):
    """Answers each request."""

    def handle(self) -> None:
        while self.read():
            self.request.sendall(OK)


def to(url: str, proxy: Proxy | None = None, **settings: str) -> Connection:
    return Connection(Target(url), proxy, "", Tls(Config(dict(settings))))


def soon(seconds: float = 60.0) -> Post:
    return Post(time.monotonic() + seconds)


class Silent(Conversation):
    """It reads the request, and never answers."""

    def handle(self) -> None:
        self.read()
        self.request.recv(1)


def stage(connection: Connection, post: Post | None = None) -> tuple[str, str]:
    """How far it got, and why not further."""
    with pytest.raises(Unreached) as caught:
        connection.open(post or soon())
    connection.close()
    return caught.value.stage, str(caught.value)


class Passing(Conversation):
    """A proxy that makes a tunnel to wherever it is asked for."""

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(1)
        port = int(head.split()[1].rpartition(b":")[2])
        with socket.create_connection(("127.0.0.1", port)) as beyond:
            self.request.sendall(b"HTTP/1.1 299 Fine\r\n\r\n")
            back = threading.Thread(target=self.pass_on, args=(beyond, self.request))
            back.start()
            self.pass_on(self.request, beyond)
            back.join()

    def pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class Mute(Conversation):
    """Reads, and says nothing."""

    def handle(self) -> None:
        while self.request.recv(65_536):
            pass
