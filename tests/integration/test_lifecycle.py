"""The daemon's life: starting, reloading, stopping, being killed, in the foreground and not."""

import contextlib
import os
import re
import resource
import select
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdagent.daemon import life
from tests.support.agent import PATIENCE_SECONDS, Agent, beginning_with, wait_until
from tests.support.events import KEY, chains, enqueue, key, sent, summaries
from tests.support.events_api import Answer, EventsApi
from tests.support.faults import attached
from tests.support.ports import free_port
from tests.support.users import AGENT, ROOT, SENDER


def test_sigterm_lets_what_is_on_its_way_arrive(api: EventsApi, agent: Agent) -> None:
    """SIGTERM waits for the answers to what was sent, sends nothing more, and exits 0; the rest
    stays pending."""
    gate = threading.Event()
    api.always(None, Answer(delay=1.0))
    for each in (1, 2):
        api.script(key(each), Answer(gate=gate))
    for number in range(3):
        enqueue(agent, key(1), "a", f"{number}")
        enqueue(agent, key(2), "a", f"{number}")
    agent.start()
    api.wait_for(2)
    daemon = agent.daemon
    assert daemon is not None
    daemon.terminate()
    wait_until(lambda: "Stopping due to signal" in agent.log)
    gate.set()
    assert daemon.wait(PATIENCE_SECONDS) == 0
    agent.daemon = None
    # The line is written a moment before the workers hear of it: one of them may have begun anew.
    sent_by_then = len(api.requests)
    assert 2 <= sent_by_then <= 4
    assert len(agent.names("suc")) == sent_by_then
    assert len(agent.names("pdq")) == 6 - sent_by_then
    api.always(None, None)
    agent.start()
    api.wait_accepted(6)
    assert all(found == ["0", "1", "2"] for found in chains(api.requests).values())
    assert len(api.requests) == 6


def test_sigterm_does_not_wait_for_ever(api: EventsApi, agent: Agent) -> None:
    """An answer that does not come delays a stop by 15 s at most, here 2; the event stays
    pending."""
    assert life.STOP_SECONDS == 15
    less = "import pdagent.daemon.life as life; life.STOP_SECONDS = 2"
    agent.command = beginning_with(less, "pdagentd")
    api.script(KEY, Answer(hang=True))
    name = enqueue(agent, KEY, "a", "hangs")
    agent.start()
    api.wait_for(1)
    assert agent.stop() == 0
    assert agent.names("pdq") == [name]
    assert "stay pending" in agent.log
    agent.start()
    assert summaries(api.wait_accepted(1)) == ["hangs"]


def test_sigint_ends_it_too(agent: Agent) -> None:
    """Ctrl-C in the foreground is a graceful stop."""
    agent.start()
    assert agent.end(signal.SIGINT) == 0
    assert "exiting normally" in agent.log


def test_kill_9_in_mid_drain(api: EventsApi, agent: Agent) -> None:
    """However often the daemon is killed: no event lost, no order broken, and what is sent twice is
    the same byte for byte."""
    events = 400
    for number in range(events):
        enqueue(agent, key(number % 4), f"incident {number % 12}", f"{number:04}")
    api.latency = 0.01
    for kill in range(1, 7):
        agent.start()
        api.wait_accepted(kill * 50)
        assert agent.end(signal.SIGKILL) == -signal.SIGKILL
    api.latency = 0.0
    agent.start()
    wait_until(lambda: len(agent.names("suc")) == events)
    assert agent.names("pdq") == agent.names("err") == []
    assert sorted(set(summaries(api.accepted))) == [f"{number:04}" for number in range(events)]
    in_order: dict[str | None, list[str]] = {}
    for request in api.accepted:
        in_order.setdefault(request.dedup_key, []).extend(summaries([request]))
    for found in in_order.values():
        assert found == sorted(found)  # a resent event comes before all that follow it
    bodies: dict[str, set[bytes]] = {}
    for request in api.accepted:
        bodies.setdefault(summaries([request])[0], set()).add(request.body)
    assert all(len(found) == 1 for found in bodies.values())


def test_one_daemon_per_spool(api: EventsApi, agent: Agent) -> None:
    """A second daemon says which one serves the spool, and exits 75."""
    agent.start()
    assert agent.daemon is not None
    second = agent.run("pdagentd", "-f", user=AGENT)
    assert second.returncode == 75
    [line] = second.stderr.decode().splitlines()
    assert f"running already (pid {agent.daemon.pid})" in line
    assert str(agent.spool) in line
    agent.send(KEY, "trigger", "-d", "still served")
    assert summaries(api.wait_accepted(1)) == ["still served"]


