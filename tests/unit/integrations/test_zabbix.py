"""What Zabbix's messages become."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent.commands import pd_zabbix as command
from pdagent.config import Config
from pdagent.event import BadEvent, Event
from pdagent.integrations import zabbix
from pdagent.integrations.zabbix import ZabbixReport, parse
from pdagent.submission import NothingToSend, UsageError
from tests.support.ways import NOT_PLAIN, outcome

CONFIG = Config({"data_dir": "/nowhere"}, {})
BODY = """name:Zabbix server has just been restarted
id:13502
status:PROBLEM
hostname:Zabbix server
ip:127.0.0.1
value:1
event_id:92
severity:High"""
INCIDENT = "13502-Zabbix server"


def told(*words: str, api: str = "v1") -> Event:
    report = ZabbixReport()
    report.words = list(words)
    report.events_api = api
    [event] = report.events(CONFIG)
    return event


def v1(event: Event) -> bytes:
    return event.body("v1", 1_795_402_356_000_000_000)


def test_a_problem_as_the_old_agent_told_it() -> None:
    """Byte for byte."""
    assert v1(told("ZK", "trigger", BODY)) == (
        b'{"agent":{"agent_id":null,"queued_at":"2026-11-23T02:52:36Z","queued_by":"pd-zabbix"},'
        b'"client":"","client_url":"","description":"Zabbix server has just been restarted : '
        b'PROBLEM for Zabbix server","details":{"event_id":"92","hostname":"Zabbix server","id":'
        b'"13502","ip":"127.0.0.1","name":"Zabbix server has just been restarted","severity":'
        b'"High","status":"PROBLEM","value":"1"},"event_type":"trigger","incident_key":'
        b'"13502-Zabbix server","service_key":"ZK"}'
    )


def test_a_cancelled_escalation_as_the_old_agent_told_it() -> None:
    """It resolves; a line without a colon goes on with the value above; values have colons."""
    body = f"{BODY}\nurl:http://zbx/tr\nincident_key:mine\nother:a:b\n"
    body += "NOTE:Escalation cancelled: host disabled\nsecond line of note"
    assert v1(told("ZK", "trigger", body)) == (
        b'{"agent":{"agent_id":null,"queued_at":"2026-11-23T02:52:36Z","queued_by":"pd-zabbix"},'
        b'"client":"Zabbix","client_url":"http://zbx/tr","description":"Zabbix server has just '
        b'been restarted : PROBLEM for Zabbix server","details":{"NOTE":"Escalation cancelled: '
        b"host disabledsecond line of note (converted from trigger to resolve by pdagent "
        b'integration)","event_id":"92","hostname":"Zabbix server","id":"13502",'
        b'"incident_key":"mine","ip":"127.0.0.1","name":"Zabbix server has just been restarted",'
        b'"other":"a:b","severity":"High","status":"PROBLEM","url":"http://zbx/tr","value":"1"},'
        b'"event_type":"resolve","incident_key":"mine","service_key":"ZK"}'
    )


def test_a_cancellation_as_zabbix_writes_it_now() -> None:
    """With one l, and in front."""
    body = "NOTE: Escalation canceled: action 'Page' disabled\nLast message sent:\n" + BODY
    event = told("ZK", "trigger", body)
    assert (event.action, event.dedup_key) == ("resolve", INCIDENT)


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("trigger", "trigger"),
        ("acknowledge", "acknowledge"),
        ("resolve", "resolve"),
        ("PROBLEM", "trigger"),
        ("Problem: Disk is full", "trigger"),
        ("OK", "resolve"),
        ("Resolved in 3m: Disk is full", "resolve"),
        ("RESOLVED", "resolve"),
    ],
)
def test_messages(message: str, action: str) -> None:
    """The old words, Zabbix's statuses, and the subjects that it comes with."""
    event = told("ZK", message, BODY)
    assert (event.action, event.dedup_key) == (action, INCIDENT)


