"""The commands: texts and exit codes that scripts and habits rely on, and what is new."""

import json
import os
import re
import shlex
import stat
import subprocess
from collections.abc import Callable

import pytest

from tests.support.agent import Agent
from tests.support.events import KEY, OTHER, enqueue, sent
from tests.support.events_api import EventsApi
from tests.support.users import AGENT, ROOT, SENDER

Said = tuple[int, str, str]
Sender = Callable[..., Said]


def problem(stderr: bytes) -> str:
    """The last line of stderr, but for the usage."""
    lines = ["", *stderr.decode().splitlines()]
    if lines[-1].startswith("usage: "):
        assert lines.pop().endswith(" (pd-send -h shows the options)")
    return lines[-1]


@pytest.fixture
def pd_send(agent: Agent) -> Sender:
    """Runs pd-send; gives its exit code, stdout, and the last line of stderr but for the usage."""

    def run(*arguments: str | bytes, **environment: str) -> Said:
        result = agent.run("pd-send", *arguments, user=SENDER, environment=environment)
        return result.returncode, result.stdout.decode(), problem(result.stderr)

    return run


def queued(agent: Agent) -> dict[str, object]:
    """The one pending event."""
    [name] = agent.names("pdq")
    body = json.loads((agent.spool / "pdq" / name).read_bytes())
    assert isinstance(body, dict)
    return body


# --- pd-send as it was --------------------------------------------------------------------------


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
    """`-i " "` is accepted, as ever."""
    assert pd_send("-k", KEY, "-t", "resolve", "-i", " ")[0] == 0


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


# --- pd-send as it is ---------------------------------------------------------------------------


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


def test_seconds_that_are_none(pd_send: Sender) -> None:
    """In words, with what to type."""
    said = "pd-send: error: argument --wait: 'soon' is no number of seconds, as in --wait=30"
    assert pd_send("-k", KEY, "-t", "trigger", "-d", "x", "--wait=soon") == (2, "", said)


WHEN = "2020-01-02T03:04:05Z"
ALERT = {
    "event_action": "trigger",
    "dedup_key": "inc-1",
    "payload": {
        "summary": "disk full",
        "source": "db1",
        "severity": "error",
        "timestamp": WHEN,
    },
}


def from_stdin(agent: Agent, body: object, *arguments: str, **environment: str) -> Said:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    result = agent.run("pd-send", *arguments, input=data, user=SENDER, environment=environment)
    return result.returncode, result.stdout.decode(), problem(result.stderr)


@pytest.mark.parametrize(
    ("body", "arguments", "environment"),
    [
        (ALERT | {"routing_key": KEY}, [], {}),
        (ALERT | {"routing_key": KEY}, ["-k", KEY], {}),
        (ALERT | {"routing_key": KEY}, [], {"PD_SERVICE_KEY": OTHER}),
        (ALERT, ["-k", KEY], {}),
        (ALERT, [], {"PD_SERVICE_KEY": KEY}),
    ],
)
def test_json(
    agent: Agent, body: dict[str, object], arguments: list[str], environment: dict[str, str]
) -> None:
    """A body from stdin goes on as it is; its key from wherever there is one."""
    said = from_stdin(agent, body, "--json", "-", *arguments, **environment)
    assert said == (0, "Event processed. Incident Key: inc-1\n", "")
    assert queued(agent) == ALERT | {"routing_key": KEY}


def test_json_from_a_file(agent: Agent, pd_send: Sender) -> None:
    """With a dedup key made where there is none."""
    path = agent.root / "body"
    path.write_text(json.dumps({**ALERT, "dedup_key": "", "routing_key": KEY}))
    code, said, _ = pd_send("--json", str(path))
    assert code == 0
    assert said == f"Event processed. Incident Key: {queued(agent)['dedup_key']}\n"
    assert pd_send("--json", f"{path}.not") == (
        2, "", f"pd-send: error: argument --json: cannot read {path}.not: No such file or directory"
    )  # fmt: skip


def test_json_of_a_change_event(agent: Agent) -> None:
    """Only where it is called one: an alert that lacks its action must not become an event that
    wakes nobody."""
    body = {
        "routing_key": KEY,
        "payload": {"summary": "deployed", "timestamp": WHEN},
    }
    code, _, wrong = from_stdin(agent, body, "--json", "-")
    assert code == 65
    assert "'event_action' is missing or blank" in wrong
    assert "pd-send change --json" in wrong
    assert from_stdin(agent, body, "change", "--json", "-") == (0, "Event processed.\n", "")
    assert queued(agent) == body


