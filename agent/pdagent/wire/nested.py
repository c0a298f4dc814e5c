"""TLS within TLS: to PagerDuty, through a proxy that is itself spoken to by TLS."""

import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

_PART_BYTES = 16_384
_Result = TypeVar("_Result")


class Nested:
    """What `Connection` needs of an SSLSocket, over an SSLSocket. Raises what that one raises."""

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, host: str) -> None:
        self._outer = outer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._sslobj = self._tls._sslobj  # type: ignore[attr-defined]  # as in an SSLSocket

    def do_handshake(self) -> None:
        self._do(self._tls.do_handshake)

    def recv(self, size: int) -> bytes:
        try:
            return self._do(lambda: self._tls.read(size))
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    def sendall(self, data: bytes) -> None:
        done = 0
        while done < len(data):
            part = data[done : done + _PART_BYTES]
            done += self._do(partial(self._tls.write, part))

    def _do(self, task: Callable[[], _Result]) -> _Result:
        while True:
            try:
                result = task()
            except ssl.SSLWantReadError:
                self._flush()
                part = self._outer.recv(_PART_BYTES)
                self._incoming.write(part) if part else self._incoming.write_eof()
                continue
            except ssl.SSLError:
                self._flush()  # the alert that says why
                raise
            self._flush()
            return result

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._outer.sendall(data)

    def settimeout(self, seconds: float) -> None:
        self._outer.settimeout(seconds)

    def getpeercert(self) -> Any:
        return self._tls.getpeercert()

    def version(self) -> str | None:
        return self._tls.version()

    def close(self) -> None:
        self._outer.close()
