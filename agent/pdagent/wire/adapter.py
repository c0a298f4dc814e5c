"""The adapter: how requests reaches PagerDuty, over connections of ours.

requests lets others put a transport adapter in the place of its HTTPAdapter. Requests, responses
and errors are those of requests: ConnectionError with its kinds ProxyError, SSLError and Timeout,
and InvalidURL for an address that can't be used. The first argument of each is an `Unreached`.
"""

import os
import threading
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from requests import ConnectionError, PreparedRequest, RequestException, Response, Timeout
from requests.adapters import BaseAdapter
from requests.exceptions import InvalidURL, ProxyError, SSLError
from requests.structures import CaseInsensitiveDict

from pdagent.config import Config
from pdagent.threads import importing
from pdagent.wire.answer import Answer
from pdagent.wire.connections import AGENT, Connection, Stale, Target, Tls, Unreached
from pdagent.wire.identity import NoIdentity, authorization
from pdagent.wire.post import Post
from pdagent.wire.proxy import BadProxy, Way, way_to

_HEADERS = {
    "User-Agent": AGENT,
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
}
_TEMPLATES_MOST = 8  # the Events API has three paths; those with a key in them are without end
# So many descriptors are left to everything else, such as to read the next event.
_LEFT_DESCRIPTORS = 16
_KINDS = {"proxy": ProxyError, "trust": SSLError, "tls": SSLError}


class Body(BytesIO):
    """A response's `raw`: the answer's body, empty if it was not whole, and the `connection` that
    it came over. When the response is closed, so is the connection, unless whoever has judged the
    answer has set `keep`."""

    def __init__(
        self, data: bytes, connection: Connection, give_back: Callable[[Connection], None]
    ) -> None:
        super().__init__(data)
        self.connection = connection
        self.keep = False
        self._give_back = give_back

    def release_conn(self) -> None:
        """requests calls this when a response is closed."""
        if self.keep:
            self._give_back(self.connection)
        else:
            self.connection.close()


