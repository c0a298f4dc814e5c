"""The frozen program takes little memory, none of it both writable and executable, and says so if
there is none."""

import ctypes
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdagent import exits
from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, summaries
from tests.support.events_api import CertificateAuthority, EventsApi
from tests.support.faults import attached
from tests.support.frozen import needs_one_file, needs_program, on_its_own

pytestmark = needs_program


@pytest.fixture
def agent(api: EventsApi) -> Iterator[Agent]:
    with on_its_own(api) as agent:
        yield agent


@needs_one_file
def test_where_memory_is_short(agent: Agent) -> None:
    """Python starts, and what it needs to deliver directly finds no room: one line says so, and
    that it can be tried again."""
    agent.configure(direct_delivery="on")
    shutil.rmtree(agent.spool)
    event = ("-k", KEY, "-t", "trigger", "-d", "x")
    said = []
    for kibibytes in range(22_000, 28_000, 500):
        under = ("sh", "-c", f'ulimit -v {kibibytes}; exec "$@"', "sh")
        done = agent.run("pd-send", *event, under=under)
        assert done.returncode == exits.TRY_AGAIN, done
        said.append(done.stderr)
    words = b"out of memory: free some, or allow more (ulimit -v), and try again"
    assert b"pd-send: %b\n" % words in said
    assert not [text for text in said if text.count(b"\n") > 1]


@pytest.fixture
def authority(agent: Agent) -> CertificateAuthority:
    (agent.root / "ca").mkdir(mode=0o755)
    return CertificateAuthority(str(agent.root / "ca"))


def test_no_memory_both_writable_and_executable(
    agent: Agent, authority: CertificateAuthority
) -> None:
    """A delivery over TLS under the kernel's own form of systemd's MemoryDenyWriteExecute."""
    libc = ctypes.CDLL(None)
    if libc.prctl(66, 0, 0, 0, 0) == -1:  # PR_GET_MDWE
        pytest.skip("this kernel has no PR_SET_MDWE")
    real = agent.command

    def command(name: str) -> list[str]:
        # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN: inherited, and there is no way back
        code = "import ctypes, os, sys; assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0; "
        return ["/usr/bin/python3", "-c", code + "os.execv(sys.argv[1], sys.argv[1:])", *real(name)]

    agent.command = command
    with EventsApi(tls=authority) as api:
        agent.configure(events_url=api.url, ca_file=authority.ca_file)
        agent.start()
        agent.send(KEY, "trigger", "-d", "read-only code")
        assert summaries(api.wait_accepted(1)) == ["read-only code"]


@needs_one_file
def test_an_idle_daemon_gives_back_what_starting_took(agent: Agent) -> None:
    """What it touched of the program's file to get there is some 8 MB, of which looking needs less
    than 5.5. All of it is 12 MB (benchmarks/idle.py), and half a megabyte for another machine."""
    agent.configure(events_url="http://127.0.0.1:9", send_interval_secs=1)
    agent.start()
    assert agent.daemon is not None
    status = Path(f"/proc/{agent.daemon.pid}/status")

    def kilobytes(field: str) -> int:
        return int(status.read_text().partition(f"{field}:")[2].split()[0])

    wait_until(lambda: kilobytes("RssFile") < 5500 and kilobytes("VmRSS") < 12.5 * 1024)


@needs_one_file
def test_an_idle_daemon_gives_nothing_back_each_time_it_looks(agent: Agent) -> None:
    """It would have to fetch it again each time: that is one wake-up more."""
    agent.configure(events_url="http://127.0.0.1:9", send_interval_secs=1)
    agent.start()
    assert agent.daemon is not None
    trace = agent.root / "trace"

    def quiet() -> bool:
        # What starting took goes back at the first quiet look, which a busy machine puts off.
        looks = re.split(r".*statfs.*\n", trace.read_text())
        return len(looks) > 5 and not any("madvise" in look for look in looks[-4:])

    with attached(agent.daemon.pid, "madvise,statfs", trace):
        wait_until(quiet)
