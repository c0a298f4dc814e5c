"""`pdagent reload`, and the configuration in pieces, by processes of several users."""

import os
from pathlib import Path

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.check import looked
from tests.support.events import KEY, OTHER
from tests.support.events_api import Answer, EventsApi
from tests.support.faults import UNLINK, tracing
from tests.support.ports import free_port
from tests.support.raw_server import Conversation, serving
from tests.support.users import AGENT, ROOT, SENDER, STRANGER

needs_root = pytest.mark.skipif(not ROOT, reason="needs root: several users")


def piece(agent: Agent, name: str, text: str, mode: int = 0o644) -> Path:
    directory = Path(f"{agent.conf}.d")
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    path = directory / name
    path.write_text(text)
    path.chmod(mode)
    if ROOT:
        os.chown(path, 0, AGENT.gid)
    return path


def test_a_reload_waits_until_the_new_configuration_is_in_use(api: EventsApi, agent: Agent) -> None:
    """Whatever it says of earlier ones: each answer is the one to its own signal."""
    agent.start()
    with EventsApi() as other:
        for _ in range(2):
            file = piece(agent, "bad.conf", "[Main]\nmax_connections = many\n")
            done = agent.run("pdagent", "reload", user=AGENT)
            assert done.returncode == 78
            assert f"{file}, line 2: Bad max_connections" in done.stderr.decode()
            assert b"goes on with the old one" in done.stderr
            file.unlink()
            piece(agent, "url.conf", f"[Main]\nevents_url = {other.url}\n")
            done = agent.run("pdagent", "reload", user=AGENT)
            assert (done.returncode, done.stderr) == (0, b"")
        agent.send(KEY, "trigger", "-d", "x")
        other.wait_accepted(1)
    assert not api.requests


def test_a_reload_while_the_daemon_starts(agent: Agent) -> None:
    """On a slow disk, say: it is done as soon as the daemon is ready, and does not end it."""
    agent.start()
    agent.stop()
    lock = agent.data_dir / "db" / "daemon.lock"
    before = lock.read_text()
    slow = f"{UNLINK}:delay_enter=1000000:when=1"
    agent.start(wait=False, under=tracing(slow))
    wait_until(lambda: lock.read_text() not in ("", before))
    assert "Ready:" not in agent.log.rpartition("exiting normally")[2]
    agent.run("pdagent", "reload", check=True)
    assert "configuration reloaded" in agent.log


def test_a_reload_does_not_wait_for_a_post_that_hangs(api: EventsApi, agent: Agent) -> None:
    """With other names of keys everything waits until nothing is on its way: that is cut off, and
    sent again."""
    agent.start()
    api.script(OTHER, Answer(hang=True))
    agent.send(OTHER, "trigger", "-d", "hangs")
    api.wait_for(1)
    piece(agent, "keys.conf", f"[Keys]\ndb = {OTHER}\n")
    assert agent.run("pdagent", "reload", user=AGENT).returncode == 0
    agent.send(KEY, "trigger", "-d", "goes on")
    api.wait_accepted(2)
    assert "no answer within" in agent.log
    assert "no answer within 30 s" not in agent.log


def test_a_reload_does_not_wait_for_a_relay_that_is_silent(api: EventsApi, agent: Agent) -> None:
    """It is not even asked whether it answers anything, as it is after another post."""

    class Silent(Conversation):
        def handle(self) -> None:
            while self.read():
                pass

    with serving(Silent) as relay:
        agent.configure(events_url=f"{relay.url} {relay.url}/other")
        agent.start()
        agent.send(OTHER, "trigger", "-d", "hangs")
        wait_until(lambda: relay.requests == 1)
        agent.configure(events_url=api.url)
        agent.run("pdagent", "reload", check=True)
        agent.send(KEY, "trigger", "-d", "goes on")
        api.wait_accepted(2)
        assert relay.connections == 1


def test_a_refused_configuration_changes_nothing(api: EventsApi, agent: Agent) -> None:
    """The daemon goes on, and the check says what is wrong until a reload succeeds."""
    agent.start()
    file = piece(agent, "a.conf", "[Keys]\ndb\n")
    assert agent.run("pdagent", "reload", user=AGENT).returncode == 78
    agent.send(KEY, "trigger", "-d", "goes on")
    api.wait_accepted(1)
    wrong = [line for line in looked(agent).lines if line.level == "failed"]
    assert any(f"not taken up: {file}, line 2" in line.text for line in wrong)
    file.write_text("[Keys]\ndb = x\n")
    assert agent.run("pdagent", "reload", user=AGENT).returncode == 0
    assert not [line for line in looked(agent).lines if "not taken up" in line.text]


def test_a_configuration_that_is_not_in_use_yet(api: EventsApi, agent: Agent) -> None:
    """The check names the file until a reload has read it, also one that the configuration only
    names."""
    keys = agent.root / "keys"
    keys.write_text("[Keys]\n")
    keys.chmod(0o644)
    named = piece(agent, "a.conf", f"[Main]\nkeys_file = {keys}\n")
    agent.start()
    for file in (named, keys):
        assert not [line for line in looked(agent).lines if "has changed" in line.text]
        file.write_text(file.read_text() + "# another line\n")
        [said] = [line for line in looked(agent).lines if "has changed" in line.text]
        assert (said.level, said.text.split()[0]) == ("warning", str(file))
        assert agent.run("pdagent", "reload", user=AGENT).returncode == 0
    assert not [line for line in looked(agent).lines if "has changed" in line.text]


