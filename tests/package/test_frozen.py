"""The frozen program does the same wherever and however it is called."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from tests.support.agent import Agent, from_source
from tests.support.events import KEY, enqueue, summaries
from tests.support.events_api import EventsApi
from tests.support.frozen import needs_one_file, needs_program, on_its_own

pytestmark = needs_program


@pytest.fixture
def agent(api: EventsApi) -> Iterator[Agent]:
    with on_its_own(api) as agent:
        yield agent


# What somebody's monitoring tool may hand over one day: arguments, and what is on stdin.
SENSU = ("pd-sensu", "-k", KEY)
ZABBIX = ("pd-zabbix", KEY)
NAGIOS = ("pd-nagios", "-k", KEY, "-n", "host", "-f", "HOSTNAME=a")
ODD: list[tuple[tuple[str | bytes, ...], bytes]] = [
    *[
        (SENSU, document)
        for document in (
            b"", b"{", b"[", b"nonsense", b"\xff\xfe", b'{"a": "\\x"}', b'{"a": "\\ud800"}',
            b"{} {}", b'{"check": {}}', b'{"check": {"status": NaN}}',
            b'{"check": {"status": 1e999}}', b"1" * 5000, b"[" * 100_000, b'"\x00"',
            b'{"id": "x", "action": "create\xff"}',
        )
    ],
    *[
        ((*ZABBIX, *words), b"")
        for words in (
            (), ("trigger",), ("trigger", ""), ("trigger", b"id:\xff\nhostname:\xff"),
            ("nonsense", "id:1\nhostname:a"), (b"\xff", "id:1\nhostname:a"),
            ("update", "id:1\nhostname:a"), ("", ""),
        )
    ],
    *[
        ((*NAGIOS, *more), b"")
        for more in (
            (), ("-t", "PROBLEM"), ("-t", "NONSENSE"), ("-t", b"\xff"),
            ("-t", "PROBLEM", "-f", b"HOSTSTATE=\xff"), ("-t", "PROBLEM", "-f", "nonsense"),
            ("-t", "DOWNTIMESTART", "-f", "HOSTSTATE=UP"), ("-t", "PROBLEM", "--config", b"/\xff"),
        )
    ],
    *[
        (("pd-send", "-k", KEY, *more), b"")
        for more in (
            (), ("-t", "trigger"), ("-t", b"\xff"), ("-t", "trigger", "-d", b"\xff", "-i", "x"),
            ("-t", "resolve", "-i", ""), ("-t", "trigger", "-d", "x", "-f", "nonsense"),
            ("-t", "trigger", "-d", "x", "-k", "a/b"), ("-t", "trigger", "-d", "x", "-k", b"\xff"),
            ("-t", "trigger", "-d", "x", "-i", "x", "--severity", "bad"),
            ("-t", "trigger", "-d", "x", "-i", "x", "-k", "@nobody"),
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(ODD)))
def test_says_what_the_source_says(agent: Agent, number: int) -> None:
    """Where the quick way has nothing but what is built in, mistakes are told as well as where all
    of Python is there: in a line, by the same exit code."""
    (name, *arguments), stdin = ODD[number]
    name = str(name)
    seen = agent.run(name, *arguments, input=stdin)
    agent.command = from_source()
    meant = agent.run(name, *arguments, input=stdin)
    assert (seen.returncode, seen.stdout) == (meant.returncode, meant.stdout)
    # beside it Python says what it knows of a line of JSON, which differs between its versions
    assert seen.stderr.split(b": ")[:2] == meant.stderr.split(b": ")[:2]
    assert seen.returncode in (0, 2, 65)
    assert b"Traceback" not in seen.stderr


def test_what_is_imported_only_when_it_is_wanted(api: EventsApi, agent: Agent) -> None:
    """The server of the endpoint, names of keys, and waiting."""
    path = agent.root / "run" / "events.sock"
    (agent.root / "keys").write_text(f"[Keys]\ndb = {KEY}\n")
    agent.configure(events_url=api.url, listen=path, keys_file=agent.root / "keys")
    agent.start()
    event = ["-k", "@db", "-t", "trigger", "-d", "x"]
    assert agent.run("pd-send", *event, "--wait=120").returncode == 0
    body = {"routing_key": "@db", "event_action": "resolve", "dedup_key": "d"}
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        connection = HTTPConnection("agent", timeout=60)
        connection.sock = client
        connection.request("POST", "/v2/enqueue", json.dumps(body))
        assert connection.getresponse().status == 202
    assert [request.key for request in api.wait_accepted(2)] == [KEY, KEY]


@pytest.mark.parametrize("streams", [(1,), (0, 1, 2)])
@pytest.mark.parametrize("extra", [(), ("--severity=error", "-i=closed")])
def test_closed_streams(agent: Agent, streams: tuple[int, ...], extra: tuple[str, ...]) -> None:
    """The event is queued, whether or not there is somebody to tell."""

    def close() -> None:
        for stream in streams:
            os.close(stream)

    arguments = ("-k", KEY, "-t", "trigger", "-d", "nobody listens", *extra)
    assert agent.run("pd-send", *arguments, preexec=close).returncode == 0
    assert len(agent.names("pdq")) == 1


def test_a_receipt_that_nobody_reads(agent: Agent) -> None:
    """A pipe whose reader has gone costs neither the event nor the exit code."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [*agent.command("pd-send"), "--config", str(agent.conf), "-k", KEY]
    plain = ["-t", "trigger", "-d", "unread"]
    done = subprocess.run([*command, *plain], stdout=writer, env=agent.environment)
    os.close(writer)
    assert done.returncode == 0
    assert len(agent.names("pdq")) == 1


