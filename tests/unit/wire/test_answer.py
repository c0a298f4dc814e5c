"""Answers as bytes: where they end, what may follow, and the bounds on all that may come."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent.wire.answer import (
    BODY_BYTES,
    HEAD_BYTES,
    HEADERS,
    INTERIM_ANSWERS,
    Answer,
    NoAnswer,
    Reader,
)

HEAD = b"HTTP/1.1 202 Accepted\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


def source(
    data: bytes, size: int = 16_384, then: Exception | None = None
) -> Callable[[int], bytes]:
    """Gives the data in pieces, and then the end, or an error."""

    def parts() -> Iterator[bytes]:
        for at in range(0, len(data), size):
            yield data[at : at + size]
        if then is not None:
            raise then
        while True:
            yield b""

    given = parts()
    return lambda _: next(given)


def read(data: bytes, size: int = 16_384, then: Exception | None = None) -> Answer:
    return Reader(source(data, size, then)).answer()


@pytest.mark.parametrize("size", [1, 3, 16_384])
@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize(
    ("data", "body", "last"),
    [
        (HEAD + b"Content-Length: 3\r\n\r\nyes", b"yes", False),
        (HEAD + b"content-length:3 \r\nA: b\r\n\r\nyes", b"yes", False),
        (HEAD + b"Content-Length: 3, 3\r\n\r\nyes", b"yes", False),
        (HEAD + b"Content-Length: 3\r\nConnection: close\r\n\r\nyes", b"yes", True),
        (
            HEAD + b"Transfer-Encoding: Chunked\r\n\r\n1\r\ny\r\n2;x=y\r\nes\r\n0\r\nT: x\r\n\r\n",
            b"yes",
            False,
        ),
        (
            HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ny\r\n0\r\n\r\n",
            b"y",
            True,
        ),
        (HEAD + b"\r\nyes", b"yes", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes", b"yes", True),
        (b"HTTP/1.1 204\r\n\r\n", b"", False),
        (HINTS * 2 + b"HTTP/1.1 100\r\n\r\n" + HEAD + b"Content-Length: 0\r\n\r\n", b"", False),
    ],
)
def test_an_answer(data: bytes, body: bytes, last: bool, newline: bytes, size: int) -> None:
    """Whole, whatever pieces it comes in."""
    answer = read(data.replace(b"\r\n", newline), size)
    assert (answer.body, answer.whole, answer.last) == (body, True, last)
    assert answer.status in (200, 202, 204)


@pytest.mark.parametrize("behind", [b"x", b"\r\n", HINTS, HEAD])
def test_it_is_the_last_if_more_came(behind: bytes) -> None:
    """Bytes that nobody asked for: the connection is not to be used again."""
    assert read(HEAD + b"Content-Length: 3\r\n\r\nyes" + behind).last


@pytest.mark.parametrize("then", [None, TimeoutError(), ConnectionResetError()])
@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"Content-Length: 4\r\n\r\nyes",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nyes",
        HEAD + b"Content-Length: 999999999\r\n\r\n" + b"x" * 200_000,
        HEAD + b"\r\n" + b"x" * 200_000,
    ],
)
def test_half_an_answer(data: bytes, then: Exception | None) -> None:
    """It says its status, that it is not whole, and that nothing follows; and not more of it is
    kept than is wanted."""
    answer = read(data, then=then)
    assert (answer.status, answer.whole, answer.last) == (202, False, True)
    assert len(answer.body) <= BODY_BYTES + 1


def test_reset_before_the_end_of_what_ends_with_the_connection() -> None:
    """The end of a connection is an end; that it breaks is none."""
    assert read(HEAD + b"\r\nyes").whole
    assert not read(HEAD + b"\r\nyes", then=ConnectionResetError()).whole


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/2 202\r\n\r\n",
        b"HTTP/1.1 2\r\n\r\n",
        b"HTTP/1.1 0202 Accepted\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + HEAD + b"\r\n",
        HEAD,
        HEAD + b"Content-Length : 3\r\n\r\nyes",
        HEAD + b" Content-Length: 3\r\n\r\nyes",
        HEAD + b"no header\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nyes",
        HEAD + b"Content-Length: -3\r\n\r\nyes",
        HEAD + b"Content-Length: +3\r\n\r\nyes",
        HEAD + b"Content-Length: 3_0\r\n\r\nyes",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\nyes",
        HEAD + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nyes\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nyes\r\n0\r\n\r\n",
        HINTS * (INTERIM_ANSWERS + 1) + HEAD + b"\r\n",
        HEAD + b"A: b\r\n" * (HEADERS + 1) + b"\r\n",
        HEAD + b"A: " + b" " * HEAD_BYTES + b"\r\n\r\n",
        HEAD + b"A" * 10_000_000,
        (b"HTTP/1.1 103 x\r\nA: " + b"b" * 8000 + b"\r\n\r\n") * 9 + HEAD + b"\r\n",
    ],
)
def test_no_answer(data: bytes) -> None:
    """What is ambiguous, or has no end, is no answer."""
    with pytest.raises(NoAnswer):
        read(data)


_pieces = st.sampled_from(
    [
        HEAD,
        HINTS,
        b"\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"3\r\nyes\r\n0",
    ]
)


@given(st.lists(_pieces | st.binary(max_size=20)).map(b"".join), st.integers(1, 40))
def test_any_bytes(data: bytes, size: int) -> None:
    """They are an answer, or none; and the size of the pieces makes no difference."""

    def outcome(size: int) -> tuple[object, ...]:
        try:
            answer = read(data, size)
        except NoAnswer as error:
            return (str(error),)
        return answer.status, answer.headers, answer.body, answer.whole

    assert outcome(size) == outcome(16_384)
