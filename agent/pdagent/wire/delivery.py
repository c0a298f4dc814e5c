"""Delivery: posts an event to the Events API and says, as a verdict, what came of it.

Knows HTTP; does not know the spool, or when to try again. Importing requests takes
a tenth of a second and 6 MB, so this module is imported when the first event is there to be sent.

Any number of threads may deliver at once, over one pool of kept-alive connections.
"""

import json
import logging
import time
from dataclasses import replace

import requests
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from pdagent import __version__, api
from pdagent.config import Config
from pdagent.event import BadEvent, as_v1, encode, shrink
from pdagent.queue.pending import Pending
from pdagent.wire import question
from pdagent.wire.connections import (
    CONNECT_SECONDS,
    Adapter,
    NoTrust,
    Post,
    begin,
    cause,
    proxies,
)
from pdagent.wire.verdict import (
    Delivered,
    Refused,
    TooLarge,
    Troubled,
    Unreachable,
    Verdict,
    judge,
)

log = logging.getLogger("pdagent.delivery")

TOTAL_SECONDS = 30.0
_ANSWER_BYTES = 65_536  # PagerDuty's answers have a few hundred

_PATHS = {"v2": api.V2_PATH, "change": api.CHANGE_PATH, "v1": api.V1_PATH}


class Delivery:
    """Delivers events as `config` says."""

    def __init__(self, config: Config) -> None:
        self._posts: set[Post] = set()
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Takes up a new configuration, from the next post on."""
        self._config = config
        self._v1_keys: set[str] = set()  # keys that v2 refused and v1 took
        self._open()

    def _open(self) -> None:
        # Without a Session around it: there are no cookies, redirects or hooks, and what it reads
        # from the environment for each request is read here, once.
        self._adapter = Adapter(self._config)
        self._proxies = proxies(self._config, self._config.base_url)
        self._templates = {version: self._template(path) for version, path in _PATHS.items()}

    def _template(self, path: str) -> requests.PreparedRequest:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"pdagent/{__version__}",
            "Accept": "application/json",
        }
        return requests.Request("POST", self._config.base_url + path, headers=headers).prepare()

    def deliver(self, pending: Pending) -> Verdict:
        """Sends the event, and if need be in the form that PagerDuty takes it in. Never raises."""
        if pending.version != "v2" or self._config.events_api != "auto":
            return self._deliver_as(pending.version, pending.data)
        key = pending.key
        if key in self._v1_keys:
            verdict = self._deliver_v1(pending)
            if not isinstance(verdict, Refused):
                return verdict
            self._v1_keys.discard(key)  # it has changed its kind, perhaps
        verdict = self._deliver_as("v2", pending.data)
        if not (isinstance(verdict, Refused) and verdict.about_key):
            return verdict
        second = self._deliver_v1(pending)
        if isinstance(second, Delivered):
            self._v1_keys.add(key)
        if isinstance(second, Refused):
            reason = f"{verdict.reason} (and as v1: {second.reason})"
            return Refused(verdict.status, reason, about_key=True)
        return second

    def probe(self) -> Verdict:
        """Asks whether PagerDuty is reached, with nothing of any event, over a connection of its
        own: `question.ask`. Unreachable means that the path is broken, whatever is sent on it.
        Refused, what PagerDuty says to the empty event, means that it is reached; so does
        everything else. Takes 20 s at most, and is aborted as a delivery is. Never raises."""
        post = question.begun()
        self._posts.add(post)
        try:
            return question.ask(self._config).verdict
        finally:
            self._posts.discard(post)

    def _deliver_v1(self, pending: Pending) -> Verdict:
        try:
            return self._deliver_as("v1", encode(as_v1(pending.body)))
        except (BadEvent, RecursionError):
            return Refused(400, "the event can't be written for Events API v1")

    def _deliver_as(self, version: str, data: bytes) -> Verdict:
        verdict = self._post(version, data)
        if not isinstance(verdict, TooLarge):
            return verdict
        log.warning("%s; sending it with less detail", verdict.reason)
        try:
            second = self._post(version, shrink(json.loads(data)))
        except RecursionError:
            second = verdict
        if isinstance(second, TooLarge):
            return Refused(second.status, second.reason)
        return second

    def _post(self, version: str, data: bytes) -> Verdict | TooLarge:
        while True:
            post = self._started()
            try:
                return self._exchange(version, data)
            except NoTrust as error:
                return Unreachable(str(error))
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                if post.reused and not post.overdue and not isinstance(error, requests.Timeout):
                    # The server closed a kept-alive connection just as we wrote to it. Whether it
                    # read the event before that is unknown; the same bytes twice are one event.
                    # The next connection may be as stale, but in the end there is a new one.
                    continue
                return self._failure(post, error)
            finally:
                self._posts.discard(post)

    def _started(self) -> Post:
        post = begin(time.monotonic() + TOTAL_SECONDS)
        self._posts.add(post)
        return post

    def _exchange(self, version: str, data: bytes) -> Verdict | TooLarge:
        request = self._templates[version].copy()
        request.body = data
        request.headers["Content-Length"] = str(len(data))
        response = self._adapter.send(
            request,
            stream=True,
            timeout=Timeout(connect=CONNECT_SECONDS, read=TOTAL_SECONDS),  # type: ignore[arg-type]
            proxies=self._proxies,
        )
        with response:
            verdict = judge(
                response.status_code,
                response.headers,
                _answer(response),
                now=time.time(),
                v1=version == "v1",
                proxied=bool(self._proxies)
                and request.url is not None
                and request.url.startswith("http:"),
            )
        if isinstance(verdict, Unreachable):
            # Somebody else's answer. On this connection he would go on answering, when new ones
            # lead to PagerDuty again.
            self._open()
            return replace(verdict, content=True)
        return verdict

    def _failure(self, post: Post, error: Exception) -> Verdict:
        if post.sent and (post.overdue or isinstance(error, requests.Timeout)):
            return Troubled(f"no answer within {TOTAL_SECONDS:.0f} s")
        if isinstance(error, requests.exceptions.SSLError):
            self._open()  # the host's CAs may have been put right meanwhile: read them anew
        why = "timed out" if post.overdue else cause(error, self._proxies)
        return Unreachable(why, content=post.begun and post.twin is not None)

    def abort_overdue(self, now: float) -> None:
        """Ends posts past their deadline, whatever they are waiting for. `now` is monotonic."""
        for post in list(self._posts):
            if post.deadline <= now:
                post.abort()

    def abort_all(self) -> None:
        for post in list(self._posts):
            post.abort()


def _answer(response: requests.Response) -> bytes:
    """The answer's body as far as it came: the status line has said the most important thing
    already."""
    parts = []
    try:
        for part in response.raw.stream(_ANSWER_BYTES, decode_content=True):
            parts.append(part)
            if sum(map(len, parts)) >= _ANSWER_BYTES:
                response.raw.close()  # more than we want to read before the next event
                break
    except (HTTPError, OSError, ValueError):
        response.raw.close()
    return b"".join(parts)[:_ANSWER_BYTES]
