"""pd-send: texts and exit codes that scripts and habits rely on, and its newer options."""

import os
import re
import stat

import pytest

from tests.integration.senders import Sender, queued
from tests.support.agent import Agent
from tests.support.events import KEY, OTHER
from tests.support.users import AGENT, SENDER


def test_accepted(agent: Agent, pd_send: Sender) -> None:
    """An accepted event is acknowledged with its incident key, exit 0; what it holds is v2."""
    arguments = ["-k", KEY, "-t", "trigger", "-d", "disk full", "-i", "inc-1"]
    arguments += [
        "-c",
        "MyMon",
        "-u",
        "http://mon/1",
        "-f",
        "host=db1",
        "-f",
        "load=1=5",
        "-f",
        "c=",
    ]
    assert pd_send(*arguments) == (0, "Event processed. Incident Key: inc-1\n", "")
    body = queued(agent)
    payload = body.pop("payload")
    assert body == {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": "inc-1",
        "client": "MyMon",
        "client_url": "http://mon/1",
    }
    assert isinstance(payload, dict)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", payload.pop("timestamp"))
    assert payload == {
        "summary": "disk full",
        "source": os.uname().nodename,
        "severity": "critical",
        "custom_details": {"host": "db1", "load": "1=5", "c": ""},
    }
    [name] = agent.names("pdq")
    assert re.fullmatch(rf"\d{{16}}_{KEY}\.txt", name)


def test_the_old_body(agent: Agent, pd_send: Sender) -> None:
    """With events_api = v1 the file is what the old agent wrote, byte for byte but for the time."""
    agent.configure(events_url="http://127.0.0.1:1", events_api="v1")
    arguments = ["-k", "KEY1", "-t", "trigger", "-d", "disk full", "-i", "inc-1"]
    arguments += ["-c", "MyMon", "-u", "http://mon/1", "-f", "host=db1", "-f", "load=1.5"]
    assert pd_send(*arguments)[0] == 0
    [name] = agent.names("pdq")
    text = (agent.spool / "pdq" / name).read_text()
    at = re.search(r'"queued_at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"', text)
    assert at
    assert text == (
        '{"agent":{"agent_id":null,"queued_at":"' + at[1] + '","queued_by":"pd-send"},'
        '"client":"MyMon","client_url":"http://mon/1","description":"disk full",'
        '"details":{"host":"db1","load":"1.5"},"event_type":"trigger",'
        '"incident_key":"inc-1","service_key":"KEY1"}'
    )


def test_a_trigger_without_an_incident_key_gets_one(agent: Agent, pd_send: Sender) -> None:
    """The generated key is printed, and is in the event."""
    code, out, _ = pd_send("-k", KEY, "-t", "trigger", "-d", "x")
    match = re.fullmatch(r"Event processed\. Incident Key: ([0-9a-f]{32})\n", out)
    assert code == 0
    assert match
    assert queued(agent)["dedup_key"] == match[1]


@pytest.mark.parametrize("quiet", ["-q", "--quiet"])
def test_quiet(agent: Agent, pd_send: Sender, quiet: str) -> None:
    """-q says nothing, warnings included."""
    agent.conf.write_text("nonsense\n")
    agent.spool.parent.rename(agent.root / "elsewhere")
    agent.configure(events_url="http://127.0.0.1:1", data_dir=agent.root / "elsewhere", wrong="1")
    assert pd_send("-k", KEY, "-t", "trigger", "-d", "x", quiet) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "argument -k/--service-key is required"),
        (["-t", "trigger", "-d", "x"], "argument -k/--service-key is required"),
        (["-k", KEY], "argument -t/--event-type is required"),
        (
            ["-k", KEY, "-t", "bogus"],
            "argument -t/--event-type: invalid choice: 'bogus' "
            "(choose from 'trigger', 'acknowledge', 'resolve')",
        ),
        (["-k", KEY, "-t", "trigger"], "Event type 'trigger' requires description"),
        (["-k", KEY, "-t", "trigger", "-d", ""], "Event type 'trigger' requires description"),
        (["-k", KEY, "-t", "trigger", "-d", "  "], "Event type 'trigger' requires description"),
        (["-k", KEY, "-t", "resolve"], "Event type 'resolve' requires incident key"),
        (["-k", KEY, "-t", "acknowledge"], "Event type 'acknowledge' requires incident key"),
        (["-k", KEY, "-t", "resolve", "-i", ""], "Event type 'resolve' requires incident key"),
        (["-k", KEY, "-t", "trigger", "-d", "x", "--nope"], "unrecognized arguments: --nope"),
        (["-k", KEY, "-t", "trigger", "-d", "x", "word"], "unrecognized arguments: word"),
        (
            ["-k", KEY, "-t", "trigger", "-d", "x", "a\nb\x1b[2J"],
            "unrecognized arguments: a\\nb\\u001b[2J",
        ),
        (["-k"], "argument -k/--service-key: expected one argument"),
    ],
)
def test_usage_errors(agent: Agent, pd_send: Sender, arguments: list[str], says: str) -> None:
    """What is wrong with a command line is said in argparse's words, exit 2, nothing queued."""
    assert pd_send(*arguments) == (2, "", f"pd-send: error: {says}")
    assert agent.names("pdq") == agent.names("tmp") == []


