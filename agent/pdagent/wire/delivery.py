"""Delivery: posts an event to the Events API and says, as a verdict, what came of it.

This module knows HTTP. It does not know the spool, or when to try again. To import requests takes
0.3 s and memory, so this module is imported when the first event is to be sent.

Any number of threads may deliver at once. They share the kept-alive connections.

An answer counts for an event only if it can't be another event's. A connection is kept only after
PagerDuty's own words: a yes that names the event's dedup key, or a no. Somebody who answers in
PagerDuty's place, while PagerDuty's answer is still to come, says neither. Over a connection that
was kept, a yes has to name the event again. If it names another event, this one is sent once more,
over a new connection: the same bytes twice are one event to PagerDuty. An event without a dedup key
always gets a new connection.
"""

import json
import logging
import math
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from requests import PreparedRequest, RequestException, Timeout

from pdagent import api
from pdagent.config import Config
from pdagent.cutting import shrink
from pdagent.event import BadEvent, encode
from pdagent.queue import envelope
from pdagent.queue.pending import Pending
from pdagent.wire import question
from pdagent.wire.adapter import Adapter
from pdagent.wire.identity import is_pagerduty
from pdagent.wire.passage import HEADER, Passage
from pdagent.wire.post import NOT_AWAY, Post
from pdagent.wire.v1 import as_v1
from pdagent.wire.verdict import (
    Delivered,
    Refused,
    TooLarge,
    Troubled,
    Unreachable,
    Verdict,
    judge,
    named,
)

log = logging.getLogger("pdagent.delivery")

TOTAL_SECONDS = 30.0

_PATHS = {"v2": api.V2_PATH, "change": api.CHANGE_PATH, "v1": api.V1_PATH}


class _Again(Exception):
    """The answer may be another event's."""


