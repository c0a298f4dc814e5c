"""What listens speaks TLS, and no peer can make it wait by way of TLS. `test_crowd` shows how many
connections are open at a time, with TLS and without."""

import ctypes
import ctypes.util
import http.client
import os
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdagent.config import Config
from pdagent.serve.crowd import CERTIFICATE, Bounds
from pdagent.serve.encryption import DATALESS_MOST, BadCertificate, Encryption, context
from pdagent.serve.listen import Listener
from tests.support.agent import wait_until
from tests.support.events_api.certificates import CertificateAuthority

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BOUNDS = Bounds(body_bytes=1_000_000, connections=50, threads=2, seconds=2, header_seconds=2)
CA = CertificateAuthority()
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def echo(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
    body = environ["wsgi.input"].read() or environ[CERTIFICATE].encode()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    """With a certificate for this host."""
    cert, key = CA.files(str(tmp_path), "127.0.0.1")
    return Config({"listen_cert": cert, "listen_key": key})


@contextmanager
def listening(settings: Config, bounds: Bounds = BOUNDS) -> Iterator[Listener]:
    listener = Listener("127.0.0.1:0", echo, bounds, Encryption(context(settings)))
    yield listener
    listener.close()


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CA.ca_file)


def client(listener: Listener, tls: ssl.SSLContext | None = None) -> http.client.HTTPSConnection:
    tls = tls or trusting()
    return http.client.HTTPSConnection("127.0.0.1", listener.port, timeout=20, context=tls)


def ask(listener: Listener, tls: ssl.SSLContext | None = None, body: bytes = b"") -> bytes:
    return ask_over(client(listener, tls), body)


def is_served(listener: Listener) -> bool:
    """Whether a client gets its answer. On a busy machine it may be slow itself, and cut off."""
    try:
        return ask(listener, body=b"x") == b"x"
    except OSError:
        return False


def ask_over(connection: http.client.HTTPConnection, body: bytes) -> bytes:
    connection.request("POST", "/", body)
    return connection.getresponse().read()


def until_cut_off(connection: socket.socket, piece: bytes = b"") -> bool:
    """Sends a piece now and then, until the other side has had enough."""
    connection.settimeout(0.05)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if piece:
                connection.send(piece)
            if not connection.recv(100):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_bodies_come_and_go(settings: Config, version: ssl.TLSVersion) -> None:
    """Many records of TLS, in pieces that are not the sockets' own."""
    tls = trusting()
    tls.minimum_version = tls.maximum_version = version
    body = bytes(range(256)) * 3000
    with listening(settings) as listener:
        assert ask(listener, tls, body) == body


def test_a_client_that_sends_all_at_once(settings: Config) -> None:
    """Two requests in one record: nothing stays in OpenSSL while the loop waits for the socket."""
    with (
        listening(settings) as listener,
        socket.create_connection(("127.0.0.1", listener.port), timeout=20) as plain,
        trusting().wrap_socket(plain, server_hostname="127.0.0.1") as both,
    ):
        both.sendall(GET + GET)
        answers = b""
        while answers.count(b"200 OK") < 2:
            part = both.recv(1000)
            assert part
            answers += part


def test_old_versions_are_refused(settings: Config) -> None:
    """A client that speaks TLS 1.1 at most is cut off, and others are served."""
    tls = trusting()
    tls.set_ciphers("DEFAULT@SECLEVEL=0")
    tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with listening(settings) as listener:
        with pytest.raises(OSError, match=r"(?i)protocol|alert|closed|reset"):
            ask(listener, tls)
        wait_until(lambda: is_served(listener))


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b""),  # silent
        (b"", b"\x16"),  # slow: no first record
        (b"\x16\x03\x01\x02\x00\x01\x00", b"\x01"),  # slow: within one
        (b"GET / HTTP/1.1\r\n\r\n", b""),  # plain HTTP
        (b"\x00" * 5000, b"\xff" * 100),  # nothing
        (b"\x80\x2e\x01\x00\x02", b""),  # SSL 2
        (b"\x16\x03\x01\xff\xff", b""),  # a record that is too large
        (b"\x15\x03\x01\x00\x02\x02\x28", b""),  # an alert, where a greeting should be
    ],
)
def test_who_does_not_shake_hands_is_cut_off(settings: Config, start: bytes, piece: bytes) -> None:
    """And keeps nobody waiting meanwhile: not even 20 of them do."""
    with listening(settings) as listener:
        strangers = [
            socket.create_connection(("127.0.0.1", listener.port), timeout=20) for _ in range(20)
        ]
        for stranger in strangers:
            stranger.sendall(start)
        wait_until(lambda: is_served(listener))
        assert until_cut_off(strangers[0], piece)
        for stranger in strangers:
            stranger.close()