class Adapter(BaseAdapter):
    """Carries requests to the address `url` and below it. Connections are kept as long as they are
    sound. Any number of threads may use an adapter."""

    def __init__(self, settings: Config, url: str) -> None:
        super().__init__()
        self._url = url
        self._source = settings.source_address if settings.source_address != "0.0.0.0" else ""  # noqa: S104  (means: not set)
        self._tls = Tls(settings)
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._epoch = 0
        self._templates: dict[str, PreparedRequest] = {}
        # A mistake in these settings must not end the daemon. Each post fails because of it.
        self._problem: RequestException | None = None
        self._settings = settings
        self._identity: RequestException | str = ""  # a header, or why there is none
        self._identify()
        self.way = Way()
        try:
            self.way = way_to(url, settings, os.environ)
            self._target = Target(str(_template(url).url))
        except BadProxy as error:
            self._problem = ProxyError(Unreached("proxy", str(error)))
        except ValueError:  # such as InvalidURL, whose words could quote a password
            name = "events_url" if url == settings.base_url else "heartbeat_url"
            why = f"{name} is not an address that can be used"
            self._problem = InvalidURL(Unreached("name", why))

    def request(self, path: str, data: bytes) -> PreparedRequest:
        """A POST of JSON to the `path` below the address. Raises InvalidURL, ProxyError,
        ConnectionError."""
        identity = self._identity
        problem = self._problem or (None if isinstance(identity, str) else identity)
        if problem is not None:
            raise type(problem)(*problem.args)  # a new one for each thread
        template = self._templates.get(path)
        if template is None:
            template = _template(self._url + path)
            if len(self._templates) < _TEMPLATES_MOST:
                self._templates[path] = template
        request = template.copy()
        if identity:
            request.headers["Authorization"] = str(identity)
        request.body = data
        request.prepare_content_length(data)
        return request

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,  # noqa: ARG002  (all of the answer has come)
        timeout: Any = None,
        verify: Any = True,  # noqa: ARG002  (what verifies and which way to go, `settings` say)
        cert: Any = None,  # noqa: ARG002
        proxies: Any = None,  # noqa: ARG002
    ) -> Response:
        """The answer to a `request` that this adapter has made. `timeout` is a `Post`, whose
        deadline is for the whole exchange. Raises ConnectionError, Timeout."""
        epoch = self._epoch
        try:
            connection, answer = self._exchange(request, timeout)
        except TimeoutError as error:
            raise Timeout(Unreached("connection", "timed out"), request=request) from error
        except Unreached as error:
            raise _KINDS.get(error.stage, ConnectionError)(error, request=request) from error
        except OSError as error:  # such as too few descriptors
            why = Unreached("connection", error.strerror or str(error))
            raise ConnectionError(why, request=request) from error
        response = Response()
        response.request = request
        response.url = str(request.url)
        response.status_code = answer.status
        response.headers = CaseInsensitiveDict(answer.headers)
        body = answer.body if answer.whole else b""
        response.raw = Body(body, connection, partial(self._take_back, epoch))
        return response

    def renew(self) -> None:
        """Has the files read anew that say whom to trust and what to show to a relay, since
        somebody may have put them right. Connections that work go on."""
        self._tls.forget()
        self._identify()

    def _identify(self) -> None:
        if self._url != self._settings.base_url:
            return
        try:
            self._identity = authorization(self._settings)
        except NoIdentity as error:
            self._identity = ConnectionError(Unreached("identity", str(error)))

    def close(self) -> None:
        """Closes the connections that nobody uses now, and the others when they come back."""
        with self._lock:
            self._epoch += 1
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @property
    def answering_proxy(self) -> str:
        """The proxy that can answer in the server's place; "" if none can."""
        proxy = self.way.proxy
        return f"the proxy at {proxy.where}" if proxy is not None and not self._target.tls else ""

    def _exchange(self, request: PreparedRequest, post: Post) -> tuple[Connection, Answer]:
        data = self._written(request)
        while True:
            connection = (None if post.fresh else self._kept()) or self._opened(post)
            try:
                return connection, connection.exchange(data, post)
            except Stale:
                connection.close()
            except BaseException:
                connection.close()
                raise

    def _written(self, request: PreparedRequest) -> bytes:
        """The request in one piece. Each piece more would be a TLS record, a packet and a wake-up
        of the other side."""
        proxy, place = self.way.proxy, request.path_url
        lines = [f"Host: {self._target.authority}"]
        lines += [f"{name}: {value!s}" for name, value in request.headers.items()]
        if proxy is not None and not self._target.tls:
            place = str(request.url)
            if proxy.authorization:
                lines.append(f"Proxy-Authorization: {proxy.authorization}")
        head = "\r\n".join([f"{request.method} {place} HTTP/1.1", *lines, "", ""])
        assert isinstance(request.body, bytes)
        return head.encode("latin-1") + request.body

    def _kept(self) -> Connection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _opened(self, post: Post) -> Connection:
        connection = Connection(self._target, self.way.proxy, self._source, self._tls)
        try:
            with post.away:
                connection.open(post)
        except BaseException:
            connection.close()
            raise
        return connection

    def _take_back(self, epoch: int, connection: Connection) -> None:
        with self._lock:
            if connection.sound and epoch == self._epoch and _leaves_room(connection):
                self._idle.append(connection)
                return
        connection.close()


def _leaves_room(connection: Connection) -> bool:
    """Whether the connection may be kept where descriptors are few. The kernel gives out the lowest
    that is free. So one of the last is had only while almost all are in use."""
    most: int = os.sysconf("SC_OPEN_MAX")
    return bool(connection.sock.fileno() < most - _LEFT_DESCRIPTORS)


def stage_of(error: RequestException) -> str:
    """How far a request of an adapter got: an Unreached's `stage`."""
    reason: Unreached = error.args[0]
    return reason.stage


def _template(url: str) -> PreparedRequest:
    """A POST of JSON without its body. Raises InvalidURL and other ValueErrors.

    It is not made of a `Request`, which would give it cookies, and each copy of it a new jar."""
    scheme, separator, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    user_part, _, host = place.rpartition("@")
    request = PreparedRequest()
    request.prepare_method("POST")
    with importing:  # a name in another script needs tables
        request.prepare_url(scheme + separator + host + slash + path, None)
    request.prepare_headers(_HEADERS)
    if user_part:
        user, _, password = user_part.partition(":")
        # These are bytes, since requests would encode text as Latin-1.
        request.prepare_auth((unquote_to_bytes(user), unquote_to_bytes(password)))
    return request
