"""Encryption: TLS for what listens, within the bounds of the crowd.

waitress has no TLS, so its channel speaks TLS here. Libraries that have TLS do not hold the bounds.
cheroot does the handshake in the thread that accepts: one client that connected and said nothing
kept all others out for 30 seconds, and so did 16 slow ones. Besides, it wakes up 120 times a minute
while nothing happens. uvicorn bounds neither slow clients nor bodies.

A handshake never waits: each step takes what has come, in the listener's loop, and costs less than
a millisecond. A client that does not go on counts as one that has not sent its headers yet, and the
crowd closes it like any other. Renegotiation, which a client could repeat without end, is off.

OpenSSL gets one record at a time. From a socket it would read until there is something to read for
us: a client that changes its keys without end (KeyUpdate), or asks for renegotiation, would have
kept the loop there for as long as it liked.
"""

import contextlib
import logging
import socket
import ssl
import stat
import threading
import time
from typing import Any

from waitress.task import WSGITask

from pdagent.config import Config
from pdagent.serve.crowd import CERTIFICATE, Channel, Crowd
from pdagent.shown import printable
from pdagent.wire import pem

log = logging.getLogger("pdagent.endpoint")

RECORD_BYTES = 16_384  # of data; in TLS 1.2 a record may have 2,048 more
_HEAD_BYTES = 5
# Records of one connection without data in them: its handshake has ten, and it hardly needs others.
DATALESS_MOST = 100
SAID_SECONDS = 60.0
_NAME_CHARS = 100


class BadCertificate(Exception):
    """The files for TLS can't be used; the text says why, by setting, file and remedy."""


def context(settings: Config) -> ssl.SSLContext:
    """A context by the settings `listen_cert`, `listen_key` and `listen_client_ca`. Raises
    BadCertificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    made.num_tickets = 0  # our own clients keep their connections
    key = settings.listen_key or settings.listen_cert
    name = "listen_key" if settings.listen_key else "listen_cert"
    _see_readable("listen_cert", settings.listen_cert)
    if _see_readable(name, key) & stat.S_IROTH:
        raise BadCertificate(
            f"{name} = {key}: every user can read this private key: "
            f"chgrp pdagent {key}; chmod 640 {key}"
        )
    try:
        made.load_cert_chain(settings.listen_cert, key, password=_no_password)
    except OSError as error:  # ssl.SSLError is one; a file may have gone since it was looked at
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            why = f"is not the private key of the certificate in {settings.listen_cert}"
            raise BadCertificate(f"{name} = {key}: {why}") from error
        raise BadCertificate(
            f"listen_cert = {settings.listen_cert}, listen_key = {settings.listen_key}: they must "
            "hold a certificate and its private key, without a password, in PEM form"
        ) from error
    if settings.listen_client_ca:
        path = settings.listen_client_ca
        _see_readable("listen_client_ca", path)
        try:
            made.load_verify_locations(path)
        except OSError as error:
            why = "it must hold certificates of authorities in PEM form"
            raise BadCertificate(f"listen_client_ca = {path}: {why}") from error
        made.verify_mode = ssl.CERT_REQUIRED
    return made


def _no_password() -> str:
    return ""  # without this, OpenSSL would ask at the terminal


def _see_readable(name: str, path: str) -> int:
    """The file's mode. Raises BadCertificate."""
    remedy = "name a file in PEM form that the user pdagent can read"
    try:
        return pem.mode_of(path)
    except OSError as error:
        raise BadCertificate(f"{name} = {path}: {error.strerror}: {remedy}") from error


class Encryption:
    """What new connections are encrypted with. Older ones go on after `renew`, unless clients have
    to show certificates: a certificate counts for as long as its authority does."""

    def __init__(self, made: ssl.SSLContext) -> None:
        self._context = made
        self._said_at = float("-inf")

    def renew(self, made: ssl.SSLContext) -> None:
        """New connections are encrypted with this context from now on."""
        self._context = made

    def is_over(self, made: ssl.SSLContext) -> bool:
        """Whether nothing more may come over a connection of this context."""
        return made is not self._context and self._context.verify_mode is ssl.CERT_REQUIRED

    def channel(
        self, crowd: Crowd, server: object, connection: socket.socket, *args: Any, **kwargs: Any
    ) -> None:
        """waitress calls this for each connection that it has accepted."""
        EncryptedChannel(self, self._context, crowd, server, connection, *args, **kwargs)

    def say(self, peer: str | int, error: OSError) -> None:
        """A handshake failed. Anyone can make that happen, so it is said once a minute."""
        now = time.monotonic()
        if now - self._said_at < SAID_SECONDS:
            return
        self._said_at = now
        why = getattr(error, "verify_message", "") or getattr(error, "reason", "") or error.strerror
        log.warning("no TLS with %s: %s", peer, str(why or error).replace("_", " ").lower())


