"""The repositories that ci/hosts/repos.sh made, served over HTTP."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2] / "build" / "hosts" / "repo"
NAME = "packages.test"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Not into the tests' output."""


@contextmanager
def served() -> Iterator[str]:
    """The address of the directory that holds the repositories."""
    handler = functools.partial(Quiet, directory=str(ROOT))
    with ThreadingHTTPServer(("", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{NAME}:{server.server_port}"
        server.shutdown()