@pytest.mark.parametrize("message", ["bogus", "", " ", "triggered"])
def test_an_unknown_message_is_refused(message: str) -> None:
    """The old agent sent it as it was, and PagerDuty refused it."""
    with pytest.raises(UsageError, match="invalid choice"):
        told("ZK", message, BODY)


@pytest.mark.parametrize(
    ("done", "action"),
    [
        ("update_action:acknowledged", "acknowledge"),
        ("update_action:acknowledged, commented and changed severity from A to B", "acknowledge"),
        ("update_action:changed severity from Warning to High", "trigger"),
        ("update_action:changed severity from Warning to Closed", "trigger"),
        ("update_action:changed severity from Not acknowledged to High", "trigger"),
        ("update_action:acknowledged, changed severity from A to B and closed", "resolve"),
        ("update_action:commented and closed", "resolve"),
        ("ack:Yes", "acknowledge"),
        ("update_action:unacknowledged", None),
        ("update_action:commented", None),
        ("value:0\nupdate_action:changed severity from Warning to High", None),
        ("ack:No", None),
        ("", None),
    ],
)
def test_updates(done: str, action: str | None) -> None:
    """An acknowledgement acknowledges. A comment must not open again what somebody resolved."""
    if action is None:
        with pytest.raises(NothingToSend):
            told("ZK", "update", f"{done}\n{BODY}")
        return
    event = told("ZK", "Updated problem in 3m: x", f"{done}\n{BODY}")
    assert (event.action, event.dedup_key) == (action, INCIDENT)


def test_what_is_said_of_an_update_is_one_short_line() -> None:
    """Whatever a host's name or a comment had in it."""
    with pytest.raises(NothingToSend) as nothing:
        told("ZK", "update", "update_action:\x1b[2J\u202ecommented" + "!" * 1000 + f"\n{BODY}")
    said = str(nothing.value)
    assert said.startswith(r"an update ('\x1b[2j\u202ecommented!!!")
    assert said.isprintable()
    assert len(said) < 300


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ("name:x\nhostname:h", "id"),
        ("id:1", "hostname"),
        ("", "id and hostname"),
        ("id:", "id"),
        ("id:\n\nhostname:h", "id"),
    ],
)
def test_a_body_without_a_name_for_its_incident(body: str, missing: str) -> None:
    """One clear line."""
    with pytest.raises(BadEvent, match=f"^the body lacks {missing}"):
        told("ZK", "trigger", body, api="v2")


def test_a_blank_incident_key_is_none() -> None:
    """A line that is empty goes on with the value above it. PagerDuty would refuse the resolve."""
    event = told("ZK", "resolve", f"incident_key:\n\n{BODY}", api="v2")
    assert event.dedup_key == INCIDENT


def test_a_body_without_name_and_status_still_pages() -> None:
    """The old agent died of it."""
    event = told("ZK", "trigger", "id:7\nhostname:db1")
    assert event.description == "Trigger 7 : PROBLEM for db1"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("  a:b  \r\n c : d:e ", {"a": "b", "c ": " d:e"}),
        ("no colon\na:b", {"no colon": "no colon", "a": "b"}),
        ("a:1\n\n2\na:3", {"a": "1++2+a:3"}),
        ("id:1\nb:2\nid:3", {"id": "1", "b": "2+id:3"}),
        ("opdata:x\nid:3\n\ny", {"opdata": "x\nid:3\n\ny"}),
    ],
)
def test_parsing(body: str, fields: dict[str, str]) -> None:
    """Nothing is trimmed around a colon; the first of a name counts."""
    assert parse(body, "+") == fields


@given(st.text(), st.text())
def test_the_incident_is_the_same_whatever_the_text(before: str, after: str) -> None:
    """What a monitored host writes into the operational data decides nothing."""
    problem = told("ZK", "trigger", f"{BODY}\nopdata:x\n{before}")
    recovery = told("ZK", "resolve", f"{BODY}\nopdata:x\n{after}")
    assert (problem.action, recovery.action) == ("trigger", "resolve")
    assert problem.dedup_key == recovery.dedup_key == INCIDENT