EARLY: dict[str, tuple[tuple[str | bytes, ...], bytes]] = {
    "pd-send": (("-k", KEY, "-t", "trigger", "-d", "\u00e4\U0001f525", "-i", b"\xff"), b""),
    "pd-nagios": ((*NAGIOS[1:], "-t", "PROBLEM", "-f", "HOSTSTATE=DOWN"), b""),
    "pd-zabbix": ((KEY, "trigger", "id:1\nhostname:h\nname:n\nstatus:s"), b""),
    "pd-sensu": (("-k", KEY), b'{"id": "1", "action": "create", "check": {"output": "o"}}'),
}


@needs_one_file
@pytest.mark.parametrize("name", EARLY)
def test_a_plain_command_ends_before_python_has_quite_started(agent: Agent, name: str) -> None:
    """Python looks at every signal's handler in its main phase, which is a third of a start and
    more. Letters of all kinds, and bytes that are none, are plain."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: see ci/packages.txt")
    arguments, stdin = EARLY[name]
    trace = agent.root / "trace"
    under = ("strace", "-o", str(trace), "-e", "trace=rt_sigaction")
    done = agent.run(name, *arguments, under=under, input=stdin)
    assert done.returncode == 0, done
    assert len(agent.names("pdq")) == 1
    handlers = [line for line in trace.read_text().splitlines() if "rt_sigaction(" in line]
    assert len(handlers) < 10


@needs_one_file
def test_interrupted_at_each_moment_of_the_start(agent: Agent) -> None:
    """It ends as by ^C, without a word. Python itself would end with a traceback, or a fatal error,
    where it is not quite there."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: see ci/packages.txt")
    trace = str(agent.root / "trace")
    ends = set()
    for number in range(1, 100):
        when = f"inject=mmap,openat,pread64:signal=SIGINT:when={number}"
        done = agent.run("pd-queue", "status", under=("strace", "-o", trace, "-e", when))
        assert done.stderr == b""
        ends.add(done.returncode)
        if done.returncode == 0:
            break
    assert ends == {-signal.SIGINT, 130, 0}


@needs_one_file
@pytest.mark.parametrize(
    "command",
    [("pd-queue", "status"), ("pd-send", "--version"), ("pd-sensu", "-k", KEY)],
    ids=" ".join,
)
def test_a_directory_as_stdin_is_none(agent: Agent, command: tuple[str, ...]) -> None:
    """Python does not start with one. Here it is as if stdin had been closed."""
    name, *arguments = command
    ends = []
    for redirected in ("</", "<&-"):
        under = ("sh", "-c", f'exec "$@" {redirected}', "sh")
        done = agent.run(name, *arguments, under=under)
        ends.append((done.returncode, done.stdout, done.stderr))
    assert ends[0] == ends[1]
    assert b"Fatal" not in ends[0][2]


@needs_one_file
def test_one_process_one_file(agent: Agent) -> None:
    """A plain pd-send starts nothing, and makes no file but its event."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: see ci/packages.txt")
    trace = agent.root / "trace"
    plain = ["--config", str(agent.conf), "-k", KEY, "-t", "trigger", "-d", "seen"]
    calls = "trace=execve,clone,clone3,fork,vfork,openat,open,mkdir,mkdirat"
    command = ["strace", "-f", "-o", str(trace), "-e", calls, *agent.command("pd-send"), *plain]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=agent.environment)
    lines = trace.read_text().splitlines()
    assert len([line for line in lines if "execve(" in line]) == 1
    assert not [line for line in lines if "clone" in line or "fork" in line or "mkdir" in line]
    [made] = [line for line in lines if "O_CREAT" in line]
    assert str(agent.spool / "tmp") in made


@needs_one_file
def test_a_bug_leaves_a_traceback_in_the_log(agent: Agent) -> None:
    """The program has light stand-ins for traceback and inspect, until somebody wants them."""
    broken = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=poll:error=EFAULT"]
    agent.start(wait=False, under=broken)
    assert agent.daemon is not None
    assert agent.daemon.wait(timeout=60) != 0
    log = agent.log_file.read_text()
    assert "Traceback (most recent call last)" in log
    assert "OSError: [Errno 14] Bad address" in log


@needs_one_file
def test_upgrade_under_a_running_daemon(agent: Agent, api: EventsApi) -> None:
    """The program's file is replaced before the daemon has read all of itself: what it first
    needs at the first event must come from the file that it was started from."""
    agent.start()
    new = agent.root / "program" / "new"
    new.write_bytes(b"\x00" * 100_000)
    new.replace(agent.root / "program" / "pdagent")
    enqueue(agent, KEY, "a", "after the upgrade")
    assert summaries(api.wait_accepted(1)) == ["after the upgrade"]
    assert agent.stop() == 0
