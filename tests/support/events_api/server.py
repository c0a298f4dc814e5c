"""The HTTP side of the local Events API: requests in, answers out. One loop, one thread."""

import asyncio
import logging
import socket
import ssl
import struct
import time
import uuid
import weakref

from aiohttp import web

from tests.support.events_api import page
from tests.support.events_api.answers import Answer, Reply, processed, scripted
from tests.support.events_api.record import Request, parse
from tests.support.events_api.schema import CHANGE, DIALECTS, text
from tests.support.events_api.state import State

# resets are scripted, and a client that goes away is a test's business
logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)

NO_ANSWER = Reply(0, b"", {})


class Listener:
    """The listening socket and its connections, from one start to the next stop."""

    def __init__(self, state: State, tls: ssl.SSLContext | None) -> None:
        self._state = state
        self._tls = tls
        self._numbers: weakref.WeakKeyDictionary[object, int] = weakref.WeakKeyDictionary()

    async def start(self, sock: socket.socket) -> None:
        # a client that gives up ends the wait of its hanging or late answer
        self._http = web.Server(
            self._handle, handler_cancellation=True, access_log=None, keepalive_timeout=3600
        )
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._http, sock=sock, ssl=self._tls, backlog=1024)

    async def stop(self) -> None:
        """Nobody listens any more, and every connection is gone, whatever it was doing."""
        self._server.close()
        for connection in self._http.connections:
            if connection.transport is not None:
                _reset(connection.transport)
        await self._http.shutdown(timeout=0.001)
        await asyncio.sleep(0)  # aborted transports close their sockets in the loop's next turn

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        body = await http.content.read()
        if body == b"{}" and http.path in DIALECTS:  # nobody's event: is PagerDuty reached?
            return await self._send(http, *self._ask(self._arrived(http, body)))
        if (looked := page.look(http.method, http.path, body, self._state)) is not None:
            return _response(looked)
        request, answer, reply = self._decide(self._arrived(http, body))
        response = await self._send(http, answer, reply)
        self._state.record.answered(request)
        return response

    def _arrived(self, http: web.BaseRequest, body: bytes) -> Request:
        event = parse(body) if http.path in DIALECTS else None
        key = dedup_key = None
        if event is not None:
            dialect = DIALECTS[http.path]
            key = text(event, dialect.key)
            if http.path != CHANGE:
                # PagerDuty makes one up for an event that brings none
                dedup_key = text(event, dialect.dedup_key) or uuid.uuid4().hex
        return Request(
            number=-1,
            accepted=None,
            arrived=time.monotonic(),
            wall=time.time(),
            answered=None,
            status=None,
            connection=self._number(http),
            method=http.method,
            path=http.path,
            headers=http.headers,
            body=body,
            event=event,
            key=key,
            dedup_key=dedup_key,
        )

    def _number(self, http: web.BaseRequest) -> int:
        number = self._numbers.get(http.transport) if http.transport else None
        if number is None:
            number = next(self._state.connections)
            if http.transport:
                self._numbers[http.transport] = number
        return number

    def _decide(self, request: Request) -> tuple[Request, Answer, Reply]:
        """All of it happens here, in the order of arrival; the answer may go out later."""
        state, path = self._state, request.path
        with state.record.lock:
            answer = state.script.next(request.key, path) or Answer()
            if answer.hang or answer.reset == "before":
                return state.record.add(request, status=None, takes_effect=False), answer, NO_ANSWER
            if answer.status is None or path not in DIALECTS:
                natural = state.judge(request)
            else:  # a scripted status stands in for PagerDuty's checks and limits
                natural = processed(path, request.dedup_key)
            reply = scripted(answer, natural, path)
            takes_effect = path in DIALECTS and 200 <= reply.status < 300
            status = None if answer.reset == "after" else reply.status
            if takes_effect:
                state.take_effect(request)
            return state.record.add(request, status, takes_effect), answer, reply

    def _ask(self, request: Request) -> tuple[Answer, Reply]:
        """Not recorded, and no use of an answer that waits in line; one that stands is given."""
        answer = self._state.script.standing(request.key, request.path) or Answer()
        return answer, scripted(answer, self._state.judge(request), request.path)

    async def _send(
        self, http: web.BaseRequest, answer: Answer, reply: Reply
    ) -> web.StreamResponse:
        if wait := answer.delay + self._state.latency:
            await asyncio.sleep(wait)
        while answer.gate is not None and not answer.gate.is_set():
            await asyncio.sleep(0.01)
        if answer.hang:
            await asyncio.Event().wait()
        response = _response(reply)
        if answer.reset == "mid-body":
            response = web.StreamResponse(status=reply.status, headers=reply.headers)
            response.content_length = len(reply.body)
            await response.prepare(http)
            await response.write(reply.body[: len(reply.body) // 2])
        if answer.reset is not None:
            if http.transport is not None:
                _reset(http.transport)
            raise asyncio.CancelledError
        await response.prepare(http)
        await response.write_eof()
        return response


def _response(reply: Reply) -> web.StreamResponse:
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


def _reset(transport: asyncio.BaseTransport) -> None:
    """Close at once, with a TCP reset and without TLS's farewell."""
    sock = transport.get_extra_info("socket")
    if sock is None:  # the client was quicker, and it is closed already
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert isinstance(transport, asyncio.Transport)
    transport.abort()
