"""Answers: HTTP/1.1 as it comes over a connection, read so that no answer is taken for another's.

The reader is strict where somebody could otherwise choose where an answer ends, and all that the
other side can send is bounded. urllib3 reads with http.client, which takes a 103 for the answer,
and the first of two lengths. This module knows neither sockets nor what an answer means.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

# PagerDuty's answers have a few hundred bytes, and a dozen headers.
HEAD_BYTES = 65_536  # of all heads of one exchange together
HEADERS = 100
INTERIM_ANSWERS = 16
BODY_BYTES = 65_536
_PART_BYTES = 16_384

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: .*)?")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class NoAnswer(Exception):
    """What came is not an answer in HTTP/1.1."""


@dataclass(slots=True)
class Answer:
    """A final answer. `whole`: all of it came. `last`: nothing may follow it on its connection,
    because the connection is to be closed, or the end of the answer is uncertain, or more came
    already. Header names are in lower case."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = True
    last: bool = False


class Reader:
    """Reads from `receive`, which gives b"" at the end, and may raise OSError. After any exception
    of this class the connection has to be closed."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._held = bytearray()
        self._head_left = HEAD_BYTES
        self._version = b""

    @property
    def has_more(self) -> bool:
        """Whether bytes came that are not part of the answer."""
        return bool(self._held)

    def answer(self) -> Answer:
        """The final answer. Raises NoAnswer, OSError."""
        answer = self.head()
        try:
            self._read_body(answer)
        except OSError:  # the status came, which is what matters most
            answer.whole = False
        words = answer.headers.get("connection", "").lower()
        if self._version == b"0" or "close" in words or not answer.whole or self.has_more:
            answer.last = True
        return answer

    def head(self) -> Answer:
        """Status and headers of the final answer. Answers before it, such as a 103, are passed
        over."""
        for _ in range(INTERIM_ANSWERS + 1):
            answer = self._one_head()
            if answer.status == 101:
                raise NoAnswer("answered 101, to speak something else than HTTP")
            if answer.status >= 200:
                return answer
        raise NoAnswer(f"sent more than {INTERIM_ANSWERS} answers that are not final")

    def _one_head(self) -> Answer:
        line = self._line()
        found = _STATUS.fullmatch(line)
        if found is None:
            raise NoAnswer("its answer is not HTTP/1.1")
        self._version = found[1]
        headers: dict[str, str] = {}
        for _ in range(HEADERS + 1):
            line = self._line()
            if not line:
                return Answer(int(found[2]), headers)
            name_part, colon, value_part = line.partition(b":")
            if not colon or not _NAME.fullmatch(name_part):
                raise NoAnswer("its answer has an invalid header")
            name = name_part.decode("ascii").lower()
            value = value_part.strip(b" \t").decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        raise NoAnswer(f"its answer has more than {HEADERS} headers")

    def _read_body(self, answer: Answer) -> None:
        if answer.status in (204, 304):
            return
        coding = answer.headers.get("transfer-encoding")
        length = answer.headers.get("content-length")
        if coding is not None:
            if coding.lower() != "chunked" or self._version == b"0":
                raise NoAnswer("its answer is coded in a way that was not asked for")
            # If there is a length too, two readers could see two different ends.
            answer.last = length is not None
            self._read_chunks(answer)
        elif length is not None:
            lengths = {part.strip() for part in length.split(",")}
            if len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,15}", length := lengths.pop()):
                raise NoAnswer("its answer has an invalid length")
            answer.whole = self._read_into(answer, int(length))
        else:  # the answer ends where its connection ends
            answer.last = True
            answer.whole = not self._read_into(answer, BODY_BYTES + 1)

    def _read_chunks(self, answer: Answer) -> None:
        answer.whole = False
        while True:
            size = re.match(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;|$)", self._line())
            if size is None:
                raise NoAnswer("its answer has an invalid chunk")
            if not int(size[1], 16):
                break
            if not self._read_into(answer, int(size[1], 16)):
                return
            if self._line():
                raise NoAnswer("its answer has a chunk that does not end")
        while self._line():  # trailers are read and ignored
            pass
        answer.whole = True

    def _read_into(self, answer: Answer, size: int) -> bool:
        """Adds `size` bytes to the body. False if fewer came, or if the body is too long."""
        wanted = min(size, BODY_BYTES + 1 - len(answer.body))
        whole = True
        while len(self._held) < wanted and whole:
            whole = self._more()
        part = bytes(self._held[:wanted])
        del self._held[:wanted]
        answer.body += part
        return len(part) == size

    def _line(self) -> bytes:
        start = 0
        while (end := self._held.find(b"\n", start)) < 0:
            start = len(self._held)
            if start > self._head_left:
                break
            if not self._more():
                raise NoAnswer("closed the connection without a whole answer")
        self._head_left -= end + 1
        if end < 0 or self._head_left < 0:
            raise NoAnswer(f"its answer has more than {HEAD_BYTES} bytes of headers")
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        return line.removesuffix(b"\r")

    def _more(self) -> bool:
        part = self._receive(_PART_BYTES)
        self._held += part
        return bool(part)