class _Nothing(Exception):
    """No data has come: only a part of a TLS record, or a record that has none."""


class _Task(WSGITask):
    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        assert isinstance(self.channel, EncryptedChannel)
        environ[CERTIFICATE] = self.channel.certificate
        return environ


class EncryptedChannel(Channel):
    """A connection that speaks TLS. The loop and one worker may use it at the same time. OpenSSL
    allows only one of them, so each use of it holds the lock. None of them waits, or closes the
    connection: that needs waitress's lock, which the worker holds while it sends."""

    task_class = _Task
    certificate = ""  # the name in the client's certificate, if it had to show one

    def __init__(
        self, encryption: Encryption, made: ssl.SSLContext, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._encryption = encryption
        self._speaking = threading.Lock()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = made.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._record = bytearray()  # what has come of the next one
        self._dataless = 0
        self._left = b""  # what is encrypted, and the kernel has not taken yet
        self._written = 0  # how many bytes of an answer are in that
        self._is_agreed = False  # True once the handshake is done
        self._has_failed = False  # True once the handshake has failed

    def writable(self) -> bool:
        return bool(self._left and not self.is_served) or bool(super().writable())

    def handle_read(self) -> None:
        if self._has_failed:
            self._drain()
            return
        if not self._is_agreed:
            self._shake_hands()
            return
        if self._encryption.is_over(self._tls.context):
            self.will_close = True
            return
        with contextlib.suppress(_Nothing):
            super().handle_read()

    def handle_write(self) -> None:
        with self._speaking:
            self._flush()
        super().handle_write()

    def _shake_hands(self) -> None:
        # No worker has this connection yet, so this needs no lock.
        while not (self._is_agreed or self.will_close) and self._take_record():
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._count_dataless()
            except OSError as error:
                self._encryption.say(self.peer, error)
                self._fail()
                return
            else:
                self._is_agreed = True
                self.certificate = _name(self._tls)
            self._flush()

    def _fail(self) -> None:
        # OpenSSL tells the client why. If the connection were closed now, with something unread, it
        # would be reset, and the client might not read that. So the client closes it, or the crowd.
        self._flush()
        self._has_failed = True
        assert self.socket is not None
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            super().recv(RECORD_BYTES)  # closes the connection at its end

    def recv(self, buffer_size: int) -> bytes:  # noqa: ARG002  (a record is the client's measure)
        if not self._take_record():
            raise _Nothing
        with self._speaking:
            try:
                data = self._tls.read(RECORD_BYTES)
            except ssl.SSLWantReadError:
                self._count_dataless()
                raise _Nothing from None
            # Any other error closes the connection.
            finally:
                self._flush()
        if not data:  # the client has said that it is done
            self.handle_close()
        return data

    def send(self, data: bytes, do_close: bool = True) -> int:  # noqa: ARG002  (the loop closes)
        with self._speaking:
            if not self._written:
                self._written = self._tls.write(data[:RECORD_BYTES])
            if not self._flush():
                return 0  # and waitress comes with the same data again
            written, self._written = self._written, 0
            return written

    def _take_record(self) -> bool:
        """Hands OpenSSL the next record, if all of it has come."""
        while missing := _missing(self._record):
            try:
                part = super().recv(missing)
            except BlockingIOError:
                return False
            if not part:
                return False  # the connection is closed
            self._record += part
        self._incoming.write(self._record)
        self._record.clear()
        return True

    def _count_dataless(self) -> None:
        self._dataless += 1
        if self._dataless > DATALESS_MOST:
            self.will_close = True

    def _flush(self) -> bool:
        """Sends what OpenSSL has written, as far as the kernel takes it. Whether it took all."""
        self._left += self._outgoing.read()
        while self._left:
            sent = super().send(self._left, do_close=False)
            if not sent:
                return False
            self._left = self._left[sent:]
        return True


def _missing(record: bytearray) -> int:
    """How many bytes have to come before OpenSSL has something to do. What can't be a record of TLS
    is complete: OpenSSL says so to the client."""
    have = len(record)
    if have < _HEAD_BYTES:
        return _HEAD_BYTES - have
    size = int.from_bytes(record[3:_HEAD_BYTES], "big")
    if record[1] != 3 or size > RECORD_BYTES + 2048:
        return 0
    return _HEAD_BYTES + size - have


def _name(connection: ssl.SSLObject) -> str:
    """The common name in the client's certificate, or else the first of its other names."""
    shown: Any = connection.getpeercert() or {}
    subject = [pair for part in shown.get("subject", ()) for pair in part]
    common = [value for name, value in subject if name == "commonName"]
    others = [value for _, value in (*shown.get("subjectAltName", ()), *subject)]
    return printable(str(next(iter([*common, *others]), "")))[:_NAME_CHARS]
