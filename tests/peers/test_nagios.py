"""Nagios 4 and Icinga 2: what they say reaches PagerDuty, by the samples as shipped."""

from typing import Any

import pytest

from tests.hosts.host import KEY
from tests.peers.nagios import CRITICAL, DOWN, FLAPPING, ODD, OK, UP, Nagios, Result
from tests.support.events import sent
from tests.support.events_api import EventsApi, Request

pytestmark = pytest.mark.only("nagios", "icinga")

ACKNOWLEDGED = "1;1;0;admin;on it; don't worry"


def details(request: Request) -> dict[str, Any]:
    return dict(sent(request)["details"])


def test_service(server: Nagios, api: EventsApi) -> None:
    """CRITICAL, acknowledged, OK: three events in order; one incident, opened to resolved."""
    disk = "event_source=service;host_name=web1;service_desc=disk"
    server.submit(Result(CRITICAL, "DISK CRITICAL - free space: / 1 MB", "web1", "disk"))
    api.wait_accepted(1)
    assert api.incident(KEY, disk).state == "open"
    server.command(f"ACKNOWLEDGE_SVC_PROBLEM;web1;disk;{ACKNOWLEDGED}")
    api.wait_accepted(2)
    assert api.incident(KEY, disk).state == "acknowledged"
    server.submit(Result(OK, "DISK OK - free space: / 9 GB", "web1", "disk"))
    events = [sent(request) for request in api.wait_accepted(3)]

    assert [event["event_type"] for event in events] == ["trigger", "acknowledge", "resolve"]
    assert [event["details"]["SERVICESTATE"] for event in events] == ["CRITICAL", "CRITICAL", "OK"]
    assert events[0]["description"] == "SERVICEDESC=disk; SERVICESTATE=CRITICAL; HOSTNAME=web1"
    incident = api.incident(KEY, disk)
    assert (incident.state, incident.opened, incident.events) == ("resolved", 1, 3)


def test_host(server: Nagios, api: EventsApi) -> None:
    """DOWN, acknowledged, UP."""
    db1 = "event_source=host;host_name=db1"
    server.submit(Result(DOWN, "PING CRITICAL - Packet loss = 100%", "db1"))
    api.wait_accepted(1)
    server.command(f"ACKNOWLEDGE_HOST_PROBLEM;db1;{ACKNOWLEDGED}")
    api.wait_accepted(2)
    server.submit(Result(UP, "PING OK", "db1"))
    events = [sent(request) for request in api.wait_accepted(3)]

    assert [event["event_type"] for event in events] == ["trigger", "acknowledge", "resolve"]
    assert events[0]["description"] == "HOSTNAME=db1; HOSTSTATE=DOWN"
    incident = api.incident(KEY, db1)
    assert (incident.state, incident.opened, incident.events) == ("resolved", 1, 3)


def test_custom(server: Nagios, api: EventsApi) -> None:
    """Somebody has the service's people paged by hand."""
    server.command("SEND_CUSTOM_SVC_NOTIFICATION;web1;disk;0;admin;please look")
    (request,) = api.wait_accepted(1)
    assert sent(request)["event_type"] == "trigger"


def test_output(server: Nagios, api: EventsApi) -> None:
    """Whatever a plugin prints: one incident for each, with what it printed, resolved at last."""
    server.check(*(Result(CRITICAL, output, "odd", service) for service, output in ODD.items()))
    problems = map(details, api.wait_accepted(len(ODD)))
    outputs = {problem["SERVICEDESC"]: problem["SERVICEOUTPUT"] for problem in problems}
    assert outputs == {service: server.shown(output) for service, output in ODD.items()}

    server.check(*(Result(OK, "fine", "odd", service) for service in ODD))
    api.wait_accepted(2 * len(ODD))
    prefix = "event_source=service;host_name=odd;service_desc="
    assert {incident.dedup_key for incident in api.incidents} == {prefix + name for name in ODD}
    assert {(each.state, each.opened) for each in api.incidents} == {("resolved", 1)}
    assert server.host.run("ls /tmp/owned").rc != 0


def test_storm(server: Nagios, api: EventsApi) -> None:
    """200 services flap at once, PagerDuty away half of the time: all arrives, each in order."""
    before = server.queued()
    turns = [CRITICAL, OK] * 2
    api.stop()
    for turn, state in enumerate(turns):
        if turn == len(turns) // 2:
            api.start()
        server.submit(*(Result(state, f"turn {turn}", "storm", name) for name in FLAPPING))
        server.until_queued(before + (turn + 1) * len(FLAPPING))

    arrived: dict[str, list[str]] = {name: [] for name in FLAPPING}
    for request in api.wait_accepted(len(turns) * len(FLAPPING), timeout=90):
        arrived[details(request)["SERVICEDESC"]].append(details(request)["SERVICEOUTPUT"])
    assert set(map(tuple, arrived.values())) == {
        tuple(f"turn {turn}" for turn in range(len(turns)))
    }
    assert {incident.state for incident in api.incidents} == {"resolved"}