def test_half_closed(settings: Config) -> None:
    """Within the handshake, and behind it."""
    with listening(settings) as listener:
        stranger = socket.create_connection(("127.0.0.1", listener.port), timeout=20)
        stranger.sendall(b"\x16\x03\x01")
        stranger.shutdown(socket.SHUT_WR)
        assert until_cut_off(stranger)
        plain = socket.create_connection(("127.0.0.1", listener.port), timeout=20)
        met = trusting().wrap_socket(plain, server_hostname="127.0.0.1")
        met.sendall(b"POST / HT")
        met.shutdown(socket.SHUT_WR)
        assert until_cut_off(met)
        wait_until(lambda: is_served(listener))


def test_huge_headers(settings: Config) -> None:
    """A request whose headers are too long is refused, and others are served."""
    with listening(settings) as listener:
        connection = client(listener)
        connection.putrequest("GET", "/")
        connection.putheader("X-Large", "x" * 100_000)
        try:
            connection.endheaders()
            assert connection.getresponse().status == 431
        except OSError:
            pass  # cut off before it was read
        wait_until(lambda: is_served(listener))


def test_thousands_of_connections(settings: Config) -> None:
    """One after the other, greeted or not: others are served, and none is left over."""
    with listening(settings) as listener:
        held = []
        for number in range(2000):
            held.append(socket.create_connection(("127.0.0.1", listener.port), timeout=20))
            if number % 500 == 0:
                wait_until(lambda: is_served(listener))
            if len(held) > 200:
                held.pop(0).close()
        wait_until(lambda: is_served(listener))
        for connection in held:
            connection.close()


def test_no_renegotiation(settings: Config) -> None:
    """A client could have it done without end."""
    made = context(settings)
    assert made.options & ssl.OP_NO_RENEGOTIATION


def answer_after(changes: int, listener: Listener) -> bytes:
    """What a client gets that changes its keys so often before it asks. Python can't do that."""
    found = ctypes.CDLL(ctypes.util.find_library("ssl"))
    for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
        getattr(found, name).restype = ctypes.c_void_p
    settings = ctypes.c_void_p(found.SSL_CTX_new(ctypes.c_void_p(found.TLS_client_method())))
    tls = ctypes.c_void_p(found.SSL_new(settings))
    answer = ctypes.create_string_buffer(1000)
    with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as plain:
        plain.setblocking(True)
        found.SSL_set_fd(tls, plain.fileno())
        assert found.SSL_connect(tls) == 1
        for _ in range(changes):
            found.SSL_key_update(tls, 0)
            found.SSL_do_handshake(tls)
        found.SSL_write(tls, GET, len(GET))
        size = found.SSL_read(tls, answer, 1000)
    found.SSL_free(tls)
    found.SSL_CTX_free(settings)
    return answer.raw[: max(0, size)]


