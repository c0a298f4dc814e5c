"""A spool that can't be written: one line, exit 75, nothing half-written that could be sent."""

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.faults.conftest import Mount, Strace
from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, enqueue, sent
from tests.support.events_api import Answer, EventsApi
from tests.support.users import AGENT, SENDER

EVENT = ["-k", KEY, "-t", "trigger", "-d", "x", "-i", "i"]
FillUp = Callable[..., None]


@pytest.fixture
def agent(agent: Agent, api: EventsApi) -> Agent:
    """As elsewhere, but it does not deliver directly, unless a test is about that."""
    agent.configure(events_url=api.url, direct_delivery="off")
    return agent


def says_why(result: "subprocess.CompletedProcess[bytes]", agent: Agent, *words: str) -> None:
    """One line with path, reason and remedy; exit 75; nothing left."""
    assert result.returncode == 75
    assert result.stdout == b""
    [line] = result.stderr.decode().splitlines()
    assert line.startswith(f"pd-send: cannot write to {agent.spool}/")
    assert "The event was not queued." in line
    for word in words:
        assert word in line
    for directory in ("tmp", "pdq"):
        if (agent.spool / directory).is_dir():
            assert agent.names(directory) == []


@pytest.mark.parametrize("missing", ["", "tmp", "pdq"])
def test_missing(agent: Agent, missing: str) -> None:
    """No spool, or half of one: has the agent been installed and started?"""
    shutil.rmtree(agent.spool / missing)
    result = agent.run("pd-send", *EVENT, user=SENDER)
    says_why(result, agent, "No such file or directory", "Is the agent installed")


@pytest.mark.needs_root
@pytest.mark.parametrize("directory", ["tmp", "pdq"])
def test_not_writable(agent: Agent, directory: str) -> None:
    """A directory that lost its mode: the line says which it should have."""
    (agent.spool / directory).chmod(0o700)
    says_why(agent.run("pd-send", *EVENT, user=SENDER), agent, "Permission denied", "mode 3733")


@pytest.mark.needs_root
def test_read_only(agent: Agent, mount: Mount) -> None:
    """A read-only file system."""
    mount("--bind", agent.data_dir, agent.data_dir)
    mount("-o", "remount,ro,bind", agent.data_dir)
    result = agent.run("pd-send", *EVENT, user=SENDER)
    says_why(result, agent, "Read-only file system", "direct_delivery = on")


@pytest.mark.needs_root
def test_full(agent: Agent, full_disk: FillUp) -> None:
    """A full disk."""
    full_disk()
    result = agent.run("pd-send", *EVENT, user=SENDER)
    says_why(result, agent, "No space left on device", "Free some space")


@pytest.mark.needs_root
def test_short_write(agent: Agent, full_disk: FillUp) -> None:
    """Room for a third of the event: what was written does not stay, and is not sent."""
    full_disk(4096)
    result = agent.run("pd-send", *EVENT, "-f", "log=" + "x" * 12_000, user=SENDER)
    says_why(result, agent, "No space left on device")


