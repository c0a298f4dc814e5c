"""The frozen program does the same wherever and however it is called."""

import ctypes
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from pdagent import exits
from tests.support.agent import Agent, directory, from_program, from_source, wait_until
from tests.support.events import KEY, enqueue, summaries
from tests.support.events_api import CertificateAuthority, EventsApi
from tests.support.faults import attached
from tests.support.frozen import PROGRAM, needs_one_file, needs_program

pytestmark = needs_program

INTRUDER = "open('{marker}', 'w').close()\nraise SystemExit('an intruder ran')\n"
NAMES = ("pdagent", "os", "json", "argparse", "struct", "encodings", "sitecustomize", "posix")


@pytest.fixture
def agent(api: EventsApi) -> Iterator[Agent]:
    """An agent of which all commands are the frozen program, in a place of its own."""
    with directory() as root:
        program = root / "program"
        shutil.copytree(PROGRAM.parent, program)
        with Agent(root, api.url, from_program(program / "pdagent")) as agent:
            yield agent


@pytest.fixture
def intruders(agent: Agent) -> Iterator[Path]:
    """A directory with modules of well-known names, none of which may run."""
    place, marker = agent.root / "intruders", agent.root / "marker"
    place.mkdir()
    for name in NAMES:
        (place / f"{name}.py").write_text(INTRUDER.format(marker=marker))
    for name in ("_internal", "lib-dynload"):
        shutil.copytree(place, place / name, ignore=shutil.ignore_patterns("_internal"))
    yield place
    assert not marker.exists()


def all_commands_work(agent: Agent, environment: dict[str, str], cwd: str = "/") -> None:
    """The quick way, the complete way and the two other programs."""

    def run(*command: str) -> str:
        name, *arguments = command
        result = subprocess.run(
            [*agent.command(name), *arguments],
            env={**agent.environment, **environment},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 0, result
        assert result.stderr == ""
        return result.stdout

    conf = ("--config", str(agent.conf))
    before = len(agent.names("pdq"))
    said = run("pd-send", *conf, "-k", KEY, "-t", "trigger", "-d", "plain ✓", "-i", "plain")
    assert said == "Event processed. Incident Key: plain\n"
    # an attached value is not plain
    said = run("pd-send", *conf, f"-k{KEY}", "-ttrigger", "-d", "complete ✓", "-i", "complete")
    assert said == "Event processed. Incident Key: complete\n"
    assert len(agent.names("pdq")) == before + 2
    assert run("pd-send", "-h").startswith("usage: pd-send")
    assert "Pending" in run("pd-queue", "status", *conf)
    assert run("pdagentd", "-h").startswith("usage: pdagentd")
    assert "OpenSSL 3." in run("pdagent", "version")


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


@pytest.mark.parametrize(
    "variable",
    [
        "PYTHONHOME",
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "_MEIPASS2",
        "_PYI_APPLICATION_HOME_DIR",
        "_PYI_ARCHIVE_FILE",
        "PYTHONUSERBASE",
        "PYTHONPLATLIBDIR",
        "PYTHONPYCACHEPREFIX",
        "TMPDIR",
    ],
)
def test_directories_in_the_environment(agent: Agent, intruders: Path, variable: str) -> None:
    all_commands_work(agent, {variable: str(intruders)})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PYTHONSTARTUP", "/etc/passwd"),
        ("PYTHONINSPECT", "1"),
        ("PYTHONVERBOSE", "1"),
        ("PYTHONUTF8", "0"),
        ("PYTHONIOENCODING", "utf-16"),
        ("PYTHONWARNINGS", "error"),
        ("PYTHONHASHSEED", "none"),
        ("PYTHONMALLOC", "debug"),
        ("PYTHONOPTIMIZE", "7"),
        ("LC_ALL", "C"),
        ("LC_ALL", "xx_YY.KOI8-R"),
        ("TMPDIR", "/nowhere"),
        ("HOME", "/nowhere"),
    ],
)
def test_settings_in_the_environment(agent: Agent, variable: str, value: str) -> None:
    all_commands_work(agent, {"LANG": "", variable: value})


@needs_one_file
@pytest.mark.parametrize("level", ["-1", "0", "1", "2", "99", "nonsense"])
def test_told_to_be_a_child_of_itself(agent: Agent, intruders: Path, level: str) -> None:
    """PyInstaller's own variables, as an attacker would set them, are neither believed nor passed
    on."""
    environment = {
        "_PYI_PARENT_PROCESS_LEVEL": level,
        "_PYI_ARCHIVE_FILE": str((agent.root / "program" / "pdagent").resolve()),
        "_PYI_APPLICATION_HOME_DIR": str(intruders),
        "_PYI_SPLASH_IPC": "1",
        "PYINSTALLER_RESET_ENVIRONMENT": "1",
        "PYINSTALLER_STRICT_UNPACK_MODE": "1",
    }
    all_commands_work(agent, environment)


def test_modules_in_the_working_directory(agent: Agent, intruders: Path) -> None:
    all_commands_work(agent, {}, cwd=str(intruders))


@needs_one_file
def test_modules_beside_the_program(agent: Agent, intruders: Path) -> None:
    shutil.copytree(intruders, agent.root / "program", dirs_exist_ok=True)
    all_commands_work(agent, {})


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