def test_who_changes_keys_without_end_is_cut_off(settings: Config) -> None:
    """OpenSSL would be busy with that for as long as the client likes, and with nobody else."""
    bounds = replace(BOUNDS, seconds=3600, header_seconds=3600)
    with listening(settings, bounds) as listener:
        assert answer_after(DATALESS_MOST // 2, listener).startswith(b"HTTP/1.1 200")
        assert answer_after(2 * DATALESS_MOST, listener) == b""
        assert is_served(listener)


def test_a_client_certificate(settings: Config, tmp_path: Path) -> None:
    """One of the right authority's lets in, and gives a name; none, another's or an old one do
    not."""
    settings.listen_client_ca = CA.ca_file
    old = datetime.now(UTC) - timedelta(days=1)
    with listening(settings) as listener:
        tls = trusting()
        tls.load_cert_chain(*CA.files(str(tmp_path), "web1"))
        assert ask(listener, tls) == b"web1"
        others = [
            None,
            CertificateAuthority().files(str(tmp_path), "web2"),
            CA.files(str(tmp_path), "web3", until=old),
        ]
        for files in others:
            tls = trusting()
            if files:
                tls.load_cert_chain(*files)
            with pytest.raises(OSError, match="alert"):
                ask(listener, tls)


def test_a_new_certificate(settings: Config, tmp_path: Path) -> None:
    """New connections get it, and those that are there go on."""
    encryption = Encryption(context(settings))
    listener = Listener("127.0.0.1:0", echo, BOUNDS, encryption)
    before = client(listener)
    assert ask_over(before, b"1") == b"1"
    other = CertificateAuthority()
    cert, key = other.files(str(tmp_path), "127.0.0.1")
    encryption.renew(context(Config({"listen_cert": cert, "listen_key": key})))
    assert ask_over(before, b"2") == b"2"
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(listener)
    assert ask(listener, ssl.create_default_context(cafile=other.ca_file), b"3") == b"3"
    listener.close()


def test_an_authority_that_counts_no_longer(settings: Config, tmp_path: Path) -> None:
    """Nothing more comes over a connection that it let in. Others show their certificates anew."""
    other = CertificateAuthority()
    settings.listen_client_ca = other.ca_file
    encryption = Encryption(context(settings))
    listener = Listener("127.0.0.1:0", echo, BOUNDS, encryption)
    tls = trusting()
    tls.load_cert_chain(*other.files(str(tmp_path), "web1"))
    before = client(listener, tls)
    assert ask_over(before, b"1") == b"1"
    settings.listen_client_ca = CA.ca_file
    encryption.renew(context(settings))
    with pytest.raises(OSError, match=r"(?i)closed|reset|eof|broken"):
        ask_over(before, b"2")
    with pytest.raises(OSError, match="alert"):
        ask(listener, tls)
    tls = trusting()
    tls.load_cert_chain(*CA.files(str(tmp_path), "web2"))
    assert ask(listener, tls) == b"web2"
    listener.close()


def test_files_that_are_no_use(settings: Config, tmp_path: Path) -> None:
    """Each is named, with its setting; a private key that all can read is none."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    bad = tmp_path / "bad.pem"
    bad.write_text("nothing")
    bad.chmod(0o600)
    other, _ = CertificateAuthority().files(str(tmp_path), "other")
    good = {"listen_cert": settings.listen_cert, "listen_key": settings.listen_key}
    for changed, said in [
        ({"listen_cert": "/nowhere"}, r"listen_cert = /nowhere: No such file"),
        ({"listen_cert": str(pipe)}, r"listen_cert = .*pipe: it is not a regular file"),
        ({"listen_cert": "/proc/self/mem"}, r"listen_cert = /proc/self/mem, .*PEM form"),
        ({"listen_client_ca": "/proc/self/mem"}, r"listen_client_ca = .*mem: it must hold"),
        ({"listen_key": "/nowhere"}, r"listen_key = /nowhere: No such file"),
        ({"listen_cert": str(bad)}, r"bad.pem, .*PEM form"),
        ({"listen_key": str(bad)}, r"bad.pem: .*PEM form"),
        ({"listen_cert": other}, r"listen_key = .* is not the private key of .*other"),
        ({"listen_client_ca": str(bad)}, r"listen_client_ca = .*bad.pem: it must hold"),
    ]:
        with pytest.raises(BadCertificate, match=said):
            context(Config({**good, **changed}))
    Path(settings.listen_key).chmod(0o644)
    with pytest.raises(BadCertificate, match="every user can read this private key"):
        context(settings)
