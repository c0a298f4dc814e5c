"""Bad input to pd-send: refused in one line, or made to fit and delivered."""

import json
import re
import shlex
import subprocess

import pytest

from pdagent.api import BODY_BYTES
from tests.support.agent import Agent
from tests.support.events import KEY, sent
from tests.support.events_api import EventsApi
from tests.support.users import SENDER


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "is empty"),
        ("a/b", "can't contain '/'"),
        ("../../etc/passwd", "can't contain '/'"),
        ("a\nb", "characters that can't be printed"),
        ("a\x1bb", "characters that can't be printed"),
        (b"\xff\xfe", "characters that can't be printed"),
        ("k" * 129, "is longer than 128 bytes"),
        ("ü" * 65, "is longer than 128 bytes"),
    ],
)
def test_a_key_that_can_not_be_one(agent: Agent, key: str | bytes, says: str) -> None:
    """An empty, over-long or unusable key: one line that does not repeat it, exit 2, nothing
    queued."""
    result = agent.run("pd-send", "-k", key, "-t", "trigger", "-d", "x", user=SENDER)
    assert result.returncode == 2
    line = result.stderr.decode().splitlines()[0]
    assert line.startswith("pd-send: error: argument -k/--service-key: ")
    assert says in line
    assert agent.names("pdq") == agent.names("tmp") == []


@pytest.mark.parametrize("key", ["%s", "k" * 128, "a b", "_", "ключ", "-x", ".hidden", "x.txt"])
def test_an_unusual_key_is_pagerdutys_to_judge(api: EventsApi, agent: Agent, key: str) -> None:
    """What can be part of a file name is accepted, and arrives."""
    agent.run("pd-send", f"-k{key}", "-ttrigger", "-dx", user=SENDER, check=True)
    agent.start()
    [request] = api.wait_accepted(1)
    assert request.key == key


@pytest.mark.parametrize("field", ["noequals", "", b"\xff"])
def test_a_field_without_equals(agent: Agent, field: str | bytes) -> None:
    """One line that names the field, exit 2, nothing queued."""
    result = agent.run("pd-send", "-k", KEY, "-t", "trigger", "-d", "x", "-f", field, user=SENDER)
    assert result.returncode == 2
    line = result.stderr.decode().splitlines()[0]
    assert line.startswith("pd-send: error: argument -f/--field: ")
    assert line.endswith("is not of the form KEY=VALUE")
    assert agent.names("pdq") == []


def test_a_long_description(api: EventsApi, agent: Agent) -> None:
    """5,000 characters are cut to PagerDuty's 1,024, with a mark, and delivered."""
    agent.send(KEY, "trigger", "-d", "ü" * 5000)
    agent.start()
    [request] = api.wait_accepted(1)
    summary = sent(request)["payload"]["summary"]
    assert len(summary) == 1024
    assert summary.startswith("üüü")
    assert summary.endswith("[truncated]")


def test_600_kb_of_details(api: EventsApi, agent: Agent) -> None:
    """Details over PagerDuty's limit are cut, with a mark; what is the matter still arrives."""
    fields = [word for n in range(6) for word in ("-f", f"log{n}={'x' * 100_000}")]
    agent.send(KEY, "trigger", "-d", "big", "-i", "i", "-f", "host=db1", *fields)
    agent.start()
    [request] = api.wait_accepted(1)
    payload = sent(request)["payload"]
    assert len(request.body) <= BODY_BYTES
    assert payload["summary"] == "big"
    assert payload["custom_details"]["host"] == "db1"
    assert "[truncated]" in str(payload["custom_details"])


def test_emoji_and_bytes_that_are_no_text(api: EventsApi, agent: Agent) -> None:
    """Emoji arrive as they are; bytes that are not UTF-8 as replacements; all of it is JSON. In a
    dedup key, a digest of them keeps two keys two."""
    arguments: list[str | bytes] = [
        "-d",
        "\U0001f525 on fire",
        "-i",
        b"caf\xe9",
        "-f",
        b"a\xff=\xfe",
    ]
    agent.run("pd-send", "-k", KEY, "-t", "trigger", *arguments, user=SENDER, check=True)
    agent.start()
    [request] = api.wait_accepted(1)
    body = json.loads(request.body.decode("ascii"))
    assert body["payload"]["summary"] == "\U0001f525 on fire"
    assert re.fullmatch("caf\ufffd~[0-9a-f]{32}", body["dedup_key"])
    assert body["payload"]["custom_details"] == {"a\ufffd": "\ufffd"}


def test_a_long_incident_key_stays_one_of_its_own(api: EventsApi, agent: Agent) -> None:
    """Keys over PagerDuty's 255 characters are cut so that two stay two, and resolve what they
    opened."""
    for end in ("a", "b"):
        agent.send(KEY, "trigger", "-d", "x", "-i", "k" * 300 + end)
    agent.send(KEY, "resolve", "-i", "k" * 300 + "a")
    agent.start()
    api.wait_accepted(3)
    assert sorted(incident.state for incident in api.incidents) == ["open", "resolved"]


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", ">&- 2>&-", "</dev/null >/dev/full"])
def test_nobody_to_tell(agent: Agent, closed: str) -> None:
    """With stdout closed or full the event is queued whole, exit 0."""
    command = shlex.join([*agent.command("pd-send"), "--config", str(agent.conf)])
    command += f" -k {KEY} -t trigger -d x -i i {closed}"
    subprocess.run(["sh", "-c", command], env=agent.environment, check=True)
    [name] = agent.names("pdq")
    assert json.loads((agent.spool / "pdq" / name).read_bytes())["dedup_key"] == "i"


def test_a_terminal_that_can_not_say_it(agent: Agent) -> None:
    """With an encoding that lacks the key's letters the event is queued, exit 0."""
    result = agent.run(
        "pd-send",
        *("-k", KEY, "-t", "trigger", "-d", "x", "-i", "ключ"),
        user=SENDER,
        environment={"PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C"},
        check=True,
    )
    assert result.stdout.startswith(b"Event processed. Incident Key: ")
    assert len(agent.names("pdq")) == 1
