"""`pd-send -k @db`, by a user who can't read the key."""

import os
import signal

import pytest

from tests.support import syslog
from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, OTHER, sent
from tests.support.events_api import Answer, EventsApi
from tests.support.users import AGENT, ROOT, SENDER, STRANGER


@pytest.fixture
def private(api: EventsApi, agent: Agent) -> Agent:
    """An agent whose keys only its group may read."""
    agent.configure(events_url=api.url, keys_file=agent.root / "keys", backoff_interval_secs=1)
    name(agent, db=KEY)
    return agent


def name(agent: Agent, **keys: str) -> None:
    path = agent.root / "keys"
    lines = [f"{name} = {key}" for name, key in keys.items()]
    path.write_text("\n".join(["[Keys]", *lines]) + "\n")
    path.chmod(0o640)
    if ROOT:
        os.chown(path, 0, AGENT.gid)


def test_the_daemon_fills_the_key_in(api: EventsApi, private: Agent) -> None:
    """The spool and the log carry the name."""
    private.send("@db", "trigger", "-d", "disk full")
    [file] = private.names("pdq")
    assert file.endswith("_@db.txt")
    assert KEY.encode() not in (private.spool / "pdq" / file).read_bytes()
    private.start()
    [request] = api.wait_accepted(1)
    assert request.key == KEY
    wait_until(lambda: private.names("suc") == [file])
    assert f"delivered {file.removesuffix('.txt')} (trigger" in private.log
    status = private.run("pd-queue", "status").stdout.decode()
    assert "@db " in status
    assert KEY not in status


@pytest.mark.needs_root
def test_a_configuration_for_the_group(private: Agent) -> None:
    """Not to be able to read it is nothing to warn of: somebody wanted it so."""
    private.conf.chmod(0o640)
    os.chown(private.conf, 0, AGENT.gid)
    dry = private.run("pd-send", "-k", "@db", "-t", "trigger", "-d", "x", "--dry-run", user=SENDER)
    assert (dry.returncode, dry.stderr) == (0, b"")


def test_a_typo(private: Agent) -> None:
    """Whoever can read the names is told at once; nothing is queued."""
    for user in (AGENT, None):
        said = private.run("pd-send", "-k", "@dv", "-t", "trigger", "-d", "x", user=user)
        assert said.returncode == 65
        assert b"no integration key is named @dv" in said.stderr
    assert private.names("pdq") == []


@pytest.mark.parametrize(
    "words",
    [
        ["-t", "trigger", "-d", "x"],
        ["-t", "trigger", "-d", "x", "--wait"],
        ["run", "--", "false"],
        ["expect", "-i", "x", "--within", "1h"],
    ],
)
def test_a_key_behind_a_needless_sign_is_not_shown(agent: Agent, words: list[str]) -> None:
    """It is no name, so only its end is in what is said."""
    done = agent.run("pd-send", *words, environment={"PD_SERVICE_KEY": f"@{KEY}"})
    assert f"no integration key is named *{KEY[-4:]}. " in done.stderr.decode()
    assert KEY.encode() not in done.stderr


@pytest.mark.needs_root
def test_a_key_in_the_wrong_place_is_not_logged(agent: Agent) -> None:
    """The job runs, and the system's log has other readers than the command line."""
    words = ["run", "--service-key-file", KEY, "--", "true"]
    done, line = syslog.run(agent, "pd-send", words, {})
    assert done.returncode == 0
    assert f"cannot read *{KEY[-4:]}: No such file" in line.decode()
    assert KEY.encode() not in done.stderr + line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([KEY, "-t", "trigger", "-d", "x"], "unrecognized arguments: "),
        (["--service-key-file", KEY, "-t", "trigger", "-d", "x"], "cannot read "),
        (["-k", KEY, "-t", KEY, "-d", "x"], "invalid choice: '"),
    ],
)
def test_a_key_in_the_wrong_place_is_not_shown(agent: Agent, words: list[str], said: str) -> None:
    """cron mails what a command says on stderr."""
    done = agent.run("pd-send", *words)
    assert done.returncode == 2
    assert f"{said}*{KEY[-4:]}" in done.stderr.decode()
    assert KEY.encode() not in done.stderr


def test_a_job_whose_key_is_wrong_pages_by_the_default(private: Agent) -> None:
    """And says so."""
    name(private, default=KEY)
    done = private.run("pd-send", "run", "-k", "", "--", "false")
    assert done.stderr.endswith(b": the integration key is empty. A page goes by @default\n")
    [file] = private.names("pdq")
    assert file.endswith("_@default.txt")