# --- the configuration anew ---------------------------------------------------------------------


def test_sighup_takes_up_a_new_configuration(api: EventsApi, agent: Agent) -> None:
    """After SIGHUP events go where the new configuration says; nothing is lost on the way."""
    api.always(None, Answer(delay=0.3))
    agent.start()
    enqueue(agent, KEY, "a", "first")
    enqueue(agent, KEY, "a", "second")
    api.wait_for(1)
    assert agent.daemon is not None
    with EventsApi() as other:
        agent.configure(events_url=other.url)
        agent.daemon.send_signal(signal.SIGHUP)
        wait_until(lambda: "configuration reloaded" in agent.log)
        enqueue(agent, KEY, "a", "third")
        assert summaries(other.wait_for(lambda seen: "third" in summaries(seen)))[-1] == "third"
        both = summaries([*api.accepted, *other.accepted])
    assert both == ["first", "second", "third"]


def test_sighup_keeps_the_old_configuration_when_the_new_one_is_bad(
    api: EventsApi, agent: Agent
) -> None:
    """A mistake is named with file and line in the log, and changes nothing."""
    agent.start()
    assert agent.daemon is not None
    agent.configure(events_url="http://127.0.0.1:1", max_connections="many")
    agent.daemon.send_signal(signal.SIGHUP)
    wait_until(lambda: "going on with the old one" in agent.log)
    assert f"{agent.conf}, line 6: Bad max_connections" in agent.log
    agent.send(KEY, "trigger", "-d", "goes on")
    api.wait_accepted(1)
    assert agent.stop() == 0


def test_sighup_names_what_needs_a_restart(agent: Agent) -> None:
    """A directory that changed, or an address where somebody listens, is not taken up by a reload,
    and the log says so, however often it is reloaded."""
    url, port = "http://127.0.0.1:1", free_port()
    agent.configure(events_url=url, listen=f"127.0.0.1:{port}")
    agent.start()
    assert agent.daemon is not None
    agent.configure(events_url=url, listen=f"127.0.0.2:{port}", data_dir="/elsewhere")
    for number in (1, 2):
        agent.daemon.send_signal(signal.SIGHUP)
        wait_until(lambda number=number: agent.log.count("reloaded from") == number)  # type: ignore[misc]
        assert agent.log.count("a new data_dir, listen needs a restart") == number


def test_a_reload_opens_what_was_closed(agent: Agent) -> None:
    """The first address that somebody asks for needs no restart."""
    url, port = "http://127.0.0.1:1", free_port()
    agent.start()
    agent.configure(events_url=url, listen=f"127.0.0.1:{port}", send_interval_secs=1)
    assert agent.run("pdagent", "reload").stderr == b""
    wait_until(lambda: f"Listening at 127.0.0.1:{port}" in agent.log)


# --- in the background --------------------------------------------------------------------------


@pytest.fixture
def pid_file(agent: Agent) -> Iterator[Path]:
    """The pid file; a daemon that it names is killed when the test is over."""
    path = agent.root / "run" / "pdagentd.pid"
    yield path
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        kill(int(path.read_text()))


def kill(pid: int) -> None:
    """Until the process is gone: it would write into a directory that is being removed."""
    process = os.pidfd_open(pid)
    signal.pidfd_send_signal(process, signal.SIGKILL)
    select.select([process], [], [], PATIENCE_SECONDS)
    os.close(process)


def test_background(api: EventsApi, agent: Agent, pid_file: Path) -> None:
    """`pdagentd` returns 0 once it serves, says nothing, and leaves a pid file as long as it
    runs."""
    started = agent.run("pdagentd", user=AGENT)
    assert (started.returncode, started.stdout, started.stderr) == (0, b"", b"")
    pid = int(pid_file.read_text())
    assert stat.S_IMODE(pid_file.stat().st_mode) == 0o644
    assert os.getpgid(pid) != os.getpgid(0)
    assert os.getsid(pid) != os.getsid(0)
    assert "Ready" in agent.log
    agent.send(KEY, "trigger", "-d", "from the background")
    api.wait_accepted(1)
    process = os.pidfd_open(pid)
    os.kill(pid, signal.SIGTERM)
    assert select.select([process], [], [], PATIENCE_SECONDS)[0]
    os.close(process)
    assert not pid_file.exists()
    assert "exiting normally" in agent.log


