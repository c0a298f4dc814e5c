"""What Nagios's and Icinga's notifications become."""

import errno
import json
import posix

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent.commands import pd_nagios as command
from pdagent.config import Config
from pdagent.event import Event
from pdagent.integrations import nagios
from pdagent.integrations.nagios import TYPES, NagiosReport
from pdagent.submission import NothingToSend, UsageError
from tests.support.events import KEY
from tests.support.ways import NOT_PLAIN, outcome

CONFIG = Config({"data_dir": "/nowhere"}, {})
SERVICE = {"HOSTNAME": "web1", "SERVICEDESC": "SSH", "SERVICESTATE": "CRITICAL"}
HOST = {"HOSTNAME": "web1", "HOSTSTATE": "DOWN"}
SSH = "event_source=service;host_name=web1;service_desc=SSH"
WEB1 = "event_source=host;host_name=web1"


def told(what: str, macros: dict[str, str], **options: str) -> list[Event]:
    report = NagiosReport()
    report.key = "NK"
    report.notification = what
    report.kind = "service" if "SERVICEDESC" in macros else "host"
    report.fields = [f"{name}={value}" for name, value in macros.items()]
    for name, value in options.items():
        setattr(report, name, value)
    return report.events(CONFIG)


def body(event: Event) -> dict[str, object]:
    made = json.loads(event.body(event.events_api or "", 1_795_402_356_000_000_000))
    assert isinstance(made, dict)
    return made


def test_a_service_as_the_old_agent_told_it() -> None:
    """Byte for byte."""
    extra = {
        "HOSTDISPLAYNAME": "Web 1",
        "SERVICEDISPLAYNAME": "ssh",
        "SERVICEOUTPUT": "conn refused; x=1",
        "SERVICEPROBLEMID": "12",
    }
    [event] = told("PROBLEM", SERVICE | extra)
    assert event.body("v1", 1_795_402_356_000_000_000) == (
        b'{"agent":{"agent_id":null,"queued_at":"2026-11-23T02:52:36Z","queued_by":"pd-nagios"},'
        b'"client":"","client_url":"","description":"SERVICEDESC=SSH; SERVICESTATE=CRITICAL; '
        b'HOSTNAME=web1","details":{"HOSTDISPLAYNAME":"Web 1","HOSTNAME":"web1","SERVICEDESC":'
        b'"SSH","SERVICEDISPLAYNAME":"ssh","SERVICEOUTPUT":"conn refused; x=1","SERVICEPROBLEMID":'
        b'"12","SERVICESTATE":"CRITICAL","pd_nagios_object":"service"},"event_type":"trigger",'
        b'"incident_key":"event_source=service;host_name=web1;service_desc=SSH",'
        b'"service_key":"NK"}'
    )
    assert event.events_api == "v1"


def test_a_host_as_the_old_agent_told_it() -> None:
    """Byte for byte."""
    extra = {"HOSTDISPLAYNAME": "Web 1", "HOSTPROBLEMID": "3"}
    [event] = told("PROBLEM", HOST | extra)
    assert event.body("v1", 1_795_402_356_000_000_000) == (
        b'{"agent":{"agent_id":null,"queued_at":"2026-11-23T02:52:36Z","queued_by":"pd-nagios"},'
        b'"client":"","client_url":"","description":"HOSTNAME=web1; HOSTSTATE=DOWN","details":'
        b'{"HOSTDISPLAYNAME":"Web 1","HOSTNAME":"web1","HOSTPROBLEMID":"3","HOSTSTATE":"DOWN",'
        b'"pd_nagios_object":"host"},"event_type":"trigger",'
        b'"incident_key":"event_source=host;host_name=web1","service_key":"NK"}'
    )


@pytest.mark.parametrize(("macros", "incident"), [(SERVICE, SSH), (HOST, WEB1)])
@pytest.mark.parametrize(
    ("notification", "action"),
    [("ACKNOWLEDGEMENT", "acknowledge"), ("RECOVERY", "resolve"), ("CUSTOM", "trigger")],
)
def test_what_follows_differs_in_its_type_only(
    macros: dict[str, str], incident: str, notification: str, action: str
) -> None:
    """The same incident, the same body."""
    [problem], [after] = told("PROBLEM", macros), told(notification, macros)
    assert (after.action, after.dedup_key) == (action, incident)
    assert body(after) == body(problem) | {"event_type": action}