@pytest.mark.needs_root
def test_a_typo_that_the_sender_can_not_see(api: EventsApi, private: Agent) -> None:
    """The daemon keeps the event, says so once, and sends it when the name is there. Others go on
    meanwhile."""
    private.start()
    private.send("@dv", "trigger", "-d", "first", "-i", "inc")
    private.send("@dv", "resolve", "-i", "inc", user=STRANGER)
    wait_until(lambda: "no integration key is named @dv" in private.log)
    private.send("@db", "trigger", "-d", "other")
    api.wait_accepted(1)
    wait_until(lambda: len(private.names("pdq")) == 2)
    name(private, db=KEY, dv=OTHER)
    private.daemon.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    accepted = api.wait_accepted(3)[1:]
    assert [request.key for request in accepted] == [OTHER, OTHER]
    assert [sent(request)["event_action"] for request in accepted] == ["trigger", "resolve"]
    assert private.log.count("no integration key is named @dv") == 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("pd-send", ["-t", "trigger", "-d", "x"]),
        ("pd-send", ["change", "-d", "x"]),
        ("pd-send", ["run", "--", "false"]),
        (
            "pd-nagios",
            ["-n", "host", "-t", "PROBLEM", "-f", "HOSTNAME=db1", "-f", "HOSTSTATE=DOWN"],
        ),
        ("pd-zabbix", ["trigger", "id:1\nhostname:db1"]),
        ("pd-sensu", []),
    ],
)
def test_the_default_key(api: EventsApi, private: Agent, command: str, words: list[str]) -> None:
    """Is what -k is where it is left out, in every command, for users who can't read it too."""
    name(private, default=KEY)
    body = b'{"id": "1", "action": "create", "client": {"name": "x"}, "check": {"name": "y"}}'
    done = private.run(command, *words, user=SENDER, input=body)
    assert done.returncode == (1 if "run" in words else 0), done
    private.start()
    [request] = api.wait_accepted(1)
    assert request.key == KEY


def test_the_default_key_of_a_test_event(api: EventsApi, private: Agent) -> None:
    """And of a body that has none."""
    name(private, default=KEY)
    private.start()
    body = b'{"event_action": "trigger", "payload": {"summary": "x", "source": "y"}}'
    body = body.replace(b'"y"', b'"y", "severity": "info"')
    private.run("pd-send", "--json", "-", user=SENDER, input=body, check=True)
    private.run("pdagent", "check", "--send-test")
    assert {request.key for request in api.wait_accepted(3)} == {KEY}


def test_one_incident_by_key_and_by_name(api: EventsApi, private: Agent) -> None:
    """Its events keep their order while the first of them is in trouble."""
    api.script(KEY, Answer(503), Answer(503))
    private.start()
    private.send("@db", "trigger", "-d", "first", "-i", "inc")
    private.send(KEY, "acknowledge", "-i", "inc")
    private.send("@db", "resolve", "-i", "inc")
    actions = [sent(request)["event_action"] for request in api.wait_accepted(3)]
    assert actions == ["trigger", "acknowledge", "resolve"]


def test_a_key_that_changes(api: EventsApi, private: Agent) -> None:
    """What is pending by a name goes to its new key, after a reload, in order."""
    api.always(KEY, Answer(503))
    private.start()
    private.send("@db", "trigger", "-d", "first", "-i", "inc")
    private.send("@db", "resolve", "-i", "inc")
    api.wait_for(1)
    name(private, db=OTHER)
    private.daemon.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    accepted = api.wait_accepted(2)
    assert [request.key for request in accepted] == [OTHER, OTHER]
    assert [sent(request)["event_action"] for request in accepted] == ["trigger", "resolve"]


def test_without_the_file_of_keys(api: EventsApi, private: Agent) -> None:
    """Events by key go out; those by name wait for it. A reload without it changes nothing."""
    file = private.root / "keys"
    file.rename(private.root / "away")
    private.start()
    assert f"Unable to read the keys_file at: {file}" in private.log
    private.send("@db", "trigger", "-d", "by name")
    private.send(OTHER, "trigger", "-d", "by key")
    [request] = api.wait_accepted(1)
    assert request.key == OTHER
    (private.root / "away").rename(file)
    private.daemon.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    api.wait_accepted(2)
    file.unlink()
    private.daemon.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    wait_until(lambda: "going on with the old one" in private.log)
    private.send("@db", "trigger", "-d", "again")
    assert api.wait_accepted(3)[2].key == KEY


def test_direct_delivery(api: EventsApi, private: Agent) -> None:
    """Needs the key, so it works for those who may read it."""
    settings = {"keys_file": private.root / "keys", "direct_delivery": "on"}
    private.configure(events_url=api.url, **settings)
    (private.spool / "pdq").rmdir()
    event = ["-k", "@db", "-t", "trigger", "-d", "x"]
    assert private.run("pd-send", *event, user=None).returncode == 0
    assert api.accepted[0].key == KEY
    if ROOT:
        assert private.run("pd-send", *event, user=SENDER).returncode == 75