@pytest.mark.parametrize(
    ("body", "arguments", "code", "says"),
    [
        (b"{", [], 65, "the body is not JSON"),
        (b"[" * 100_000, [], 65, "the body is not JSON"),
        (b'"' + b"x" * 5_000_000, [], 65, "larger than"),
        ({**ALERT, "payload": {}}, ["-k", KEY], 65, "'payload.summary' is missing or blank"),
        (ALERT, [], 2, "argument -k/--service-key is required"),
        (ALERT | {"routing_key": OTHER}, ["-k", KEY], 2, "an integration key of its own"),
        (ALERT, ["-k", KEY, "-d", "x"], 2, "not allowed with argument -d/--description"),
        (ALERT, ["-k", KEY, "-f", "a=b"], 2, "not allowed with argument -f/--field"),
    ],
)
def test_json_that_is_wrong(
    agent: Agent, body: object, arguments: list[str], code: int, says: str
) -> None:
    """Said in one line, and nothing is queued."""
    got, _, wrong = from_stdin(agent, body, "--json", "-", *arguments)
    assert (got, agent.names("pdq")) == (code, [])
    assert says in wrong


def test_dry_run(agent: Agent, pd_send: Sender) -> None:
    """--dry-run prints the body, and queues nothing, even where there is no queue."""
    agent.configure(events_url="http://127.0.0.1:1", data_dir="/nonexistent")
    code, out, _ = pd_send("-k", KEY, "-t", "trigger", "-d", "x", "-i", "i", "--dry-run")
    assert code == 0
    assert json.loads(out)["dedup_key"] == "i"
    assert agent.names("pdq") == []


def test_which_configuration(agent: Agent) -> None:
    """--config beats PDAGENT_CONF; both beat the usual place."""
    arguments = ["-k", KEY, "-t", "trigger", "-d", "x"]
    command = [*agent.command("pd-send"), *arguments]
    elsewhere = {**agent.environment, "PDAGENT_CONF": "/nonexistent"}
    subprocess.run([*command, "--config", str(agent.conf)], env=elsewhere, check=True)
    here = {**agent.environment, "PDAGENT_CONF": str(agent.conf)}
    subprocess.run(command, env=here, check=True)
    assert len(agent.names("pdq")) == 2


# --- pd-queue -----------------------------------------------------------------------------------


def test_status(api: EventsApi, agent: Agent) -> None:
    """The table, four columns, keys sorted; -k for one; nothing to report where there is
    nothing."""
    assert agent.run("pd-queue", "status").stdout == b"Nothing to report.\n"
    for key, directory in [("KEY2", "err"), ("KEY1", "pdq"), ("KEY1", "pdq"), ("KEY3", "suc")]:
        name = enqueue(agent, key, None, "x")
        (agent.spool / "pdq" / name).rename(agent.spool / directory / name)
    enqueue(agent, KEY, None, "x")
    (agent.spool / "err" / "no event's name").touch()
    assert agent.run("pd-queue", "status", check=True).stdout.decode() == (
        "Service Key                           Pending   Success  In Error\n"
        "=================================================================\n"
        "KEY1                                        2         0         0\n"
        "KEY2                                        0         0         1\n"
        "KEY3                                        0         1         0\n"
        "c7a4f1e2b9d84c6fa0b1c2d3e4f50617            1         0         0\n"
    )
    one = agent.run("pd-queue", "status", "-k", "KEY2", check=True).stdout.decode()
    assert one.splitlines()[2:] == [
        "KEY2                                        0         0         1"
    ]
    assert agent.run("pd-queue", "status", "-k", "unknown").stdout == b"Nothing to report.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "too few arguments"),
        (["retry"], "A specific service key or a flag for all keys required"),
        (
            ["retry", "-a", "-k", "X"],
            "Only one of specific service key or flag for all keys required",
        ),
    ],
)
def test_queue_usage_errors(agent: Agent, arguments: list[str], says: str) -> None:
    """pd-queue's mistakes have the old agent's words, exit 2; then comes a line with what to
    type."""
    result = agent.run("pd-queue", *arguments)
    assert result.returncode == 2
    first, second = result.stderr.decode().splitlines()
    assert first == f"pd-queue: error: {says}"
    assert "pd-queue" in second


@pytest.mark.parametrize("arguments", [["--help"], ["status", "-h"], ["retry", "-h"]])
def test_queue_help(agent: Agent, arguments: list[str]) -> None:
    """-h works everywhere, exit 0."""
    result = agent.run("pd-queue", *arguments)
    assert result.returncode == 0
    assert result.stdout.startswith(b"usage: pd-queue ")
    assert b"optional arguments:" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lst"], "did you mean list?"),
        (["list", "--state", "in-eror"], "did you mean in-error?"),
        (["list", "--state", "qqq"], "'all')"),
    ],
)
def test_did_you_mean(agent: Agent, arguments: list[str], says: str) -> None:
    """A mistyped word is answered with the one that was meant, where there is one like it."""
    result = agent.run("pd-queue", *arguments)
    assert result.returncode == 2
    assert result.stderr.decode().splitlines()[0].endswith(says)