def test_the_reason_is_what_is_wrong(agent: Agent) -> None:
    """Not a warning that stands before it."""
    agent.start()
    piece(agent, "a.conf", "[Main]\nunknown = 1\n")
    piece(agent, "b.conf", "nonsense\n")
    done = agent.run("pdagent", "reload", user=AGENT)
    assert b"b.conf, line 1: is neither" in done.stderr


def test_what_a_reload_does_not_take_up(api: EventsApi, agent: Agent) -> None:
    """The reload's own answer says it, the check says it until a restart, and all else is in
    use."""
    port = free_port()
    file = piece(agent, "a.conf", f"[Main]\nlisten = 127.0.0.1:{port}\n")
    agent.start()
    file.write_text(f"[Main]\nlisten = 127.0.0.2:{port}\n[Keys]\ndb = {KEY}\n")
    done = agent.run("pdagent", "reload", user=AGENT)
    assert done.returncode == 0
    assert b"warning: a new listen is not in use until a restart: " in done.stderr
    agent.send("@db", "trigger", "-d", "x")
    api.wait_accepted(1)
    [line] = [line for line in looked(agent).lines if "not in use" in line.text]
    assert (line.level, line.subject) == ("warning", "configuration")
    file.write_text(f"[Main]\nlisten = 127.0.0.1:{port}\n")
    done = agent.run("pdagent", "reload", user=AGENT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not [line for line in looked(agent).lines if "not in use" in line.text]


def test_a_closed_endpoint_keeps_nothing_else_back(api: EventsApi, agent: Agent) -> None:
    """What was safe for an earlier version closes the endpoint, and nothing more: a key comes by a
    reload, which says that the endpoint is closed still, as the check does. Another such mistake is
    refused."""
    listen = "listen = 0.0.0.0:1\nlisten_token = 0123456789abcdef\n"
    file = piece(agent, "a.conf", f"[Main]\n{listen}", 0o640)
    agent.start()
    closed = "the local Events API is closed: listen = 0.0.0.0:1: lets other hosts in without"
    file.write_text(f"[Main]\n{listen}[Keys]\ndb = {KEY}\n")
    done = agent.run("pdagent", "reload", user=AGENT)
    assert done.returncode == 0
    assert f"pdagent reload: warning: {closed}" in done.stderr.decode()
    assert "needs a restart" not in agent.log
    agent.send("@db", "trigger", "-d", "x")
    api.wait_accepted(1)
    [line] = [line for line in looked(agent).lines if closed in line.text]
    assert (line.level, line.subject) == ("failed", "delivery")
    file.write_text("[Main]\nlisten = 0.0.0.0:2\n")
    assert agent.run("pdagent", "reload", user=AGENT).returncode == 78
    file.write_text("[Main]\n")
    done = agent.run("pdagent", "reload", user=AGENT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not [line for line in looked(agent).lines if "is closed" in line.text]


def test_nobody_to_reload(agent: Agent) -> None:
    done = agent.run("pdagent", "reload", user=AGENT)
    assert done.returncode == 75
    assert done.stderr.startswith(b"pdagent reload: pdagentd does not run: ")


@needs_root
def test_who_may_reload(agent: Agent) -> None:
    """Root and the agent. A process that somebody else's is gets no signal of root's."""
    agent.start()
    done = agent.run("pdagent", "reload", user=STRANGER)
    assert done.returncode == 77
    assert agent.run("pdagent", "reload").returncode == 0
    assert agent.daemon is not None
    db = agent.data_dir / "db"
    owner = db.stat()
    os.chown(db, STRANGER.uid, STRANGER.gid)  # then the daemon is not of the state's owner
    try:
        done = agent.run("pdagent", "reload")
    finally:
        os.chown(db, owner.st_uid, owner.st_gid)
    assert done.returncode == 77
    assert b"is not the agent's" in done.stderr
    assert agent.log.count("configuration reloaded") == 1


@needs_root
def test_secrets_in_a_piece(api: EventsApi, agent: Agent) -> None:
    """A piece for the agent's group alone gives names to keys for everybody: other users' events
    are kept by name, without a word, and delivered with the key."""
    piece(agent, "keys.conf", f"[Keys]\ndb = {KEY}\n", 0o640)
    agent.start()
    done = agent.run("pd-send", "-k", "@db", "-t", "trigger", "-d", "x", user=SENDER)
    assert (done.returncode, done.stderr) == (0, b"")
    assert api.wait_accepted(1)[0].key == KEY
    [line] = [line for line in looked(agent, user=SENDER).lines if line.subject == "configuration"]
    assert line.level == "unknown"
    [line] = [line for line in looked(agent).lines if line.subject == "configuration"]
    assert (line.level, line.text) == ("ok", f"{agent.conf}, and 1 file in {agent.conf}.d")


@needs_root
def test_a_piece_that_the_service_may_not_read(agent: Agent) -> None:
    """The check names it, and puts it right when it is told to."""
    agent.start()
    file = piece(agent, "a.conf", "[Main]\n", 0o600)
    os.chown(file, 0, 0)
    wait_until(lambda: looked(agent).code == 3)
    lines = [line for line in looked(agent).lines if line.level == "failed"]
    assert any(str(file) in line.text for line in lines)
    looked(agent, "--repair")
    assert file.stat().st_mode & 0o777 == 0o644
    assert agent.run("pdagent", "reload").returncode == 0
