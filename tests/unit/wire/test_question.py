"""Whether PagerDuty is reached is asked by an empty event, and who answers in its words is it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pdagent.config import Config
from pdagent.wire.post import Post
from pdagent.wire.question import Answer, ask
from pdagent.wire.verdict import Refused, Unreachable
from tests.support.events_api import CertificateAuthority
from tests.support.raw_server import Conversation, RawServer, serving

WORDS = b'{"status":"invalid event","message":"x","errors":["y"]}'


def answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


@contextmanager
def saying(text: bytes, authority: CertificateAuthority | None = None) -> Iterator[RawServer]:
    class Parrot(Conversation):
        def handle(self) -> None:
            while self.read():
                self.server.asked = self.event  # type: ignore[attr-defined]
                self.request.sendall(text)

    with serving(Parrot, tls=authority.context() if authority else None) as server:
        yield server


def asked(server: RawServer, **settings: str) -> Answer:
    config = Config({"events_url": server.url, **settings})
    return ask(config, Post(time.monotonic() + 60))


def test_pagerdutys_words() -> None:
    """It refuses the empty event, and so is there."""
    with saying(answer(400, WORDS)) as server:
        found = asked(server)
        assert (found.status, found.stage, found.why) == (400, "", "")
        assert found.verdict == Refused(400, "x; y")
        assert server.asked == {}  # type: ignore[attr-defined]


def test_somebody_elses_words() -> None:
    """A page, or whoever finds two bytes too large."""
    with saying(answer(200, b"<html>")) as server:
        found = asked(server)
        assert (found.status, found.stage) == (200, "answer")
        assert isinstance(found.verdict, Unreachable)
    with saying(answer(413, b"")) as server:
        found = asked(server)
        assert (found.stage, found.why) == ("answer", "answered 413 to an empty event")


def test_no_answer() -> None:
    """How far it got, and why not further."""
    found = ask(Config({"events_url": "http://127.0.0.1:1"}), Post(time.monotonic() + 60))
    assert (found.status, found.stage) == (None, "connection")
    assert found.why == "PagerDuty at 127.0.0.1:1: Connection refused"


def test_the_certificate() -> None:
    """Who issued it, and how long it is good for."""
    authority = CertificateAuthority()
    with saying(answer(400, WORDS), authority) as server:
        found = asked(server, ca_file=authority.ca_file).certificate
        assert found is not None
        assert found.version.startswith("TLSv1.")
        assert found.expires > time.time()


def test_without_tls_there_is_none() -> None:
    """Nothing is said of it."""
    with saying(answer(400, WORDS)) as server:
        assert asked(server).certificate is None
