"""The crowd: the connections of one server, and what clients may cost.

This module knows waitress's channels and requests. It does not know what is served, or where.
"""

import ipaddress
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask

# In a request's environment: the name in the certificate that the client has shown, if any.
CERTIFICATE = "pdagent.certificate"
# Requests that a client may send before the first is answered. No client that we know sends two.
AHEAD_MOST = 10
# A client that has been silent for less than this does not keep us waiting: the network takes time.
WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What clients may cost: the bytes of one body and of all bodies together, how many connections
    there are at a time, and how many `threads` answer requests at a time. A request has to arrive
    within `seconds`, and its headers within `header_seconds`; a connection may be silent for
    `seconds`."""

    body_bytes: int
    all_bytes: int = 16 * 1024 * 1024
    connections: int = 100
    threads: int = 1
    seconds: int = 30
    header_seconds: int = 5


class _Parser(HTTPRequestParser):
    """waitress's parser, which also refuses what may be understood in two ways (RFC 9112, 6.1):
    somebody between the client and us may have understood it in the other way."""

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a length of 5,000 digits, an address with half a bracket
            raise ParsingError("Bad header") from error
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length beside Transfer-Encoding")


class _Refusal(ErrorTask):
    """waitress's own answer, to what it can't read, or what is too large."""

    channel: "Channel"
    request: Any  # what was sent, and what is wrong with it

    def execute(self) -> None:
        self.channel.turn_away(self.request.error.code)
        super().execute()


class Channel(HTTPChannel):
    """A connection. A client that sends a byte now and then is cut off like one that sends nothing,
    since all bytes of a request count as one activity."""

    parser_class = _Parser
    error_task_class = _Refusal

    def __init__(self, crowd: "Crowd", *args: Any, **kwargs: Any) -> None:
        self.active_at = time.monotonic()
        super().__init__(*args, **kwargs)
        assert self.socket is not None
        self.peer = _peer(self.socket, self.addr)
        self.has_asked = False
        self._crowd = crowd
        crowd.make_room()

    # waitress sets and compares this by the wall clock. `active_at` is by a clock that nobody sets:
    # after a step back, silent clients would keep their places for as long as the step.
    @property
    def last_activity(self) -> float:
        return self.active_at + time.time() - time.monotonic()

    @last_activity.setter
    def last_activity(self, wall: float) -> None:
        self.active_at = wall - time.time() + time.monotonic()

    def handle_read(self) -> None:
        request, began = self.request, self.active_at
        super().handle_read()
        self.has_asked = True
        if request is not None and self.request is request:
            self.active_at = began
        if len(self.requests) > AHEAD_MOST:
            self.will_close = True
        self._crowd.make_room()

    def turn_away(self, status: int) -> None:
        """A request was answered with this status, and the application did not see it."""
        self._crowd.turned_away(status)

    def writable(self) -> bool:
        # While a request is being answered, its thread writes the answer, and wakes the loop at its
        # end if something is left. The loop could not write meanwhile, since the thread holds the
        # lock. It would only be told at once, again and again, that it may write, and each time it
        # would take the interpreter from the thread that it waits for.
        left = bool(self.total_outbufs_len) and not self.is_served
        return self.will_close or self.close_when_flushed or left

    @property
    def is_served(self) -> bool:
        """Whether a request is being answered; otherwise we wait for the client."""
        return bool(self.requests)

    @property
    def is_in_headers(self) -> bool:
        """Whether the headers of the client's next request have yet to come, or to end."""
        return not self.has_asked if self.request is None else not self.request.headers_finished

    @property
    def body_bytes(self) -> int:
        """How many bytes of bodies this connection keeps in memory."""
        requests = [*self.requests, self.request]
        return sum(request.body_bytes_received for request in requests if request is not None)


def _peer(connection: socket.socket, address: tuple[str, int]) -> str | int:
    """Who is at the other end: a user of this host if it is a Unix socket, else a host. All clients
    on the loopback interface are one peer."""
    if connection.family == socket.AF_UNIX:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", credentials)[1])
    host = address[0]
    return "loopback" if ipaddress.ip_address(host.partition("%")[0]).is_loopback else host


class Crowd:
    """The connections of one server, and what they may cost together.

    If there are too many, the peer with the most of them loses the one that has kept us waiting
    longest. So whoever fills all places takes them from himself. A client that sends its request at
    once is served before its connection could be the one that has waited longest. If the bodies are
    too large together, the same goes for the peer whose bodies are the largest.

    `turned_away` is told the status of each answer that the application did not give.
    """

    def __init__(self, bounds: Bounds, turned_away: Callable[[int], object]) -> None:
        self._bounds = bounds
        self.turned_away = turned_away
        self.channels: Mapping[int, Any] = {}

    def make_room(self) -> None:
        """Closes a connection if there are too many, or their bodies take up too much."""
        found = self._open()
        if len(found) > self._bounds.connections:
            self._close_one(found)
        elif sum(channel.body_bytes for channel in found) > self._bounds.all_bytes:
            self._close_largest(found)

    def _close_one(self, found: list[Channel]) -> None:
        number = Counter(channel.peer for channel in found)

        def order(channel: Channel) -> tuple[int, float]:
            return -number[channel.peer], channel.active_at

        waiting = [channel for channel in found if not channel.is_served]
        chosen = min(waiting or found, key=order)
        if time.monotonic() - chosen.active_at < WAIT_SECONDS:
            # A peer whose connections are all busy would have everybody who comes turned away. So
            # a peer that has many loses one that is busy.
            most = min(found, key=order)
            if number[most.peer] > self._bounds.connections / 10:
                chosen = most
        chosen.will_close = True

    def _close_largest(self, found: list[Channel]) -> None:
        size: Counter[str | int] = Counter()
        for channel in found:
            size[channel.peer] += channel.body_bytes
        waiting = [channel for channel in found if channel.body_bytes and not channel.is_served]
        if waiting:
            min(waiting, key=lambda c: (-size[c.peer], c.active_at)).will_close = True

    def seconds_left(self) -> float:
        """How long it is until `close_late` has something to do. If nobody is connected, the answer
        is the longest time that there is, so that nobody wakes up for nothing."""
        now = time.monotonic()
        ends = [self._end(channel) - now for channel in self._open()]
        return max(0.0, min(ends, default=float(self._bounds.seconds)))

    def close_late(self) -> None:
        """Closes the connections whose clients have kept us waiting for too long, and those that
        were chosen meanwhile. Called between two rounds of the loop: within a round, a descriptor
        that was closed could become another connection's.

        waitress would close them once they can be written to. A client that does not read would
        keep its place for ever.
        """
        now = time.monotonic()
        for channel in list(self.channels.values()):
            if isinstance(channel, Channel) and (channel.will_close or self._end(channel) <= now):
                channel.handle_close()

    def _open(self) -> list[Channel]:
        return [
            channel
            for channel in list(self.channels.values())
            if isinstance(channel, Channel) and not channel.will_close
        ]

    def _end(self, channel: Channel) -> float:
        """When the client's time is over, in monotonic seconds. A connection that is being served
        is looked at again later."""
        if channel.is_served:
            return time.monotonic() + self._bounds.seconds
        headers, whole = self._bounds.header_seconds, self._bounds.seconds
        return channel.active_at + (headers if channel.is_in_headers else whole)