def test_v2_takes_its_fields_from_the_body() -> None:
    """And puts a value's lines below each other."""
    body = f"{BODY}\nitem:Uptime\nhostgroup:Servers\ntrigger:Restarted\nlines:a\nb"
    event = told("ZK", "trigger", body, api="v2")
    made = json.loads(event.body(event.events_api or "", 0))
    payload = made["payload"]
    shown = {name: payload[name] for name in ("severity", "source", "component", "group", "class")}
    assert shown == {
        "severity": "critical",
        "source": "Zabbix server",
        "component": "Uptime",
        "group": "Servers",
        "class": "Restarted",
    }
    assert payload["custom_details"]["lines"] == "a\nb"
    assert "client" not in made


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ("severity:Not classified", "info"),
        ("severity: information", "info"),
        ("severity:Warning", "warning"),
        ("severity:Average", "error"),
        ("severity:Disaster", "critical"),
        ("severity:Panic", "critical"),
        ("severity:Panic\nnseverity:2", "warning"),
        ("severity:Warning\nnseverity:9", "warning"),
        ("x:y", "critical"),
    ],
)
def test_severities(line: str, severity: str) -> None:
    """By number where it is given: a server may have other names for them."""
    assert told("ZK", "trigger", f"id:1\nhostname:h\n{line}", api="v2").severity == severity


def test_two_words_leave_the_key_to_file_or_environment() -> None:
    """So that it does not show in ps."""
    with pytest.raises(UsageError, match=r"^argument KEY is required$"):
        told("trigger", BODY)


@pytest.mark.parametrize("words", [[], ["ZK"], ["ZK", "trigger", BODY, "--dry-run"]])
def test_other_numbers_of_words_are_wrong(words: list[str]) -> None:
    """Not an IndexError."""
    with pytest.raises(UsageError, match=r"^three words are needed, behind any options"):
        told(*words)


def quickly(arguments: list[str]) -> int:
    zabbix.main(arguments)
    return NOT_PLAIN


@pytest.mark.parametrize(
    "arguments",
    [
        ["ZK", "trigger", BODY],
        ["ZK", "trigger", "- id:1\nid:1\nhostname:h\udcff\n\U0001f525"],
        ["-q", "--events-api", "v2", "ZK", "OK", BODY],
        ["--events-api=v2", "ZK", "acknowledge", BODY],
        ["ZK", "update", BODY],
        ["ZK", "trigger", BODY + "x" * 600_000],
    ],
)
def test_both_ways_come_to_the_same(arguments: list[str]) -> None:
    """Body, output, exit code: the quick way and argparse's."""
    fast = outcome(quickly, arguments)
    assert fast[0] == 0
    assert fast == outcome(command.main, arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-h"],
        ["--dry-run", "ZK", "trigger", BODY],
        ["--events", "v2", "ZK", "trigger", BODY],
        ["-f", "a=b", "ZK", "trigger", BODY],
        ["ZK", "trigger", ""],
        ["ZK", "bogus", BODY],
        ["ZK"],
        ["--events-api"],
    ],
)
def test_what_is_not_plain_is_left_alone(arguments: list[str]) -> None:
    """argparse takes over from nothing done."""
    assert outcome(quickly, arguments) == (NOT_PLAIN, b"", b"", [])


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ZK", "trigger", "name:x"], 65, b"pd-zabbix: the body lacks id and hostname: "),
        (["ZK", "bogus", BODY], 2, b"pd-zabbix: error: argument TYPE: invalid choice: 'bogus'"),
        (["-f", "a=b"], 2, b"pd-zabbix: error: unrecognized arguments: -f"),
        (["--dry-run", "ZK", "trigger", BODY], 0, b""),
    ],
)
def test_the_complete_way(arguments: list[str], code: int, says: bytes) -> None:
    """Errors are one line, and none of them queues anything."""
    done, _, err, queued = outcome(command.main, arguments)
    assert (done, queued) == (code, [])
    assert err.startswith(says)
