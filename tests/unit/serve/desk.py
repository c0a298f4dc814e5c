"""A desk: an endpoint without a socket, and events to hand in."""

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pdagent.config import Config
from pdagent.queue.origins import Origins
from pdagent.serve.endpoint import Endpoint
from pdagent.serve.tally import Tally
from pdagent.serve.tokens import Senders
from pdagent.spool import Spool
from pdagent.wire.passage import Passage
from tests.support.events import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

PAYLOAD = {"summary": "disk full", "source": "db1", "severity": "error"}
ALERT = {"routing_key": KEY, "event_action": "trigger", "dedup_key": "d", "payload": PAYLOAD}
CHANGE = {"routing_key": KEY, "payload": {"summary": "deployed"}}
V1 = {"service_key": KEY, "event_type": "trigger", "incident_key": "d", "description": "disk full"}
WEB1, DB1 = "web1-0123456789abcdef", "db1-0123456789abcdef"
Said = tuple[int, dict[str, object], dict[str, str]]


class Desk:
    """An endpoint without a socket."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pending = 0
        self.local = True
        self.named: dict[str, str] = {}
        self.tally = Tally()
        self.passage = Passage()
        self.origins = Origins(str(root))
        self._endpoints: dict[bool, Endpoint] = {}
        self.configure()

    def configure(self, **values: str | int) -> None:
        self.settings = Config({"data_dir": str(self.root.parent), **values}, {"db": KEY})

    def _endpoint(self) -> Endpoint:
        """One as long as `local` is the same."""
        if self.local not in self._endpoints:
            self._endpoints[self.local] = Endpoint(
                lambda: self.settings,
                Spool(str(self.root)),
                lambda: self.pending,
                self.local,
                lambda: Senders(self.settings.listen_token, self.named),
                self.tally,
                self.passage,
                self.origins,
            )
        return self._endpoints[self.local]

    def ask(self, path: str, body: object, method: str = "POST", **environ: str) -> Said:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        said: list[tuple[int, dict[str, str]]] = []
        endpoint = self._endpoint()
        request = {
            "PATH_INFO": path,
            "REQUEST_METHOD": method,
            "wsgi.input": io.BytesIO(data),
            **environ,
        }

        def start(
            status: str, headers: list[tuple[str, str]], *_: object
        ) -> "Callable[..., object]":
            said.append((int(status.split()[0]), dict(headers)))
            return lambda data: None

        text = b"".join(endpoint(request, start))
        [(status, headers)] = said
        assert headers.pop("Content-Length") == str(len(text))
        assert headers.pop("Content-Type") == "application/json"
        return status, json.loads(text), headers

    def queued(self) -> list[dict[str, object]]:
        return [json.loads((self.root / "pdq" / name).read_bytes())
                for name in sorted(os.listdir(self.root / "pdq"))]  # fmt: skip
