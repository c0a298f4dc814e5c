"""The local Events API as tests hold it: started, stopped, scripted and asked by any thread."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self

from tests.support.events_api.answers import Answer
from tests.support.events_api.certificates import LOCAL, CertificateAuthority
from tests.support.events_api.incidents import Incident
from tests.support.events_api.record import Request
from tests.support.events_api.server import Listener
from tests.support.events_api.state import State


class EventsApi:
    """A real HTTP server in a thread of its own, answering as PagerDuty documents it.

        with EventsApi() as api:
            api.script("KEY", Answer(503), Answer(delay=1))
            …                                   # a client posts to api.url + "/v2/enqueue"
            api.wait_accepted(1)
            assert api.incident("KEY", "disk").state == "open"

    `port` 0 takes a free one, and keeps it over `stop()` and `start()`. With `tls` it serves HTTPS
    with a certificate for `hosts`; give a host that is not this one to make host name checks fail.
    """

    def __init__(
        self,
        *,
        bind: str = "127.0.0.1",
        port: int = 0,
        tls: CertificateAuthority | None = None,
        hosts: Sequence[str] = LOCAL,
        latency: float = 0.0,
        rate_limit: int | None = None,
        strict_keys: bool = False,
    ) -> None:
        self._family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self._state = State(latency, rate_limit, strict_keys)
        self._tls = tls
        self._hosts = hosts
        # Bound but never listening, so that the port stays ours while the API is stopped: clients
        # are refused, and none of their connections gets the port for its own end.
        self._reserved = self._socket((bind, port))
        self._address = self._reserved.getsockname()[:2]
        self._listener: Listener | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="events-api", daemon=True
        )

    # where it is

    @property
    def port(self) -> int:
        return int(self._address[1])

    @property
    def url(self) -> str:
        """The base address, without a slash at the end."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._address[0], self._address[0])
        scheme = "https" if self._tls else "http"
        return (
            f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"
        )

    @property
    def ca_file(self) -> str:
        """The PEM file that clients must trust."""
        if self._tls is None:
            raise ValueError("this Events API speaks plain HTTP")
        return self._tls.ca_file

    # its life

    def start(self) -> None:
        """Listen. Does nothing if it does already."""
        if self._listener is not None:
            return
        if not self._thread.is_alive():
            self._thread.start()
        listener = Listener(self._state, self._tls.context(self._hosts) if self._tls else None)
        self._run(listener.start(self._socket(self._address)))
        self._listener = listener

    def stop(self) -> None:
        """Refuse new connections and reset all others. What arrived and what was scripted stays."""
        if self._listener is not None:
            self._run(self._listener.stop())
            self._listener = None

    def close(self) -> None:
        """Stop for good and give the port back."""
        self.stop()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()
        self._reserved.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # what it is told

    def script(self, scope: str | None, *answers: Answer) -> None:
        """Answer the next requests for a key, for a path, or (None) for any, with these in turn."""
        self._state.script.queue(scope, *answers)

    def always(self, scope: str | None, answer: Answer | None) -> None:
        """Give this answer whenever none is queued, None for PagerDuty's own again."""
        self._state.script.always(scope, answer)

    def clear_scripts(self) -> None:
        self._state.script.clear()

    def reset(self) -> None:
        """Forget what arrived and what was scripted."""
        self._state.reset()

    @property
    def latency(self) -> float:
        """Seconds that every answer takes."""
        return self._state.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._state.latency = seconds

    @property
    def rate_limit(self) -> int | None:
        """Events a key may send in any 60 s, None for any number."""
        return self._state.rate.limit

    @rate_limit.setter
    def rate_limit(self, limit: int | None) -> None:
        self._state.rate.limit = limit

    @property
    def unknown_keys(self) -> set[str]:
        """Keys that both versions of the API refuse. Add to it."""
        return self._state.unknown_keys

    @property
    def v1_only_keys(self) -> set[str]:
        """Keys that v2 refuses. Add to it."""
        return self._state.v1_only_keys

    # what it saw

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request, in the order of arrival."""
        return self._state.record.all()

    @property
    def accepted(self) -> tuple[Request, ...]:
        """The events that took effect, in that order."""
        return self._state.record.accepted()

    @property
    def incidents(self) -> tuple[Incident, ...]:
        with self._state.record.lock:
            return self._state.incidents.all()

    def incident(self, key: str, dedup_key: str) -> Incident:
        """KeyError if nothing was ever opened under that dedup key."""
        with self._state.record.lock:
            found = self._state.incidents.get(key, dedup_key)
        if found is None:
            raise KeyError((key, dedup_key))
        return found

    def wait_for(
        self, what: int | Callable[[tuple[Request, ...]], bool], timeout: float = 60.0
    ) -> tuple[Request, ...]:
        """Until so many requests arrived, or a look at them all is satisfied; else TimeoutError."""
        record = self._state.record
        if isinstance(what, int):
            record.wait(lambda: record.count >= what, timeout, f"{what} requests")
        else:
            record.wait(lambda: what(record.all()), timeout, "such requests")
        return record.all()

    def wait_accepted(self, count: int, timeout: float = 60.0) -> tuple[Request, ...]:
        """Until so many events took effect."""
        record = self._state.record
        record.wait(lambda: record.accepted_count >= count, timeout, f"{count} accepted events")
        return record.accepted()

    def _socket(self, address: tuple[str, int]) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        return sock

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)
