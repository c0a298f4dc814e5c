"""The program on the oldest host that is promised: the real glibc 2.17, and nothing else at all."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, summaries
from tests.support.events_api import CertificateAuthority, EventsApi
from tests.support.frozen import PROGRAM, ROOT, needs_one_file
from tests.support.proxies import Tinyproxy
from tests.support.users import AGENT, SENDER, User

pytestmark = [
    needs_one_file,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the root directory"),
]


class OldHost(Agent):
    """An agent of which everything runs in a root directory that holds a libc, a few files of
    /etc, and no shell, no /tmp, no /proc, no /dev."""

    def __init__(self, root: Path, events_url: str, glibc: Path) -> None:
        shutil.copytree(glibc, root, symlinks=True, dirs_exist_ok=True)
        (root / "etc").mkdir()
        (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
        (root / "etc" / "nsswitch.conf").write_text("hosts: files dns\npasswd: files\n")
        # one name for every file, inside and outside
        outside = root / str(root).lstrip("/")
        outside.parent.mkdir(parents=True)
        outside.symlink_to("/")
        shutil.copy(PROGRAM, root / "pdagent.program")
        super().__init__(root, events_url, lambda name: [str(root / name)])
        for name in ("pd-send", "pd-queue", "pdagentd", "pdagent"):
            (root / name).symlink_to("pdagent.program")

    def popen(self, user: User) -> dict[str, Any]:
        def enter() -> None:
            os.chroot(self.root)
            os.chdir("/")
            os.setgroups([])
            os.setgid(user.gid)
            os.setuid(user.uid)

        return {"preexec_fn": enter, "stdin": subprocess.DEVNULL, "env": self.environment}

    def start(self, wait: bool = True, under: Sequence[str] = ()) -> None:
        with self.output.open("ab") as output:
            self.daemon = subprocess.Popen(
                [*self.command("pdagentd"), "-f", "--config", str(self.conf)],
                stdout=output,
                stderr=output,
                **self.popen(AGENT),
            )
        wait_until(lambda: b"Ready:" in self.output.read_bytes() or self._died())

    def call(self, name: str, *arguments: str, user: User = SENDER) -> str:
        command = [*self.command(name), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, **self.popen(user))
        assert result.returncode == 0, result
        return str(result.stdout)

    def queue(self, summary: str) -> None:
        said = self.call(
            "pd-send", "--config", str(self.conf), "-k", KEY, "-t", "trigger", "-d", summary
        )
        assert said.startswith("Event processed.")


@pytest.fixture(scope="session")
def glibc() -> Path:
    result = subprocess.run([ROOT / "ci" / "old-glibc.sh"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.strip())


@pytest.fixture
def agent(api: EventsApi, glibc: Path) -> Iterator[OldHost]:
    # not in /tmp, which is not to be there on the inside
    with tempfile.TemporaryDirectory(prefix="pdagent-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        host = OldHost(Path(name) / "host", api.url, glibc)
        with host:
            yield host


@pytest.fixture
def tls_api(agent: OldHost) -> Iterator[EventsApi]:
    (agent.root / "ca").mkdir(mode=0o755)
    with EventsApi(tls=CertificateAuthority(str(agent.root / "ca"))) as api:
        url = api.url.replace("127.0.0.1", "localhost")  # a name, for the C library to look up
        agent.configure(events_url=url, ca_file=api.ca_file)
        yield api


def test_it_is_that_old(glibc: Path) -> None:
    """What the tests below run on is what they say."""
    assert b"stable release version 2.17, " in (glibc / "lib64" / "libc.so.6").read_bytes()


def test_commands(agent: OldHost) -> None:
    """Every command of the frozen program runs there."""
    agent.queue("queued on an old host")
    assert len(agent.names("pdq")) == 1
    assert KEY in agent.call("pd-queue", "status", "--config", str(agent.conf), user=AGENT)
    assert agent.call("pd-send", "-h").startswith("usage: pd-send")
    assert "OpenSSL 3." in agent.call("pdagent", "version")


def test_delivery_over_tls(agent: OldHost, tls_api: EventsApi) -> None:
    agent.start()
    agent.queue("over TLS")
    assert summaries(tls_api.wait_accepted(1)) == ["over TLS"]
    assert agent.stop() == 0


def test_delivery_through_a_proxy(agent: OldHost, tls_api: EventsApi) -> None:
    if not shutil.which("tinyproxy"):
        pytest.skip("tinyproxy is not installed: see ci/packages.txt")
    with Tinyproxy(agent.root / "log") as proxy:
        agent.environment["https_proxy"] = proxy.url
        agent.start()
        agent.queue("through the proxy")
        assert summaries(tls_api.wait_accepted(1)) == ["through the proxy"]
        assert f"CONNECT localhost:{tls_api.port}" in proxy.asked_for


def test_nothing_may_be_run_from_tmp(agent: OldHost, tls_api: EventsApi) -> None:
    """A /tmp that is mounted noexec, and full besides."""
    tmp = agent.root / "tmp"
    tmp.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "noexec,size=4k,mode=1777", "tmp", tmp], check=True
    )
    try:
        (tmp / "full").write_bytes(b"x" * 4096)
        agent.start()
        agent.queue("no use for /tmp")
        assert summaries(tls_api.wait_accepted(1)) == ["no use for /tmp"]
        assert [path.name for path in tmp.iterdir()] == ["full"]
    finally:
        subprocess.run(["umount", "-l", tmp], check=True)
