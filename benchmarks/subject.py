"""What is measured: the frozen program if there is one, else the agent from source."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support.agent import Agent, Command, directory, from_program, from_source
from tests.support.events_api import CertificateAuthority, EventsApi

PROGRAM = Path("build/freeze/pdagent")


@dataclass
class Subject:
    """`program` is None for the agent from source; `scale` makes backlogs longer or shorter."""

    program: Path | None
    scale: float

    @property
    def name(self) -> str:
        return "from source" if self.program is None else "frozen"

    @cached_property
    def command(self) -> Command:
        if self.program is None:
            return from_source()
        # a copy, since a checkout may lie where the agent's user can't go
        self._copy = tempfile.TemporaryDirectory(prefix="pdagent-program-")
        os.chmod(self._copy.name, 0o755)
        shutil.copytree(self.program.parent, self._copy.name, dirs_exist_ok=True)
        return from_program(Path(self._copy.name) / self.program.name)

    def events(self, count: int) -> int:
        return max(1, round(count * self.scale))

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