def test_a_second_one_in_the_background(agent: Agent, pid_file: Path) -> None:
    """Starting a daemon that runs already exits 75 with a clear line, and leaves the pid file of
    the first alone."""
    assert agent.run("pdagentd", user=AGENT).returncode == 0
    pid = pid_file.read_text()
    second = agent.run("pdagentd", user=AGENT)
    assert second.returncode == 75
    [line] = second.stderr.decode().splitlines()
    assert "running already" in line
    assert pid_file.read_text() == pid
    os.kill(int(pid), 0)


def test_a_pid_file_of_another_daemon_stays(api: EventsApi, agent: Agent, pid_file: Path) -> None:
    """Somebody removed the queue, and the daemon that finds another one in its place ends."""
    agent.configure(events_url=api.url, send_interval_secs=10)
    assert agent.run("pdagentd", user=AGENT).returncode == 0
    first = os.pidfd_open(int(pid_file.read_text()))
    agent.data_dir.rename(agent.root / "gone")
    agent.own(agent.data_dir)
    agent.create_spool()
    assert agent.run("pdagentd", user=AGENT).returncode == 0
    second = pid_file.read_text()
    assert select.select([first], [], [], PATIENCE_SECONDS)[0]
    os.close(first)
    assert pid_file.read_text() == second


def test_a_pid_file_that_is_removed(agent: Agent, pid_file: Path) -> None:
    """The init script finds the daemon by it, so it is made anew; its directory may come later."""
    agent.configure(send_interval_secs=1)
    assert agent.run("pdagentd", user=AGENT).returncode == 0
    pid = pid_file.read_text()
    pid_file.unlink()
    wait_until(lambda: f"the pid file {pid_file} was missing: made anew" in agent.log)
    assert pid_file.read_text() == pid
    gone = pid_file.parent.rename(agent.root / "gone")
    wait_until(lambda: f"cannot write {pid_file}, so no init script finds the daemon" in agent.log)
    gone.rename(pid_file.parent)
    pid_file.unlink()
    wait_until(pid_file.exists)
    assert stat.S_IMODE(pid_file.stat().st_mode) == 0o644


def test_no_room_for_a_pid_file(agent: Agent, api: EventsApi, pid_file: Path) -> None:
    """Pages go out."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    pid_file.mkdir()
    assert agent.run("pdagentd", user=AGENT).returncode == 0
    agent.send(KEY, "trigger", "-d", "all the same")
    api.wait_accepted(1)
    pid_file.rmdir()
    wait_until(pid_file.exists)


@pytest.mark.parametrize("kind", ["root's", "a FIFO"])
def test_what_lies_in_the_place_of_the_pid_file(agent: Agent, pid_file: Path, kind: str) -> None:
    """It is replaced."""
    if kind == "root's":
        pid_file.write_text("1\n")
    else:
        os.mkfifo(pid_file)
    assert agent.run("pdagentd", user=AGENT).returncode == 0
    os.kill(int(pid_file.read_text()), 0)


def test_a_stale_pid_file_of_somebody_else(agent: Agent, pid_file: Path) -> None:
    """A pid file that names a live process of another kind keeps nobody from starting."""
    with subprocess.Popen(["sleep", "600"]) as stranger:
        pid_file.write_text(f"{stranger.pid}\n")
        if ROOT:
            os.chown(pid_file, AGENT.uid, AGENT.gid)
        started = agent.run("pdagentd", user=AGENT)
        pid = int(pid_file.read_text())
        stranger.kill()
    assert started.returncode == 0
    assert pid != stranger.pid


def test_it_does_not_run_as_root(agent: Agent) -> None:
    """As root it says what to type instead, and exits 77."""
    if not ROOT:
        pytest.skip("only root can try")
    for arguments in ([], ["-f"]):
        refused = agent.run("pdagentd", *arguments)
        assert refused.returncode == 77
        assert refused.stderr.decode() == (
            "pdagentd: Agent should not be run as root. Use: sudo service pdagent <command>\n"
        )


def test_directories_that_it_may_not_write(agent: Agent) -> None:
    """Started as the wrong user it names the directory, and exits 77."""
    if not ROOT:
        pytest.skip("only root can become somebody else")
    (agent.data_dir / "db").mkdir()
    for arguments in ([], ["-f"]):
        refused = agent.run("pdagentd", *arguments, user=SENDER)
        assert refused.returncode == 77
        assert f"Directory {agent.data_dir}/db: is not writable." in refused.stderr.decode()


@pytest.mark.parametrize("name", ["daemon.lock", "wake"])
def test_files_of_another_number(agent: Agent, name: str) -> None:
    """User pdagent was removed and made anew, say: the remedy is the check's, and it helps."""
    if not ROOT:
        pytest.skip("only root can make files of others")
    agent.start()
    agent.stop()
    os.chown(agent.data_dir / "db" / name, SENDER.uid, SENDER.gid)
    refused = agent.run("pdagentd", "-f", user=AGENT)
    assert refused.returncode == 77
    assert "sudo pdagent check --repair" in refused.stderr.decode()
    agent.run("pdagent", "check", "--repair")
    agent.start()


