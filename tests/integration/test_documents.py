"""Every example in the README and in docs/ does what it says, against an agent of its own."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.documents import REPOSITORY, Block, blocks, documents
from tests.support.events import enqueue
from tests.support.events_api import EventsApi
from tests.support.ports import free_port

COMMANDS = ("pd-send", "pd-queue", "pd-nagios", "pd-zabbix", "pd-sensu", "pdagent")
RUN = [page for page in documents() if any(block.kind == "run" for block in blocks(page))]
MONITORING = ("/etc/nagios4", "/etc/icinga2", "/etc/sensu", "/etc/zabbix")
END = "\x1e"


class Place:
    """A directory in which the examples' commands, files and ports are those of a test's agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._ports: dict[str, str] = {}
        self._bin = agent.root / "bin"
        self._bin.mkdir()
        for name in COMMANDS:
            self._command(name, f"exec {shlex.join(agent.command(name))}")
        self._command("sudo", "[ $1 != -u ] || shift 2; exec")
        self._command("chown", ":")  # the host's users are not here
        for directory in (*MONITORING, "/usr/lib/zabbix/alertscripts"):
            (agent.root / directory[1:] / "conf.d").mkdir(parents=True)
        (agent.root / "etc/zabbix/zabbix_server.conf").write_text("AlertScriptsPath=/usr/lib\n")
        queue = shlex.join(agent.command("pd-queue"))
        watch = f'watch) timeout 2 {queue} "$@" || [ $? = 124 ]; exit ;;'  # a person's ^C
        purge = f'purge) exec {queue} "$@" --yes ;;'  # a person's answer
        self._command("pd-queue", f"case $1 in {watch} {purge} esac; exec {queue}")

    def _command(self, name: str, does: str) -> None:
        path = self._bin / name
        path.write_text(f'#!/bin/sh\n{does} "$@"\n')
        path.chmod(0o755)

    def here(self, text: str) -> str:
        """An example's text, with this agent's paths, and free ports for those that it names."""
        root = self._agent.root
        for there, here in {
            "/var/lib/pdagent": self._agent.data_dir,
            "/var/log/pdagent": root / "log",
            "/run/pdagent": root / "run",
            "/etc/pdagent.conf": self._agent.conf,
            "/var/lib/prometheus/node-exporter": root / "log",
            "/usr/share/pdagent-integrations/conf": REPOSITORY / "packaging" / "integrations",
            "/usr/lib/zabbix": root / "usr" / "lib" / "zabbix",
            **{directory: root / directory[1:] for directory in MONITORING},
        }.items():
            text = text.replace(there, str(here))
        return re.sub(r"(?<=127\.0\.0\.1:)\d+", self._port, text)

    def _port(self, found: re.Match[str]) -> str:
        if found[0] not in self._ports:
            self._ports[found[0]] = str(free_port())
        return self._ports[found[0]]

    def run(self, block: Block) -> None:
        steps = self._steps(block.text)
        script = "".join(f"{command}\nprintf '{END}'\n" for command, _ in steps)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here(script)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            cwd=self._agent.root,
            env={
                **self._agent.environment,
                "PATH": f"{self._bin}:/usr/bin:/bin",
                "PDAGENT_CONF": str(self._agent.conf),
                "HOME": str(self._agent.root),
            },
        )
        said = f"{block}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, said
        printed_by = done.stdout.split(END)[:-1]  # behind the last end there is nothing
        for (command, expected), printed in zip(steps, printed_by, strict=True):
            shown = [shape(line) for line in printed.splitlines()]
            for line in (expected or "").splitlines():
                assert shape(self.here(line)) in shown, f"{block}: {command}: {printed}"

    @staticmethod
    def _steps(text: str) -> list[tuple[str, str | None]]:
        """Commands, and what they print where the example says so."""
        if not text.startswith("$ "):
            return [(text, None)]
        steps = []
        for session in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, output = session.partition("\n")
            steps.append((command, output))
        return steps


def shape(text: str) -> str:
    """What is the same each time: no numbers, no widths, no colours, and no date of a time, which
    has one once midnight has passed."""
    text = re.sub(r"\b\d{4}-\d\d-\d\d (?=\d\d:\d\d\b)", "", text)
    return re.sub(r"\s+", " ", re.sub(r"\d+", "N", re.sub(r"=+", "=", text))).strip()


@pytest.fixture
def place(agent: Agent) -> Iterator[Place]:
    place = Place(agent)
    yield place
    wait_until(lambda: agent.names("pdq") == [])


def in_error(api: EventsApi, agent: Agent) -> str:
    """An event that PagerDuty refused, as pd-queue calls it."""
    api.unknown_keys.add("KEY")
    name = enqueue(agent, "KEY", "server.fire", "refused")
    wait_until(lambda: name in agent.names("err"))
    return name.removesuffix(".txt")


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_examples(api: EventsApi, agent: Agent, place: Place, page: Path) -> None:
    """A page's commands, in its order; with what it has people write into pdagent.conf to be used.
    EVENT is one in error."""
    found = list(blocks(page))
    used = [block.text for block in found if block.argument == "pdagent.conf used"]
    agent.conf.write_text(agent.conf.read_text() + place.here("".join(used)))
    agent.start()
    for block in found:
        if block.kind == "run":
            text = block.text
            if re.search(r"\bEVENT\b", text):
                text = re.sub(r"\bEVENT\b", in_error(api, agent), text)
            place.run(replace(block, text=text))