def test_a_usage_error_is_as_long_as_a_person_reads(pd_send: Sender) -> None:
    """However many words are wrong."""
    _, _, said = pd_send("-k", KEY, "-t", "trigger", "-d", "x", *["word"] * 10_000)
    assert said.startswith("pd-send: error: unrecognized arguments: word word ")
    assert said.endswith(" word word")
    assert len(said) < 1000


def test_blanks_are_an_incident_key(pd_send: Sender) -> None:
    """`-i " "` is accepted, as ever, and doubted."""
    code, said, warning = pd_send("-k", KEY, "-t", "resolve", "-i", " ")
    assert (code, said) == (0, "Event processed. Incident Key:  \n")
    assert "no resolve of a blank incident key. The event was accepted all the same" in warning


@pytest.mark.parametrize(
    "arguments",
    [
        "--service KEY --event trigger --desc x --inc i",
        "--s KEY --e trigger --d x --i i",
        "--service-key=KEY --event-type=trigger --description=x --incident-key=i",
        "-kKEY -ttrigger -dx -ii",
        "-k KEY -t trigger -d x -i i --client c --client-u u --fi a=b --q",
    ],
)
def test_abbreviations(agent: Agent, pd_send: Sender, arguments: str) -> None:
    """What the old agent understood as an abbreviation still is one, whatever options have come
    since."""
    code, _, problem = pd_send(*arguments.replace("KEY", KEY).split())
    assert (code, problem) == (0, "")
    body = queued(agent)
    assert (body["routing_key"], body["event_action"], body["dedup_key"]) == (KEY, "trigger", "i")


def test_help(pd_send: Sender) -> None:
    """--help is exit 0 and in the old agent's words."""
    code, out, _ = pd_send("--help")
    assert code == 0
    assert out.startswith("usage: pd-send [-h]")
    assert "Queue up a trigger, acknowledge, or resolve event to PagerDuty." in out
    assert "optional arguments:" in out
    for option in ("-k SERVICE_KEY, --service-key SERVICE_KEY", "Add given KEY=VALUE pair to the"):
        assert option in out


def test_umask(agent: Agent) -> None:
    """Any user, under any umask, even from a place they may not read: the file is 0640, and the
    agent's."""
    accepted = agent.run(
        "pd-send",
        *("-k", KEY, "-t", "trigger", "-d", "x"),
        user=SENDER,
        preexec=lambda: os.umask(0o777),
        check=True,
    )
    assert accepted.stderr == b""
    [name] = agent.names("pdq")
    status = (agent.spool / "pdq" / name).stat()
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert (status.st_uid, status.st_gid) == (SENDER.uid, AGENT.gid)


@pytest.mark.parametrize("name", ["pd-send", "pd-queue", "pdagentd", "pdagent"])
def test_version(agent: Agent, name: str) -> None:
    """--version, of every command."""
    result = agent.run(name, "--version", user=SENDER)
    assert (result.returncode, result.stdout) == (0, b"pdagent 3.0.0\n")


def test_the_key_from_the_environment_or_a_file(agent: Agent, pd_send: Sender) -> None:
    """A key need not show in ps: PD_SERVICE_KEY or --service-key-file give it; -k beats both, and
    the file beats the environment."""
    file = agent.root / "key"
    file.write_text(f" {OTHER} \nsecond line\n")
    file.chmod(0o644)
    event = ["-t", "trigger", "-d", "x"]
    assert pd_send(*event, PD_SERVICE_KEY=KEY)[0] == 0
    assert pd_send(*event, "--service-key-file", str(file), PD_SERVICE_KEY=KEY)[0] == 0
    assert pd_send(*event, "-k", "K", "--service-key-file", str(file), PD_SERVICE_KEY=KEY)[0] == 0
    keys = [name.partition("_")[2] for name in agent.names("pdq")]
    assert keys == [f"{KEY}.txt", f"{OTHER}.txt", "K.txt"]


def test_a_key_file_that_can_not_be_read(agent: Agent, pd_send: Sender) -> None:
    """It is named with the reason, exit 2."""
    code, _, problem = pd_send("--service-key-file", "/nonexistent", "-t", "resolve", "-i", "x")
    assert code == 2
    assert problem.endswith(
        "argument --service-key-file: cannot read /nonexistent: No such file or directory"
    )


def test_options_of_v2(agent: Agent, pd_send: Sender) -> None:
    """The fields that v2 has and v1 had not."""
    arguments = ["-k", KEY, "-t", "trigger", "-d", "x", "-i", "i", "--severity", "warning"]
    arguments += [
        "--source",
        "db1",
        "--component",
        "postgres",
        "--group",
        "prod",
        "--class",
        "disk",
    ]
    arguments += ["--link", "https://wiki/disk How to clean up", "--link", "https://wiki/other"]
    arguments += ["--image", "https://graphs/1.png https://graphs/1"]
    assert pd_send(*arguments)[0] == 0
    body = queued(agent)
    payload = body["payload"]
    assert isinstance(payload, dict)
    del payload["timestamp"]
    assert payload == {
        "summary": "x",
        "source": "db1",
        "severity": "warning",
        "component": "postgres",
        "group": "prod",
        "class": "disk",
    }
    assert body["links"] == [
        {"href": "https://wiki/disk", "text": "How to clean up"},
        {"href": "https://wiki/other"},
    ]
    assert body["images"] == [{"src": "https://graphs/1.png", "href": "https://graphs/1"}]


