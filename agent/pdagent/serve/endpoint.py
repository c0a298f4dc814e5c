"""The endpoint: PagerDuty's Events API on this host, for tools that speak it themselves.

It answers what PagerDuty would, once the event is in the spool as durably as `pd-send` puts it
there. A WSGI application; `listen` serves it.
"""

import contextlib
import json
import logging
import os
import re
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from pdagent import api
from pdagent.acceptance import accept, enqueue
from pdagent.config import Config, may_exist
from pdagent.event import BadEvent, check_key
from pdagent.queue.envelope import DEFAULT_TYPE, Envelope, seal
from pdagent.queue.origins import Origins, SenderSpool
from pdagent.queue.pending import HEAVY_BYTES, is_light
from pdagent.queue.quota import HOLDER_MOST
from pdagent.serve.awaiting import expect
from pdagent.serve.crowd import CERTIFICATE, Bounds
from pdagent.serve.dialects import DIALECTS, Kind
from pdagent.serve.intake import Intake, Invalid, NotJson, read
from pdagent.serve.tally import Tally
from pdagent.serve.tokens import Senders
from pdagent.shown import masked
from pdagent.spool import Spool, SpoolError
from pdagent.wire.passage import HEADER, Passage

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger("pdagent.endpoint")

# Threads wait for the disk, mostly: the more of them, the more events share a journal's commit.
# Bodies are larger than PagerDuty takes: they are cut, as those of `pd-send --json` are.
BOUNDS = Bounds(body_bytes=2 * 1024 * 1024, connections=200, threads=16, seconds=30)
SAID_SECONDS, SAID_MOST = 60.0, 20  # in this time, this many senders are said to be full
RETRY_SECONDS = 30  # what clients are asked to wait for when there is no room

_PASSED = "HTTP_" + HEADER.upper().replace("-", "_")
_KINDS: dict[str, Kind] = {api.V2_PATH: "v2", api.CHANGE_PATH: "change", api.V1_PATH: "v1"}
# PagerDuty has no such path. A post to it is what `pd-send expect` is on a host that has an agent.
EXPECT_PATH = "/pdagent/expect"
_INTEGRATIONS = re.compile(r"/(?P<integration>integration)/([^/]+)/enqueue|/x-ere/([^/]+)")
_REASONS = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    503: "Service Unavailable",
    508: "Loop Detected",
}
# The listener answers these by itself, and 400 and 413 too: to strangers, and to huge headers.
_OF_LISTENER = (403, 431)


class Answer(NamedTuple):
    """What a client gets: a status, a JSON object, more headers."""

    status: int
    body: dict[str, object]
    headers: tuple[tuple[str, str], ...] = ()


