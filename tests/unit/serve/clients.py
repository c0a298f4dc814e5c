"""What listens, and its clients, with TLS and without."""

import http.client
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pdagent.serve.crowd import Bounds
from pdagent.serve.encryption import Encryption
from pdagent.serve.listen import Listener
from tests.support.events_api.certificates import CertificateAuthority

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Tls:
    """Whether what listens speaks TLS in this test, and with what."""

    def __init__(self) -> None:
        self.on = False
        self.context = CertificateAuthority().context()
        self.client = ssl.create_default_context()
        self.client.check_hostname, self.client.verify_mode = False, ssl.CERT_NONE


TLS = Tls()


BOUNDS = Bounds(body_bytes=1000, connections=20, threads=2, seconds=1)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def echo(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@contextmanager
def listening(
    address: str = "127.0.0.1:0",
    bounds: Bounds = BOUNDS,
    app: "WSGIApplication" = echo,
    turned_away: Callable[[int], object] = lambda _: None,
) -> Iterator[Listener]:
    encryption = Encryption(TLS.context) if TLS.on else None
    listener = Listener(address, app, bounds, encryption, turned_away)
    yield listener
    listener.close()


def connect(listener: Listener) -> socket.socket:
    return to("127.0.0.1", listener)


def to(host: str, listener: Listener) -> socket.socket:
    made = socket.create_connection((host, listener.port), timeout=20)
    return TLS.client.wrap_socket(made) if TLS.on else made


def client(listener: Listener) -> http.client.HTTPConnection:
    if TLS.on:
        return http.client.HTTPSConnection(
            "127.0.0.1", listener.port, timeout=20, context=TLS.client
        )
    return http.client.HTTPConnection("127.0.0.1", listener.port, timeout=20)


def is_cut_off(connection: socket.socket) -> bool:
    try:
        return connection.recv(100) == b""
    except (ConnectionResetError, ssl.SSLEOFError):  # what it had sent was not read to its end
        return True


def post(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes]:
    connection.request("POST", "/", body)
    response = connection.getresponse()
    return response.status, response.read()