def test_a_bad_severity(pd_send: Sender) -> None:
    """A severity that PagerDuty does not have is a usage error."""
    code, _, problem = pd_send("-k", KEY, "-t", "trigger", "-d", "x", "--severity", "bad")
    assert code == 2
    assert "argument --severity: invalid choice: 'bad'" in problem


def test_change(agent: Agent, pd_send: Sender) -> None:
    """--change takes no event type, needs a description, and has no dedup key."""
    assert pd_send("-k", KEY, "--change", "-t", "trigger", "-d", "x")[0] == 2
    assert pd_send("-k", KEY, "--change")[0] == 2
    assert pd_send("-k", KEY, "--change", "-d", "deployed", "--link", "https://ci/7")[0] == 0
    body = queued(agent)
    assert set(body) == {"routing_key", "payload", "links"}


def test_change_as_a_word(agent: Agent, pd_send: Sender) -> None:
    """The documented form. Elsewhere the word is a mistake, as ever."""
    assert pd_send("change", "-k", KEY, "-d", "deployed")[0] == 0
    body = queued(agent)
    assert body["routing_key"] == KEY
    assert "event_action" not in body
    for config in (["--config", str(agent.conf)], [f"--config={agent.conf}"]):
        assert pd_send(*config, "change", "-k", KEY, "-d", "deployed")[0] == 0
    assert pd_send("-k", KEY, "-d", "deployed", "change")[0] == 2
    assert pd_send("change", "-k", KEY, "-t", "trigger", "-d", "deployed")[0] == 2


def test_the_word_behind_an_option_is_its_value(agent: Agent, pd_send: Sender) -> None:
    """Whatever it begins with, unless it is an option of this command."""
    event = ["-k", KEY, "-t", "trigger"]
    said = pd_send(*event, "-d", "-disk full on /var", "-i", "-web1", "-f", "--temp=-5")
    assert said == (0, "Event processed. Incident Key: -web1\n", "")
    payload = queued(agent)["payload"]
    assert isinstance(payload, dict)
    assert payload["summary"] == "-disk full on /var"
    assert payload["custom_details"] == {"--temp": "-5"}
    assert pd_send(*event, "-d", "--", "-i", "--d", "-f", "-=")[0] == 0
    wrong = pd_send(*event, "-d", "-i", "web1")[2]
    assert wrong.endswith("argument -d/--description: expected one argument")


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (KEY[1:], "(31 characters, not 32). The event was accepted all the same."),
        (
            KEY[1:] + "-",
            "(something else than letters and digits is in it). The event",
        ),
        ("db", "(2 characters, not 32): did you mean @db? The event"),
        ("R" + KEY[1:], ""),
        ("@db", ""),
        (f' "{KEY}"\r\n', ""),
        (f"\ufeff{KEY}", ""),
    ],
)
def test_what_can_hardly_be_a_key_is_doubted_aloud(
    agent: Agent, pd_send: Sender, key: str, says: str
) -> None:
    """And sent all the same: PagerDuty decides. -q is quiet."""
    with agent.conf.open("a") as file:
        file.write(f"[Keys]\ndb = {KEY}\n")
    event = ["-k", key, "-t", "trigger", "-d", "x", "-i", "i"]
    code, _, said = pd_send(*event)
    assert code == 0
    assert says in said
    assert bool(says) == bool(said)
    assert KEY[1:] not in said
    assert queued(agent)["routing_key"] == key.strip(' "\r\n\ufeff')
    assert pd_send(*event, "-q") == (0, "", "")


def test_a_key_that_takes_no_change_events(agent: Agent, pd_send: Sender) -> None:
    """Nobody would hear of PagerDuty's refusal."""
    code, _, said = pd_send("change", "-k", "R" + KEY[1:], "-d", "deployed")
    assert code == 0
    assert "takes no change events by integration keys that begin with R" in said
    assert pd_send("change", "-k", KEY, "-d", "x", "--image", "http://x")[0] == 2
    code, shown, said = pd_send("change", "-k", KEY, "-d", "x", "-i", "x")
    assert (code, shown) == (2, "")
    assert "argument -i/--incident-key: a change event has none" in said
    assert pd_send("change", "-k", KEY, "-d", "x", "-i", "")[:2] == (0, "Event processed.\n")


def test_seconds_that_are_none(pd_send: Sender) -> None:
    """In words, with what to type."""
    said = "pd-send: error: argument --wait: 'soon' is no number of seconds, as in --wait=30"
    assert pd_send("-k", KEY, "-t", "trigger", "-d", "x", "--wait=soon") == (2, "", said)
