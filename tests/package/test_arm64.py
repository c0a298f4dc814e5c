"""The program for arm64, run by an emulator on the real arm64 glibc 2.17. Its archive is that of
amd64, so what the tests say of our own code there holds for both; here runs what differs: libpython
and OpenSSL."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests.support.agent import Agent, Command, directory, from_program
from tests.support.events import KEY, summaries
from tests.support.events_api import EventsApi
from tests.support.frozen import ARM64_PROGRAM, PROGRAM, ROOT, needs_arm64_program
from tests.support.proxies import Tinyproxy
from tests.support.users import AGENT

pytestmark = needs_arm64_program


@pytest.fixture(scope="session")
def command() -> Iterator[Command]:
    """How to run a command of the program, by any user: the cache may lie where only its owner can
    go, so what runs is a copy."""
    made = subprocess.run([ROOT / "ci" / "arm64.sh"], capture_output=True, text=True)
    if made.returncode == 69:
        pytest.skip(made.stderr.strip())
    assert made.returncode == 0, made.stderr
    with tempfile.TemporaryDirectory(prefix="pdagent-arm64-") as name:
        host = Path(name)
        host.chmod(0o755)
        shutil.copytree(made.stdout.strip(), host, symlinks=True, dirs_exist_ok=True)
        shutil.copy(ARM64_PROGRAM, host / "pdagent")
        linked = from_program(host / "pdagent")
        yield lambda name: [str(host / "qemu"), "-L", str(host / "root"), *linked(name)]


@pytest.fixture
def agent(command: Command, tls_api: EventsApi) -> Iterator[Agent]:
    url = tls_api.url.replace("127.0.0.1", "localhost")  # a name, for the C library to look up
    with (
        directory() as root,
        Agent(root, url, command, ca_file=tls_api.ca_file) as agent,
    ):
        yield agent


def archive(program: Path) -> bytes:
    with program.open("rb") as file:
        section = ELFFile(file).get_section_by_name("pydata")
        assert section is not None
        return bytes(section.data())


def test_the_archive_is_that_of_amd64() -> None:
    """Bytecode and nothing of the machine."""
    assert archive(ARM64_PROGRAM) == archive(PROGRAM)


def test_large_pages() -> None:
    """Kernels for arm64 may have pages of 64 kB, and load no segment that is aligned to less."""
    with ARM64_PROGRAM.open("rb") as file:
        aligned = [s["p_align"] for s in ELFFile(file).iter_segments() if s["p_type"] == "PT_LOAD"]
    assert aligned
    assert min(aligned) >= 0x10000


def test_commands(agent: Agent) -> None:
    """Each starts, and what is not plain takes the complete way."""
    agent.send(KEY, "trigger", "-d", "queued on arm64", "-i", "one")
    assert len(agent.names("pdq")) == 1
    assert KEY.encode() in agent.run("pd-queue", "status", user=AGENT, check=True).stdout
    nagios = ["-n", "host", "-f", "HOSTNAME=h", "-f", "HOSTSTATE=DOWN"]
    agent.run("pd-nagios", "-k", KEY, "-t", "PROBLEM", *nagios, check=True)
    agent.run("pd-zabbix", KEY, "trigger", "id:1\nhostname:h\nname:n\nstatus:s", check=True)
    agent.run(
        "pd-sensu",
        "-k",
        KEY,
        input=b'{"id": "1", "action": "create", "check": {"output": "o"}}',
        check=True,
    )
    assert len(agent.names("pdq")) == 4
    version = subprocess.run(
        [*agent.command("pdagent"), "version"], capture_output=True, text=True, check=True
    ).stdout
    assert "OpenSSL 3." in version
    refused = agent.run("pd-send", "-k", KEY, "-t", "bogus")
    assert refused.returncode == 2
    assert b"invalid choice: 'bogus'" in refused.stderr


def test_delivery_over_tls(agent: Agent, tls_api: EventsApi) -> None:
    """With the OpenSSL that the program holds."""
    agent.start()
    agent.send(KEY, "trigger", "-d", "over TLS")
    assert summaries(tls_api.wait_accepted(1)) == ["over TLS"]
    assert agent.stop() == 0


def test_delivery_through_a_proxy(agent: Agent, tls_api: EventsApi) -> None:
    if not shutil.which("tinyproxy"):
        pytest.skip("tinyproxy is not installed: see ci/packages.txt")
    with Tinyproxy(agent.root / "log") as proxy:
        agent.environment["https_proxy"] = proxy.url
        agent.start()
        agent.send(KEY, "trigger", "-d", "through the proxy")
        assert summaries(tls_api.wait_accepted(1)) == ["through the proxy"]
        assert f"CONNECT localhost:{tls_api.port}" in proxy.asked_for
