"""What is measured: the frozen program if there is one, else the agent from source."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import frozen
from tests.support.agent import Agent, Command, directory, from_source
from tests.support.events_api import CertificateAuthority, EventsApi

PROGRAM = Path("build/freeze/pdagent")


@dataclass
class Subject:
    """`program` is None for the agent from source; `scale` makes backlogs longer or shorter."""

    program: Path | None
    scale: float
    plots: Path | None = None

    @property
    def name(self) -> str:
        return "from source" if self.program is None else "frozen"

    @property
    def command(self) -> Command:
        return from_source() if self.program is None else frozen.command(self.program)

    def events(self, count: int) -> int:
        return max(1, round(count * self.scale))

    def plot(self, name: str, svg: str) -> None:
        """Keeps a chart, where charts are wanted."""
        if self.plots is not None:
            self.plots.mkdir(parents=True, exist_ok=True)
            (self.plots / f"{name}.svg").write_text(svg)

    @contextlib.contextmanager
    def agent(self, api: EventsApi, **settings: object) -> Iterator[Agent]:
        """An agent for `api`, not started yet."""
        if api.url.startswith("https:"):
            settings["ca_file"] = api.ca_file
        with directory() as root:
            os.chmod(root, 0o755)
            with Agent(root, api.url, self.command, **settings) as agent:
                yield agent


def tls_api() -> EventsApi:
    authority = CertificateAuthority()
    os.chmod(os.path.dirname(authority.ca_file), 0o755)
    os.chmod(authority.ca_file, 0o644)
    return EventsApi(tls=authority)
