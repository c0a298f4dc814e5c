"""Zabbix: a real item's value becomes an incident, by the media type as shipped."""

from typing import Any

import pytest

from tests.hosts.host import KEY
from tests.peers.zabbix import (
    ACKNOWLEDGE,
    CHANGE_SEVERITY,
    CLOSE,
    DISASTER,
    GROUP,
    HOST,
    ITEM,
    KEY_FILE,
    SAY,
    TRIGGER,
    Zabbix,
)
from tests.support.events import sent
from tests.support.events_api import EventsApi

pytestmark = pytest.mark.only("zabbix")

TOO_HIGH, LOW = 11, 0
SAID = """ERROR: it's Größe
id:1
incident_key:somebody else's
NOTE:escalation cancelled
severity:Information

opdata:"$(touch /tmp/owned)" `touch /tmp/owned`"""


def arrived(api: EventsApi, count: int) -> list[dict[str, Any]]:
    # Zabbix looks every three seconds for what there is to send, every minute for what ended.
    return [sent(request) for request in api.wait_accepted(count, timeout=90)]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["event_type"] for event in events]


def states(api: EventsApi) -> list[str]:
    return [incident.state for incident in api.incidents]


def test_problem(server: Zabbix, api: EventsApi) -> None:
    """Too high, acknowledged, low again: one incident, opened, acknowledged, resolved."""
    server.set_value(TOO_HIGH)
    arrived(api, 1)
    (incident,) = api.incidents
    assert (incident.state, incident.summary) == ("open", f"{TRIGGER} : PROBLEM for {HOST}")
    server.update(ACKNOWLEDGE + SAY, message='on it: "really"\nid:1')
    arrived(api, 2)
    (incident,) = api.incidents
    assert incident.state == "acknowledged"
    server.set_value(LOW)
    events = arrived(api, 3)

    assert types(events) == ["trigger", "acknowledge", "resolve"]
    assert events[1]["details"]["update_message"] == 'on it: "really"\nid:1'
    assert events[2]["description"] == f"{TRIGGER} : OK for {HOST}"
    (incident,) = api.incidents
    assert (incident.key, incident.dedup_key) == (KEY, events[0]["incident_key"])
    assert incident.dedup_key.startswith(f"{server.trigger_id()}-{HOST}-")
    assert (incident.state, incident.opened, incident.events) == ("resolved", 1, 3)


def test_updates(server: Zabbix, api: EventsApi) -> None:
    """A comment changes no incident, and is no failure; another severity does."""
    server.set_value(TOO_HIGH)
    arrived(api, 1)
    server.update(SAY, message="resolve: not yet")
    server.update(CHANGE_SEVERITY, severity=DISASTER)
    arrived(api, 2)
    server.set_value(LOW)
    events = arrived(api, 3)

    assert types(events) == ["trigger", "trigger", "resolve"]
    assert [event["details"]["severity"] for event in events] == ["High", "Disaster", "Disaster"]
    assert states(api) == ["resolved"]
    assert server.failed() == []


def test_closed(server: Zabbix, api: EventsApi) -> None:
    """Closed by hand while it is too high: the next value is a new problem, and stays one.

    Zabbix tells of it first, and then twice of the closing: as an update and as a recovery."""
    server.set_value(TOO_HIGH)
    arrived(api, 1)
    server.update(CLOSE)
    arrived(api, 4)
    assert states(api) == ["resolved", "open"]
    server.set_value(LOW)
    arrived(api, 5)
    assert states(api) == ["resolved", "resolved"]


def test_key_file(server: Zabbix, api: EventsApi) -> None:
    """The user's medium names a file in the place of the key."""
    server.host.sh(f"""
        install -m 640 -g zabbix /dev/null {KEY_FILE}
        echo {KEY} >{KEY_FILE}""")
    server.send_to(KEY_FILE)
    try:
        server.set_value(TOO_HIGH)
        arrived(api, 1)
        server.set_value(LOW)
        arrived(api, 2)
    finally:
        server.send_to(KEY)
    assert states(api) == ["resolved"]


def test_cancelled(server: Zabbix, api: EventsApi) -> None:
    """A trigger is disabled while its problem lasts, and nobody will be told of its end."""
    server.set_value(TOO_HIGH)
    arrived(api, 1)
    server.enable(False)
    try:
        events = arrived(api, 2)
    finally:
        server.set_value(LOW)
        server.enable(True)
        server.until_ok()
    assert types(events) == ["trigger", "resolve"]
    assert "Escalation cancel" in events[1]["details"]["NOTE"]
    assert states(api) == ["resolved"]


def test_v2(server: Zabbix, api: EventsApi) -> None:
    """For a key of Events API v2: its fields, from those of the messages."""
    server.host.configure(integrations_events_api="v2")
    try:
        server.set_value(TOO_HIGH)
        arrived(api, 1)
        server.set_value(LOW)
        trigger, resolve = arrived(api, 2)
    finally:
        server.host.configure(integrations_events_api="v1")
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    payload = trigger["payload"]
    assert (payload["source"], payload["severity"]) == (HOST, "critical")
    assert (payload["group"], payload["component"], payload["class"]) == (GROUP, ITEM, TRIGGER)
    assert states(api) == ["resolved"]


def test_text(server: Zabbix, api: EventsApi) -> None:
    """What a monitored host says is in the problem's name, and does not pass for Zabbix's lines."""
    server.say(SAID)
    (trigger,) = arrived(api, 1)
    server.say("fine")
    arrived(api, 2)
    assert trigger["event_type"] == "trigger"
    assert trigger["details"]["opdata"].endswith(SAID)
    assert trigger["details"]["severity"] == "High"
    assert trigger["details"]["hostname"] == HOST
    assert trigger["incident_key"].split("-")[1] == HOST
    assert states(api) == ["resolved"]
    assert server.host.run("ls /tmp/owned").rc != 0