class Endpoint:
    """Takes events for a spool, by the settings of the moment. `pending` gives the number of events
    in it; `local`: only this host can ask; `senders`: who may send, where a token is wanted;
    `passage`: which agents send here; `origins`: whose the pending events are."""

    def __init__(
        self,
        settings: Callable[[], Config],
        spool: Spool,
        pending: Callable[[], int],
        local: bool,
        senders: Callable[[], Senders],
        tally: Tally,
        passage: Passage,
        origins: Origins,
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._pending = pending
        self._local = local
        self._senders = senders
        self._tally = tally
        self._passage = passage
        self._origins = origins
        self._said: dict[str, float] = {}  # which senders are full, and when that was said
        # A large body takes up to 32 MB once it is parsed, and no other thread runs meanwhile: so
        # one at a time.
        self._parsing = threading.Lock()
        refusals = [status for status in _REASONS if status >= 400]
        tally.turned_away.update(dict.fromkeys((*refusals, *_OF_LISTENER), 0))

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        try:
            answer = self._answer(environ)
        except Exception:  # a bug: the client should try again, and the log says why
            log.exception("internal error with a request")
            answer = _later(503, "internal error")
        if answer.status >= 400:
            self._tally.count_turned_away(answer.status)
        data = json.dumps(answer.body).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
        start(f"{answer.status} {_REASONS[answer.status]}", [*headers, *answer.headers])
        return [data]

    def _answer(self, environ: "WSGIEnvironment") -> Answer:
        settings = self._settings()
        path = environ.get("PATH_INFO", "").rstrip("/")
        kind, passed = _KINDS.get(path), _INTEGRATIONS.fullmatch(path)
        if kind is None and passed is None and path != EXPECT_PATH:
            return Answer(
                404, _said("not found", "Not Found", "This is not a path of the Events API")
            )
        if environ["REQUEST_METHOD"] != "POST":
            body = _said("method not allowed", "Method Not Allowed", "Events are sent with POST")
            return Answer(405, body, (("Allow", "POST"),))
        sender = self._sender(environ)
        if sender is None:
            body = _said("unauthorized", "Unauthorized", "No token that is known here was sent")
            return Answer(401, body, (("WWW-Authenticate", "Bearer"),))
        if (refusal := self._refusal(environ, settings)) is not None:
            return refusal
        origin = sender or ("" if self._local else str(environ.get("REMOTE_ADDR", "")))
        if origin and (refusal := self._excess(path, origin, settings)) is not None:
            return refusal
        spool = SenderSpool(self._spool.root, self._origins, origin) if origin else self._spool
        try:
            if kind is not None:
                answer = self._take(environ, kind, lambda event: accept(event, settings, spool))
            elif passed is not None:
                answer = self._pass_on(environ, passed, settings, spool)
            else:
                answer = self._take(environ, "v2", lambda event: expect(event, settings, sender))
        except BadEvent as bad:
            return _invalid(str(bad))
        except SpoolError as error:
            log.error("not accepted: %s", error)
            return _later(503, "the event could not be queued")
        if answer.status < 300:
            self._tally.count_taken(origin)
            if origin:
                log.info("accepted an event from %s", origin)
        return answer

    def _excess(self, path: str, origin: str, settings: Config) -> Answer | None:
        """Why nothing of this sender's is taken before some of its events are delivered; None if it
        may be."""
        most = settings.listen_pending_per_sender
        if path == EXPECT_PATH:
            # A sender whose events wait may still renew what it expects. But each expectation may
            # become a page, and one too many is a page at once, so this has an end as well.
            most += HOLDER_MOST
        if not self._origins.is_full(origin, most):
            return None
        self._say_full(origin, most)
        return _later(429, f"{most} events of {origin} are pending")

    def _refusal(self, environ: "WSGIEnvironment", settings: Config) -> Answer | None:
        """Why no event is taken now, whoever sends it and whatever it says; None if it may be."""
        if self._passage.has_seen(environ.get(_PASSED, "")):
            body = _said("loop detected", "Loop Detected", "Events that are sent on come back here")
            return Answer(508, body)
        if self._pending() >= settings.listen_pending_most:
            return _later(429, f"{settings.listen_pending_most} events are pending")
        coding = environ.get("HTTP_CONTENT_ENCODING", "identity").lower()
        if coding != "identity":  # PagerDuty would not be told of it
            said = "Send the body as it is, without Content-Encoding"
            return Answer(415, _said("unsupported media type", "Unsupported Media Type", said))
        return None

    def _sender(self, environ: "WSGIEnvironment") -> str | None:
        """The name of the sender, "" if it needs none; None if it may not send."""
        senders, certificate = self._senders(), str(environ.get(CERTIFICATE, ""))
        if senders:
            name = senders.sender(_token(environ))
            return certificate if name == "" else name
        return certificate if certificate or self._local else None

    def _say_full(self, sender: str, most: int) -> None:
        self._tally.count_full(sender)
        now = time.monotonic()
        if now - self._said.get(sender, -SAID_SECONDS) < SAID_SECONDS:
            return
        self._said = {name: at for name, at in self._said.items() if now - at < SAID_SECONDS}
        if len(self._said) < SAID_MOST:
            self._said[sender] = now
            log.warning(
                "%s has %d events pending (listen_pending_per_sender): no more of its events are "
                "taken until some are delivered",
                sender,
                most,
            )

    def _take(
        self, environ: "WSGIEnvironment", kind: Kind, put: Callable[[Intake], None]
    ) -> Answer:
        """What came as a body of this kind: `put` gets it accepted. Raises BadEvent, SpoolError."""
        key = environ.get("HTTP_X_ROUTING_KEY", "")
        try:
            data = environ["wsgi.input"].read()
            with self._parsing if len(data) > HEAVY_BYTES else contextlib.nullcontext():
                event = read(data, kind, os.urandom, (lambda: key) if key else None, is_light)
                event.body("v2", time.time_ns())  # and no longer parsed when this ends
            for remark in event.remarks:
                log.warning("an event of %s: %s", masked(event.key), remark)
            put(event)
        except NotJson:
            body = _said(
                "unrecognized object" if kind == "v1" else "Unrecognized object",
                "Event object format is unrecognized",
                "JSON parse error",
            )
            return Answer(400, body)
        except Invalid as invalid:
            return _invalid(*invalid.errors)
        return _accepted(event, kind)

    def _pass_on(
        self, environ: "WSGIEnvironment", path: "re.Match[str]", settings: Config, spool: Spool
    ) -> Answer:
        """What came to an integration's own address, in any form. Raises BadEvent, SpoolError."""
        form = "integration" if path["integration"] else "x-ere"
        content_type = environ.get("CONTENT_TYPE") or DEFAULT_TYPE
        key = check_key(path[2] or path[3])
        data = environ["wsgi.input"].read()
        sealed = seal(key, Envelope(form, content_type, data))
        if len(sealed) > api.BODY_BYTES:
            said = f"More than PagerDuty takes: {api.BODY_BYTES} bytes"
            return Answer(413, _said("too large", "Payload Too Large", said))
        if not may_exist(key, settings):
            raise BadEvent(f"no integration key is named {masked(key)}")
        enqueue(key, sealed, settings, spool)
        return Answer(202, {"status": "success", "message": "Event processed"})


def _accepted(event: Intake, kind: Kind) -> Answer:
    log.debug("accepted an event of %s", masked(event.key))
    body: dict[str, object] = {"status": "success", "message": "Event processed"}
    if kind == "change":
        body["message"] = "Change event processed"
    else:
        body[DIALECTS[kind].dedup_key] = event.dedup_key
    return Answer(200 if kind == "v1" else 202, body)


def _invalid(*errors: str) -> Answer:
    return Answer(400, _said("invalid event", "Event object is invalid", *errors))


def _later(status: int, why: str) -> Answer:
    state = "throttle exceeded" if status == 429 else "unavailable"
    body = _said(state, "Please retry later.", why)
    return Answer(status, body, (("Retry-After", str(RETRY_SECONDS)),))


def _said(status: str, message: str, *errors: str) -> dict[str, object]:
    return {"status": status, "message": message, "errors": list(errors)}


def _token(environ: "WSGIEnvironment") -> str:
    """The token in a request: `Token token=…`, as for PagerDuty's REST API; `Bearer …`, as for all
    others; or the password of https://NAME:TOKEN@RELAY, which every client can send. "" if there is
    none."""
    scheme, _, given = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if scheme.lower() == "token":
        return given.strip().removeprefix("token=").strip('"')
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            return b64decode(given).decode("utf-8", "replace").partition(":")[2]
    return given.strip() if scheme.lower() == "bearer" else ""