class Delivery:
    """Delivers events as `settings` say. `passage`: whom the events may have passed, for relays. A
    post is `away` while it waits for the other side."""

    def __init__(
        self,
        settings: Config,
        passage: Passage | None = None,
        away: AbstractContextManager[None] = NOT_AWAY,
    ) -> None:
        self._passage = passage
        self._away = away
        self._posts: set[Post] = set()
        self._until = math.inf  # the deadline of all posts: see `hurry`
        self._settings = settings
        self._adapter = _adapter(settings)
        self._v1_keys: set[str] = set()  # keys that v2 refused and v1 took

    def configure(self, settings: Config) -> None:
        """Takes up a new configuration, from the next post on."""
        self._settings = settings
        self._adapter = _adapter(settings)
        self._v1_keys = set()

    def deliver(self, pending: Pending) -> Verdict:
        """Sends the event, in another form if PagerDuty wants it so. Never raises."""
        if pending.version in envelope.PATHS:
            return self._deliver_as(pending.version, pending.data, None)
        if pending.version != "v2" or self._settings.events_api != "auto":
            return self._deliver_as(pending.version, pending.data, pending.dedup_key)
        key = pending.key
        if key in self._v1_keys:
            verdict = self._deliver_v1(pending)
            if not isinstance(verdict, Refused):
                return verdict
            self._v1_keys.discard(key)  # the integration may have become one of v2
        verdict = self._deliver_as("v2", pending.data, pending.dedup_key)
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
        """Asks whether PagerDuty is reached, without any event in the request: `question.ask`.
        Unreachable means that the path is broken, whatever is sent on it. Refused is PagerDuty's
        answer to the empty event and means that it is reached; so does any other verdict. This
        takes 20 s at most, and can be aborted as a delivery can. Never raises."""
        post = self._begun(Post(time.monotonic() + question.SECONDS))
        try:
            return question.ask(self._settings, post).verdict
        finally:
            self._posts.discard(post)

    def _deliver_v1(self, pending: Pending) -> Verdict:
        try:
            body = encode(as_v1(pending.body))
            return self._deliver_as("v1", body, pending.dedup_key)
        except (BadEvent, RecursionError):
            return Refused(400, "the event can't be written for Events API v1")

    def _deliver_as(self, version: str, data: bytes, dedup_key: str | None) -> Verdict:
        verdict = self._post(version, data, dedup_key)
        if not isinstance(verdict, TooLarge):
            return verdict
        if version in envelope.PATHS:  # nobody but the tool that wrote it could shorten it
            return Refused(verdict.status, verdict.reason)
        log.warning("%s; sending it with less detail", verdict.reason)
        try:
            second = self._post(version, shrink(json.loads(data)), dedup_key)
        except RecursionError:
            second = verdict
        if isinstance(second, TooLarge):
            return Refused(second.status, second.reason)
        return second

    def _request(self, version: str, data: bytes) -> PreparedRequest:
        """Raises InvalidURL, ProxyError."""
        if version not in envelope.PATHS:
            request = self._adapter.request(_PATHS[version], data)
        else:
            body = json.loads(data)
            sealed = envelope.unseal(body)
            key = quote(str(body[api.V2_KEY]), safe="")
            path = envelope.PATHS[sealed.form].format(key)
            request = self._adapter.request(path, sealed.data)
            request.headers["Content-Type"] = sealed.content_type
        if self._passage is not None and not is_pagerduty(self._settings):
            request.headers[HEADER] = self._passage.header()
        return request

    def _post(self, version: str, data: bytes, dedup_key: str | None) -> Verdict | TooLarge:
        fresh = not dedup_key
        while True:
            began = time.monotonic()
            post = self._begun(Post(began + TOTAL_SECONDS, fresh, self._away))
            try:
                return self._exchange(version, data, dedup_key, post)
            except _Again:
                fresh = True
            except RequestException as error:
                if not post.reused or post.overdue or isinstance(error, Timeout):
                    return self._failure(post, error, time.monotonic() - began)
                # The server closed a kept-alive connection just as we wrote to it. Whether it
                # read the event before that is unknown; the same bytes twice are one event.
                fresh = True
            finally:
                self._posts.discard(post)

    def _exchange(
        self, version: str, data: bytes, dedup_key: str | None, post: Post
    ) -> Verdict | TooLarge:
        adapter = self._adapter
        request = self._request(version, data)
        with adapter.send(request, timeout=post) as response:
            raw: Any = response.raw  # a Body
            verdict = judge(
                response.status_code,
                response.headers,
                response.content,
                now=time.time(),
                version=version,
                pagerduty=is_pagerduty(self._settings),
                proxy=adapter.answering_proxy,
            )
            its_own = isinstance(verdict, Delivered) and named(response.content) == dedup_key
            raw.keep = its_own or isinstance(verdict, Refused)
            if post.reused and isinstance(verdict, Delivered) and not its_own:
                raise _Again
        if isinstance(verdict, Unreachable):
            # This is somebody else's answer. More of them would come over these connections, when
            # new ones lead to PagerDuty again.
            adapter.close()
            adapter.renew()
            return verdict if verdict.sure else replace(verdict, content=True)
        return verdict

    def _failure(self, post: Post, error: RequestException, seconds: float) -> Verdict:
        timed_out = post.overdue or isinstance(error, Timeout)
        if timed_out and post.sent:
            return Troubled(f"no answer within {math.ceil(min(seconds, TOTAL_SECONDS))} s")
        self._adapter.renew()
        return Unreachable("timed out" if timed_out else str(error), content=post.begun)

    def _begun(self, post: Post) -> Post:
        self._posts.add(post)
        post.deadline = min(post.deadline, self._until)  # `hurry` may have come before it was there
        return post

    def hurry(self, deadline: float) -> None:
        """Posts have no longer than until then, in monotonic seconds: those that are on their way,
        and those that begin before another call ends that. At infinity they have all their time."""
        self._until = deadline
        for post in list(self._posts):
            post.deadline = min(post.deadline, deadline)

    def abort_overdue(self, now: float) -> None:
        """Ends the posts that are past their deadline, whatever they wait for. `now` is in
        monotonic seconds."""
        for post in list(self._posts):
            if post.deadline <= now:
                post.abort()

    def abort_all(self) -> None:
        """Ends all posts. Their events may or may not have been taken."""
        for post in list(self._posts):
            post.abort()


def _adapter(settings: Config) -> Adapter:
    made = Adapter(settings, settings.base_url)
    if made.way.ignored:
        log.warning("%s", made.way.ignored)
    return made