FOLLOWED_BY = [
    # what is told, and in which state: what is sent
    ("FLAPPINGSTART", "CRITICAL", [("trigger", SSH + ";flapping")]),
    ("FLAPPINGSTART", "OK", [("trigger", SSH + ";flapping")]),
    ("FLAPPINGSTOP", "CRITICAL", [("resolve", SSH + ";flapping")]),
    ("FLAPPINGSTOP", "OK", [("resolve", SSH + ";flapping"), ("resolve", SSH)]),
    ("FlappingEnd", "OK", [("resolve", SSH + ";flapping"), ("resolve", SSH)]),
    ("FLAPPINGDISABLED", "WARNING", [("resolve", SSH + ";flapping")]),
    ("DOWNTIMEEND", "OK", [("resolve", SSH)]),
    ("DowntimeRemoved", "OK", [("resolve", SSH)]),
    ("DOWNTIMECANCELLED", "OK", [("resolve", SSH)]),
    ("DOWNTIMESTART", "OK", []),
    ("DowntimeStart", "CRITICAL", []),
    ("DOWNTIMEEND", "CRITICAL", []),
    ("DOWNTIMECANCELLED", "UNKNOWN", []),
]


@pytest.mark.parametrize(("notification", "state", "sent"), FOLLOWED_BY)
def test_flapping_and_downtimes(notification: str, state: str, sent: list[tuple[str, str]]) -> None:
    """Flapping is an incident of its own. What recovers unseen, in a downtime or while it flaps, is
    closed at their end; a downtime opens nothing."""
    macros = SERVICE | {"SERVICESTATE": state}
    if not sent:
        with pytest.raises(NothingToSend, match=notification.upper()):
            told(notification, macros)
        return
    assert [(event.action, event.dedup_key) for event in told(notification, macros)] == sent


def test_a_blank_name_is_no_source() -> None:
    """PagerDuty would refuse the whole event, and a macro may be empty."""
    [event] = told("PROBLEM", {"HOSTNAME": " ", "HOSTSTATE": "DOWN"}, events_api="v2")
    assert body(event)["payload"]["source"] == "unknown"  # type: ignore[index]


def test_an_own_incident_key_keeps_flapping_apart() -> None:
    """Else the end of one would close the other."""
    [problem] = told("PROBLEM", SERVICE, incident_key="mine")
    [flapping] = told("FLAPPINGSTART", SERVICE, incident_key="mine")
    assert (problem.dedup_key, flapping.dedup_key) == ("mine", "mine;flapping")


def test_a_blank_incident_key_is_none() -> None:
    """PagerDuty would refuse the recovery, and a macro may be empty."""
    [event] = told("RECOVERY", SERVICE, incident_key=" ")
    assert event.dedup_key == SSH


@given(st.text(), st.text())
def test_the_incident_is_the_same_whatever_the_output(before: str, after: str) -> None:
    """A plugin's words can't make another incident of it."""
    [problem] = told("PROBLEM", {"SERVICEOUTPUT": before, **SERVICE})
    [recovery] = told("RECOVERY", {**SERVICE, "SERVICESTATE": "OK", "SERVICEOUTPUT": after})
    assert problem.dedup_key == recovery.dedup_key == SSH


def test_a_long_name_is_still_one_incident() -> None:
    """Within PagerDuty's limit, and no other long name's."""
    [one], [again] = (
        told("PROBLEM", HOST | {"HOSTNAME": "h" * 300}),
        told("RECOVERY", HOST | {"HOSTNAME": "h" * 300}),
    )
    [other] = told("PROBLEM", HOST | {"HOSTNAME": "h" * 301})
    assert one.dedup_key == again.dedup_key != other.dedup_key
    assert len(one.dedup_key or "") == 255


def test_v2_takes_its_fields_from_the_macros() -> None:
    """Severity by state; a check's arguments, which may hold a password, are none of its class."""
    macros = SERVICE | {"SERVICECHECKCOMMAND": "check_ssh!secret", "SERVICEGROUPNAME": "shells"}
    [event] = told("PROBLEM", macros, events_api="v2")
    payload = body(event)["payload"]
    assert isinstance(payload, dict)
    shown = {name: payload[name] for name in ("severity", "source", "component", "group", "class")}
    assert shown == {
        "severity": "critical",
        "source": "web1",
        "component": "SSH",
        "group": "shells",
        "class": "check_ssh",
    }
    assert "client" not in body(event)


@pytest.mark.parametrize(
    ("state", "severity"),
    [("WARNING", "warning"), ("UNKNOWN", "error"), ("OK", "info"), ("NEW", "critical")],
)
def test_severities(state: str, severity: str) -> None:
    """A state that nobody knows yet is taken seriously."""
    [event] = told("PROBLEM", SERVICE | {"SERVICESTATE": state}, events_api="v2")
    assert event.severity == severity


def test_the_configuration_may_want_v2() -> None:
    """For all three commands at once."""
    report = NagiosReport()
    report.key, report.notification, report.kind = "NK", "PROBLEM", "host"
    report.fields = ["HOSTNAME=web1", "HOSTSTATE=DOWN"]
    [event] = report.events(Config({"data_dir": "/nowhere", "integrations_events_api": "v2"}))
    assert event.events_api == "v2"