@pytest.mark.parametrize(
    "command",
    [
        "pd-queue --help", "pd-queue retry -h", "pd-queue list", "pd-queue status --json",
        "pd-send --version", "pd-send -k k -t trigger -d x --dry-run",
        "pdagent version", "pdagent check --config-only",
    ],
)  # fmt: skip
def test_nobody_takes_a_lost_answer_for_an_empty_one(agent: Agent, command: str) -> None:
    """What could not be written to stdout is an error, exit 74."""
    enqueue(agent, KEY, "x", "x")
    name, *arguments = command.split()
    line = shlex.join([*agent.command(name), "--config", str(agent.conf), *arguments])
    result = subprocess.run(
        ["sh", "-c", f"{line} > /dev/full"], capture_output=True, env=agent.environment, check=False
    )
    said = f"{name}: cannot write to standard output: No space left on device\n"
    assert (result.returncode, result.stderr.decode()) == (74, said)


def test_a_lost_receipt_is_no_error(agent: Agent) -> None:
    """pd-send has the event on disk by then."""
    line = shlex.join([*agent.command("pd-send"), "--config", str(agent.conf)])
    subprocess.run(
        ["sh", "-c", f"{line} -k {KEY} -t trigger -d x > /dev/full"],
        env=agent.environment,
        check=True,
    )
    assert len(agent.names("pdq")) == 1


@pytest.mark.parametrize("command", ["status", "retry", "list", "purge --yes", "watch", "show x"])
def test_queue_is_not_for_everybody(agent: Agent, command: str) -> None:
    """Another user is told what to type, exit 77."""
    if not ROOT:
        pytest.skip("only root can become somebody else")
    key = [] if command.startswith("show") else ["-k", KEY]
    result = agent.run("pd-queue", *command.split(), *key, user=SENDER)
    assert result.returncode == 77
    [line] = result.stderr.decode().splitlines()
    assert line.endswith(f"Permission denied. Use: sudo pd-queue {command.split()[0]}")


def test_queue_without_a_spool(agent: Agent) -> None:
    """A missing spool is named, exit 75."""
    agent.configure(events_url="http://127.0.0.1:1", data_dir="/nonexistent")
    result = agent.run("pd-queue", "status")
    assert result.returncode == 75
    assert result.stderr.startswith(b"pd-queue: cannot access /nonexistent/outqueue/pdq")


# --- as the guide has it ------------------------------------------------------------------------


@pytest.fixture
def shell(agent: Agent) -> Callable[[str], str]:
    """A shell in which the agent's commands are installed; gives what a script printed."""
    programs = agent.root / "bin"
    programs.mkdir()
    for name in ("pd-send", "pd-queue"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(agent.command(name))} "$@"\n')
        program.chmod(0o755)
    (programs / "sudo").symlink_to("/usr/bin/env")

    def run(script: str) -> str:
        environment = {**agent.environment, "PDAGENT_CONF": str(agent.conf)}
        environment["PATH"] = f"{programs}:{environment['PATH']}"
        result = subprocess.run(
            ["sh", "-euc", script], env=environment, capture_output=True, check=True
        )
        return result.stdout.decode()

    return run


def test_the_guide(api: EventsApi, agent: Agent, shell: Callable[[str], str]) -> None:
    """Every command line of the published guide does what the guide says."""
    export = "export PD_SERVICE_KEY=65d9cd0e14c04dae8ef86867277d138c\n"
    assert shell("pd-send --help").startswith("usage: pd-send [-h]")
    fire = 'pd-send -k $PD_SERVICE_KEY -t trigger -d "Server is on fire" -i server.fire'
    assert shell(export + fire) == "Event processed. Incident Key: server.fire\n"
    shell(export + fire + " -f MSG1=TEST1 -f MSG2=TEST2")
    agent.start()
    api.wait_accepted(2)
    details = sent(api.accepted[1])["payload"]["custom_details"]
    assert details == {"MSG1": "TEST1", "MSG2": "TEST2"}
    assert agent.stop() == 0
    for directory, key in [("pdq", "key1"), ("pdq", "key2"), ("err", "key2")]:
        name = enqueue(agent, key, None, "x")
        (agent.spool / "pdq" / name).rename(agent.spool / directory / name)
    header = "Service Key                           Pending   Success  In Error\n" + "=" * 65 + "\n"
    key1 = "key1                                        1         0         0\n"
    key2 = "key2                                        1         0         1\n"
    sent_before = "65d9cd0e14c04dae8ef86867277d138c            0         2         0\n"
    assert shell("pd-queue -h").startswith("usage: pd-queue [-h]")
    assert shell("pd-queue status -h").startswith("usage: pd-queue status [-h]")
    assert shell("sudo pd-queue status") == header + sent_before + key1 + key2
    assert shell("pd-queue status -k key2") == header + key2
    assert shell("pd-queue retry -h").startswith("usage: pd-queue retry [-h]")
    assert shell("pd-queue retry -k key2") == "1 event(s) set up for retry.\n"
    assert shell("pd-queue retry -a") == "0 event(s) set up for retry.\n"


def test_what_is_installed(agent: Agent) -> None:
    """`pdagent version` says what exactly runs."""
    result = agent.run("pdagent", "version", user=SENDER, check=True)
    assert re.match(rb"pdagent 3\.0\.0, Python 3\.\d+", result.stdout)