def test_a_limit_on_file_sizes(agent: Agent) -> None:
    """A sender whose files may not grow (ulimit -f) is told so, and nothing of the event stays."""
    result = agent.run(
        "pd-send",
        *EVENT,
        *("-f", "log=" + "x" * 20_000),
        user=SENDER,
        preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    says_why(result, agent, "File too large")


def test_over_quota(agent: Agent, strace: Strace) -> None:
    """A sender over quota: the line says so, and what to do."""
    result = strace(["-e", "inject=write:error=EDQUOT:when=1"], *EVENT)
    says_why(result, agent, "Disk quota exceeded", "raise the quota")


@pytest.mark.parametrize("when", ["1", "2"])
def test_failed_fsync(agent: Agent, strace: Strace, when: str) -> None:
    """An fsync that fails, of the event or of its name: not queued, and not left either."""
    result = strace(["-e", f"inject=fsync:error=EIO:when={when}"], *EVENT)
    says_why(result, agent, "Input/output error", "direct_delivery = on")


# --- the page still goes out --------------------------------------------------------------------


@pytest.mark.needs_root
def test_direct_delivery_from_a_full_disk(api: EventsApi, agent: Agent, full_disk: FillUp) -> None:
    """On a full disk pd-send delivers by itself, and exits 0 only then."""
    agent.configure(events_url=api.url)
    full_disk()
    assert agent.run("pd-send", *EVENT, user=SENDER).returncode == 0
    assert sent(api.accepted[0])["dedup_key"] == "i"
    api.stop()
    assert agent.run("pd-send", *EVENT, user=SENDER).returncode == 75
    assert agent.names("pdq") == agent.names("tmp") == []


@pytest.mark.needs_root
def test_the_daemon_on_a_full_disk(api: EventsApi, agent: Agent, full_disk: FillUp) -> None:
    """What was accepted before the disk was full is delivered though it is."""
    api.always(KEY, Answer(429))
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    agent.start()
    agent.send(KEY, "trigger", "-d", "x")
    api.wait_for(1)
    full_disk()
    api.always(KEY, None)
    api.wait_accepted(1)
    wait_until(lambda: len(agent.names("suc")) == 1)
    assert agent.stop() == 0


@pytest.mark.needs_root
def test_the_daemons_first_start_on_a_full_disk(
    api: EventsApi, agent: Agent, full_disk: FillUp
) -> None:
    """A disk that is full already keeps no daemon from starting; with space again, what it could
    not write is written."""
    enqueue(agent, KEY, "a", "x")
    full_disk()
    agent.start()
    api.wait_accepted(1)
    wait_until(lambda: len(agent.names("suc")) == 1)
    assert agent.stop() == 0
    (agent.data_dir / "ballast").unlink()
    agent.start()
    assert len((agent.data_dir / "db/agent_id.txt").read_text()) == 37


@pytest.mark.needs_root
def test_an_error_on_a_full_disk(api: EventsApi, agent: Agent, full_disk: FillUp) -> None:
    """A refused event is set aside though its reason can't be written, and others flow on."""
    api.script(KEY, Answer(400))
    agent.configure(events_url=api.url, send_interval_secs=1, max_per_key=1)
    agent.drop("no event's name", b"x")
    refused = enqueue(agent, KEY, "a", "x")
    enqueue(agent, KEY, "b", "x")
    full_disk()
    agent.start()
    api.wait_accepted(1)
    wait_until(lambda: agent.names("err") == [refused, "no event's name"])
    assert len(api.requests) == 2


@pytest.mark.needs_root
def test_delivered_events_make_room(api: EventsApi, agent: Agent, full_disk: FillUp) -> None:
    """When the disk runs short, what was delivered long ago goes first; what is pending or in error
    stays."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    api.always("in error", Answer(400))
    enqueue(agent, "in error", "a", "x")
    for number in range(5):
        enqueue(agent, KEY, f"{number}", "x")
    agent.start()
    wait_until(lambda: len(agent.names("suc")) == 5)
    full_disk()
    wait_until(lambda: agent.names("suc") == [])
    assert len(agent.names("err")) == 1
    wait_until(lambda: "the disk is short" in agent.log)


@pytest.mark.parametrize("gone", ["pdq", "tmp", "suc"])
def test_a_directory_goes_away(api: EventsApi, agent: Agent, gone: str) -> None:
    """A daemon makes anew what somebody removes of its spool, within a minute, and serves that."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    agent.start()
    (agent.spool / gone).rmdir()
    wait_until(lambda: f"{gone} was removed: made anew" in agent.log, 180)
    agent.send(KEY, "trigger", "-d", "x")
    api.wait_accepted(1)
    wait_until(lambda: len(agent.names("suc")) == 1)


# --- dying in the middle ------------------------------------------------------------------------


def test_the_order_of_what_makes_it_durable(agent: Agent, strace: Strace) -> None:
    """Write, fsync, link, fsync, unlink, and only then the word that it is done."""
    calls = "write,fsync,?link,linkat,?unlink,unlinkat"
    assert strace(["-e", f"trace={calls}"], *EVENT).returncode == 0
    lines = (agent.root / "trace" / "trace").read_text().splitlines()
    names = [line.split(maxsplit=1)[1].partition("(")[0].removesuffix("at") for line in lines]
    assert names == ["write", "fsync", "link", "fsync", "unlink", "write"]
    assert "Event processed" in lines[-1]


@pytest.mark.parametrize(
    ("call", "when", "kept"),
    [
        ("write", "1", False),
        ("fsync", "1", False),
        ("?link,linkat", "1", False),
        ("fsync", "2", True),
        ("?unlink,unlinkat", "1", True),
        ("exit_group", "1", True),
    ],
)
def test_killed_at(
    api: EventsApi, agent: Agent, strace: Strace, call: str, when: str, kept: bool
) -> None:
    """pd-send killed at any step: the event is there whole and sent once, or not there at all."""
    # strace kills on the way into the call, which is then still carried out or not: look at both
    result = strace(["-e", f"inject={call}:signal=KILL:when={when}"], *EVENT)
    assert result.returncode != 0
    pending = agent.names("pdq")
    if kept:
        assert len(pending) == 1
    if call == "exit_group":
        assert agent.names("tmp") == []
        assert result.stdout == b"Event processed. Incident Key: i\n"
    agent.configure(events_url=api.url, send_interval_secs=1)
    agent.start()
    agent.send(KEY, "trigger", "-d", "after", "-i", "after")
    api.wait_accepted(len(pending) + 1)
    wait_until(lambda: len(agent.names("suc")) == len(pending) + 1)
    if pending:
        assert agent.names("tmp") == []
        assert json.loads((agent.spool / "suc" / pending[0]).read_bytes())["dedup_key"] == "i"
    assert len(api.requests) == len(pending) + 1


def test_accepted_is_there(agent: Agent) -> None:
    """Exit 0 means a file in pdq/ that the agent can read, each time."""
    for number in range(5):
        agent.send(KEY, "trigger", "-d", "x", "-i", f"{number}")
        assert len(agent.names("pdq")) == number + 1
    readable = subprocess.run(
        ["sh", "-c", f"cat {agent.spool}/pdq/*"], capture_output=True, **AGENT.popen()
    )
    assert readable.returncode == 0
    assert os.listdir(agent.spool / "tmp") == []