def test_it_makes_its_own_directories(api: EventsApi, agent: Agent) -> None:
    """Where the data directory is empty, the daemon makes the spool that everybody may add to."""
    subprocess.run(["rm", "-r", str(agent.spool)], check=True)
    agent.start()
    modes = {n: stat.S_IMODE((agent.spool / n).stat().st_mode) for n in os.listdir(agent.spool)}
    assert modes == {
        "tmp": 0o3733,
        "pdq": 0o3733,
        "jobs": 0o3733,
        "suc": 0o2750,
        "err": 0o2750,
        "expect": 0o3733,
        "expected": 0o2750,
    }
    agent.send(KEY, "trigger", "-d", "accepted")
    assert sent(api.wait_accepted(1)[0])["routing_key"] == KEY


def _limit(agent: Agent, name: str, most: int | None) -> None:
    """Sets a limit of the running daemon, or takes it away."""
    assert agent.daemon is not None
    number = getattr(resource, f"RLIMIT_{name.upper()}")
    hard = resource.getrlimit(number)[1]
    soft = hard if most is None else most
    words = "unlimited" if soft == resource.RLIM_INFINITY else str(soft)
    command = ["prlimit", f"--pid={agent.daemon.pid}", f"--{name}={words}:"]
    subprocess.run(command, check=True, **AGENT.popen())


@pytest.mark.parametrize("most", [8, 9])
def test_too_few_descriptors_to_start_with(agent: Agent, most: int) -> None:
    """That is one line, for whoever raises the limit."""
    done = agent.run("pdagentd", "-f", user=AGENT, under=["prlimit", f"--nofile={most}:{most}"])
    assert done.returncode == 75
    assert re.fullmatch(rb"ERROR cannot run: .*Too many open files.*\n", done.stderr)


@pytest.mark.skipif(not ROOT, reason="this limit does not hold for root")
def test_no_thread_to_be_had_is_a_delay(api: EventsApi, agent: Agent) -> None:
    """A used-up limit on threads ends nothing, whatever the daemon wants one for: it is said once,
    everything is tried again, and goes on once there are threads."""
    endpoint = agent.root / "run" / "events.sock"
    agent.configure(
        events_url=api.url,
        send_interval_secs=1,
        cleanup_interval_secs=1,
        heartbeat="on",
        heartbeat_url=api.url + "/beat",
        listen=endpoint,
        metrics_listen=agent.root / "run" / "metrics.sock",
        metrics_file=agent.root / "run" / "pdagent.prom",
    )
    agent.start(under=["prlimit", "--nproc=1:"])
    agent.send(KEY, "trigger", "-d", "x")
    wait_until(lambda: agent.log.count("no thread for ") == 1)
    assert api.requests == ()
    _limit(agent, "nproc", None)
    api.wait_accepted(1)
    api.wait_for(lambda requests: any(request.path == "/beat" for request in requests))
    wait_until(lambda: (agent.root / "run" / "pdagent.prom").exists())
    done = subprocess.run(
        ["curl", "-sS", "--unix-socket", endpoint, "http://agent/v2/enqueue"],
        capture_output=True,
        check=True,
    )
    assert b"method not allowed" in done.stdout
    assert agent.log.count("no thread for ") == 1
    assert agent.stop() == 0


def test_no_memory_is_a_delay(api: EventsApi, agent: Agent) -> None:
    """Nor does memory that is not to be had for a while end it: the kernel has none, however often
    it is asked, until the events that wait for it could be sent."""
    agent.configure(events_url=api.url, send_interval_secs=1, cleanup_interval_secs=1)
    agent.start()
    daemon = agent.daemon
    assert daemon is not None
    trace = agent.root / "trace"
    with attached(daemon.pid, "mmap,brk,mremap:error=ENOMEM", trace):
        for number in range(200):
            enqueue(agent, KEY, f"i{number}", "x" * 50_000)
        wait_until(lambda: trace.read_text().count("(INJECTED)") >= 20 or daemon.poll() is not None)
        assert daemon.poll() is None
        assert api.requests == ()
    api.wait_accepted(200)
    assert agent.stop() == 0
