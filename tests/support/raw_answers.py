"""A server that says whatever it likes between its answers and behind them, and remembers what it
really answered, event by event."""

import contextlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import strategies as st

from tests.support.raw_server import Conversation

HEAD = b"HTTP/1.1 %d Whatever\r\n"
OTHERS = ("somebody else's", "")  # dedup keys that no event has


def success(key: str | None, version: str = "v2") -> bytes:
    """PagerDuty's body for an event that it took."""
    body = {"status": "success", "message": "Event processed"}
    name = "incident_key" if version == "v1" else "dedup_key"
    return json.dumps(body if key is None else body | {name: key}).encode()


def plain(status: int, body: bytes = b"", more: bytes = b"") -> bytes:
    return HEAD % status + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(status: int, body: bytes) -> bytes:
    parts = b"".join(b"%x;x=y\r\n%b\r\n" % (1, body[at : at + 1]) for at in range(len(body)))
    return HEAD % status + b"Transfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\nT: x\r\n\r\n"


def until_closed(status: int, body: bytes) -> bytes:
    return HEAD % status + b"Connection: close\r\n\r\n" + body


FRAMES: list[Callable[[int, bytes], bytes]] = [plain, chunked, until_closed]
REFUSAL = b'{"status":"invalid event","message":"Event object is invalid","errors":["no"]}'
STRAY = success(OTHERS[0])

# None of these says that the event they answer was taken, or will never be.
NOTHING = {
    "an error": plain(500, b'{"status":"internal error","message":"oh"}'),
    "an empty error": plain(503),
    "a greeting": plain(200, b"OK"),
    "a page": plain(200, b"<html>Please log in</html>", b"Content-Type: text/html\r\n"),
    "an empty yes": plain(202),
    "half a yes": HEAD % 202 + b"Content-Length: 4711\r\n\r\n" + STRAY,
    "half a chunk": HEAD % 202 + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n" + STRAY,
    "two lengths": plain(202, STRAY, b"Content-Length: 5\r\n"),
    "a coding": HEAD % 202 + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + STRAY,
    "a switch": HEAD % 101 + b"Upgrade: x\r\n\r\n" + plain(202, STRAY),
    "a redirection": plain(302, b"", b"Location: http://127.0.0.1:1/\r\n"),
    "a hundred heads": HEAD % 103 * 1 + b"\r\n" + (HEAD % 103 + b"\r\n") * 100 + plain(202, STRAY),
    "many headers": plain(202, STRAY, b"A: b\r\n" * 1000),
    "a long header": plain(202, STRAY, b"A: " + b" " * 200_000 + b"\r\n"),
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "nothing": b"",
}


@dataclass(frozen=True)
class Said:
    """One answer to one request: what goes before it, how it is framed, what comes behind it, how
    much later, and whether the connection ends then. `nothing`: a name of NOTHING."""

    nothing: str | None = None
    refused: bool = False
    interim: bytes = b""
    frame: int = 0
    behind: bytes = b""
    later: float = 0.0
    closes: bool = False


_interim = st.lists(
    st.sampled_from([100, 102, 103]).map(lambda n: HEAD % n + b"Link: </x>\r\n\r\n"), max_size=3
).map(b"".join)
_strays = [
    plain(202, STRAY),
    plain(202, success(None)),
    plain(500),
    plain(400, REFUSAL),
    until_closed(202, STRAY),
    HEAD % 103 + b"\r\n",
    b"\r\n",
]
_behind = st.one_of(
    st.just(b""),
    st.binary(max_size=40),
    st.lists(st.sampled_from(_strays), min_size=1, max_size=3).map(b"".join),
    st.tuples(st.sampled_from(_strays), st.integers(1, 60)).map(lambda cut: cut[0][: cut[1]]),
)
said = st.builds(
    Said,
    nothing=st.none() | st.sampled_from(sorted(NOTHING)),
    interim=_interim,
    frame=st.integers(0, 2),
    behind=_behind,
    closes=st.booleans(),
)


@dataclass
class Play:
    """What each event, by its dedup key or else its summary, is answered, one answer a request;
    then yes, and `afterwards` behind it. `taken` and `refused` are what was truly said."""

    plans: dict[str, list[Said]] = field(default_factory=dict)
    afterwards: Said = field(default_factory=Said)
    taken: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    seen: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, name: str) -> Said:
        with self.lock:
            plan = self.plans.get(name, [])
            number = self.seen[name]
            self.seen[name] += 1
            return plan[number] if number < len(plan) else self.afterwards


class Player(Conversation):
    """Answers as the server's `play` says."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while self.read() and self._answer():
                pass

    def _answer(self) -> bool:
        play: Play = self.server.play  # type: ignore[attr-defined]
        event = self.event
        version = "v1" if "service_key" in event else "v2"
        key = event.get("dedup_key") or event.get("incident_key")
        name = key or event["payload"]["summary"]
        answer = play.next(name)
        frame = FRAMES[answer.frame]
        if answer.nothing is not None:
            data = NOTHING[answer.nothing]
        elif answer.refused:
            data = frame(400, REFUSAL)
        else:
            data = frame(200 if version == "v1" else 202, success(key, version))
        with play.lock:
            if answer.nothing is None:
                (play.refused if answer.refused else play.taken).add(name)
        ends = answer.closes or answer.frame == 2 or answer.nothing is not None
        if answer.frame == 2 and answer.nothing is None:
            self.request.sendall(answer.interim + data)  # behind it would be in it
            return False
        if not data:
            return False  # what is behind it would be the answer
        if answer.later:
            self.request.sendall(answer.interim + data)
            time.sleep(answer.later)
            self.request.sendall(answer.behind)
        else:
            self.request.sendall(answer.interim + data + answer.behind)
        return not ends