@pytest.mark.parametrize(
    ("macros", "missing"),
    [
        ({"SERVICEDESC": "SSH"}, "SERVICESTATE, HOSTNAME"),
        (SERVICE | {"HOSTNAME": ""}, "HOSTNAME"),
        ({"HOSTNAME": "web1"}, "HOSTSTATE"),
    ],
)
def test_a_missing_macro_is_named(macros: dict[str, str], missing: str) -> None:
    """And how to hand it over."""
    with pytest.raises(UsageError, match=rf"missing or empty: {missing} .*-f HOST|-f SERVICE"):
        told("PROBLEM", macros)


def test_an_empty_state_still_pages() -> None:
    """It is none of what makes the incident."""
    assert told("PROBLEM", SERVICE | {"SERVICESTATE": ""})[0].dedup_key == SSH


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"key": ""}, "argument -k/--service-key is required"),
        ({"key": "a/b"}, "argument -k/--service-key: an integration key can't contain '/'"),
        ({"notification": None}, "argument -t/--event-type is required"),
        ({"notification": "BOGUS"}, "argument -t/--event-type: invalid choice: 'BOGUS'"),
        ({"kind": None}, "argument -n/--notification-type is required"),
        ({"kind": "hosts"}, "argument -n/--notification-type: invalid choice: 'hosts'"),
        ({"events_api": "v3"}, "argument --events-api: invalid choice: 'v3'"),
        ({"fields": ["x"]}, "argument -f/--field: 'x' is not of the form KEY=VALUE"),
    ],
)
def test_wrong_usage(options: dict[str, str], says: str) -> None:
    """In argparse's words."""
    with pytest.raises(UsageError) as caught:
        told("PROBLEM", HOST, **options)
    assert str(caught.value).startswith(says)


def quickly(arguments: list[str]) -> int:
    nagios.main(arguments)
    return NOT_PLAIN


PLAIN = ["-k", "NK", "-n", "service", "-f", "HOSTNAME=h", "-f", "SERVICEDESC=caf\udce9"]


@pytest.mark.parametrize("notification", TYPES)
@pytest.mark.parametrize("state", ["OK", "CRITICAL"])
def test_both_ways_come_to_the_same(notification: str, state: str) -> None:
    """Body, output, exit code: the quick way and argparse's."""
    arguments = [*PLAIN, "-t", notification, "-f", f"SERVICESTATE={state}"]
    fast = outcome(quickly, arguments)
    assert fast[0] == 0
    assert fast == outcome(command.main, arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-kNK", "-t", "PROBLEM"],
        ["--serv", "NK"],
        ["--ev", "PROBLEM"],
        ["--events", "v2"],
        ["-t", "BOGUS"],
        ["-f", "SERVICESTATE=-1", "-t", "PROBLEM", "-k", "a/b"],
        ["--dry-run", "-t", "PROBLEM", "-f", "SERVICESTATE=OK"],
        ["-h"],
        ["word"],
    ],
)
def test_what_is_not_plain_is_left_alone(arguments: list[str]) -> None:
    """argparse takes over from nothing done."""
    assert outcome(quickly, [*PLAIN, *arguments]) == (NOT_PLAIN, b"", b"", [])


def test_every_option_of_the_quick_way_is_one_of_the_complete() -> None:
    """Under the same names, into the same places."""
    known = {
        name: action.dest for action in command.parser()._actions for name in action.option_strings
    }
    assert NagiosReport.texts.items() <= known.items()
    assert known["--serv"] == "key"
    assert known["--ev"] == "notification"


def as_installed(arguments: list[str]) -> int:
    nagios.main(arguments)
    nagios.main(arguments)
    return command.main(arguments)


def test_bytes_that_differ_make_two_incidents() -> None:
    """Latin-1, which JSON can't show: one's recovery must not close the other."""
    keys = []
    for name in ("H\udce5l", "H\udce4l"):
        report = NagiosReport()
        report.key, report.kind, report.notification = KEY, "service", "RECOVERY"
        report.fields = ["HOSTNAME=h", f"SERVICEDESC={name}", "SERVICESTATE=OK"]
        [event] = report.events(CONFIG)
        keys.append(event.dedup_key)
    assert keys[0] != keys[1]


def test_an_event_that_was_accepted_is_not_accepted_again() -> None:
    """The second event of a FLAPPINGSTOP can't be queued: the first is queued once all the same."""

    def without_room(arguments: list[str]) -> int:
        link = posix.link

        def once(*paths: str) -> None:
            link(*paths)
            posix.link = full  # type: ignore[assignment]

        def full(*paths: str) -> None:
            raise OSError(errno.ENOSPC, "full")

        posix.link = once  # type: ignore[assignment]
        return as_installed(arguments)

    line = ["-k", KEY, "-n", "host", "-t", "FLAPPINGSTOP", "-f", "HOSTNAME=h", "-f", "HOSTSTATE=UP"]
    code, out, err, queued = outcome(without_room, line, "direct_delivery = off")
    assert (code, len(queued)) == (75, 1)
    assert out == b"Event processed. Incident Key: event_source=host;host_name=h;flapping\n"
    assert err.startswith(b"pd-nagios: cannot write to ")
