"""The local Events API answers as PagerDuty does, and keeps incidents as PagerDuty does."""

import json

import pytest
import requests

from tests.support.events_api import EventsApi
from tests.support.events_api.incidents import RateLimit
from tests.support.events_api.schema import MAX_BODY
from tests.unit.posts import CHANGE, HEARTBEAT, KEY, V1, V2, Body, errors, v1, v2


def test_v2_event_is_accepted(api: EventsApi, http: requests.Session) -> None:
    answer = http.post(api.url + V2, json=v2())
    assert answer.status_code == 202
    assert answer.json() == {
        "status": "success",
        "message": "Event processed",
        "dedup_key": "disk",
    }


def test_v1_event_is_accepted(api: EventsApi, http: requests.Session) -> None:
    answer = http.post(api.url + V1, json=v1())
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "success",
        "message": "Event processed",
        "incident_key": "disk",
    }


def test_trigger_without_a_dedup_key_gets_one(api: EventsApi, http: requests.Session) -> None:
    made = [http.post(api.url + V2, json=v2(None)).json()["dedup_key"] for _ in range(2)]
    assert made[0] != made[1]
    assert [incident.dedup_key for incident in api.incidents] == made


def test_change_event_is_accepted_and_opens_nothing(api: EventsApi, http: requests.Session) -> None:
    change = {"routing_key": KEY, "payload": {"summary": "deployed"}}
    answer = http.post(api.url + CHANGE, json=change)
    assert (answer.status_code, answer.json()["status"]) == (202, "success")
    assert len(api.accepted) == 1
    assert api.incidents == ()


def test_heartbeat_is_answered(api: EventsApi, http: requests.Session) -> None:
    answer = http.post(api.url + HEARTBEAT, json={"agent_id": "x"})
    assert answer.json() == {"heartbeat_interval_secs": 3600}
    assert api.accepted == ()


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (v2(key=" "), "'routing_key' is missing or blank"),
        (
            v2(action="open"),
            "'event_action' is invalid (must be one of: trigger, acknowledge, resolve)",
        ),
        (v2(None, "resolve"), "'dedup_key' is missing or blank"),
        (v2(None, "acknowledge"), "'dedup_key' is missing or blank"),
        (v2("d" * 256), "Length of 'dedup_key' is incorrect (should be at most 255 characters)"),
        (v2(summary=""), "'payload.summary' is missing or blank"),
        (
            v2(summary="é" * 1025),
            "Length of 'payload.summary' is incorrect (should be at most 1024 characters)",
        ),
        (v2(source=None), "'payload.source' is missing or blank"),
        (v2(severity=None), "'payload.severity' is missing or blank"),
        (
            v2(severity="bad"),
            "'payload.severity' is invalid (must be one of: critical, error, warning, info)",
        ),
        (
            v2() | {"links": [{"text": "x"}]},
            "'links' is invalid (must be a list of objects with 'href')",
        ),
    ],
)
def test_v2_event_is_refused(
    api: EventsApi, http: requests.Session, event: Body, reason: str
) -> None:
    assert errors(http.post(api.url + V2, json=event)) == [reason]
    assert api.requests[0].accepted is None
    assert api.incidents == ()


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (v1(service_key=""), "Service key is missing or blank"),
        (v1(event_type=None), "Event type is missing or blank"),
        (v1(description=" "), "Description is missing or blank"),
        (v1(None, "resolve"), "Incident key is missing or blank"),
        (
            v1(description="x" * 1025),
            "Length of Description is incorrect (should be at most 1024 characters)",
        ),
    ],
)
def test_v1_event_is_refused(
    api: EventsApi, http: requests.Session, event: Body, reason: str
) -> None:
    assert errors(http.post(api.url + V1, json=event)) == [reason]


def test_longest_allowed_event_is_accepted(api: EventsApi, http: requests.Session) -> None:
    event = v2("d" * 255, summary="é" * 1024)
    assert http.post(api.url + V2, json=event).status_code == 202


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b'["a list"]', b'{"a": "\xff"}', b"[" * 100_000]
)
def test_what_is_no_json_object_is_unrecognised(
    api: EventsApi, http: requests.Session, body: bytes
) -> None:
    answer = http.post(api.url + V2, data=body)
    assert (answer.status_code, answer.json()["errors"]) == (400, ["JSON parse error"])
    assert (api.requests[0].event, api.requests[0].body) == (None, body)


@pytest.mark.parametrize(("surplus", "status"), [(0, 202), (1, 413)])
def test_body_has_a_limit(
    api: EventsApi, http: requests.Session, surplus: int, status: int
) -> None:
    body = json.dumps(v2()).encode().ljust(MAX_BODY + surplus)
    assert http.post(api.url + V2, data=body).status_code == status


def test_any_key_is_good_unless_declared_bad(api: EventsApi, http: requests.Session) -> None:
    api.unknown_keys.add("nobody")
    api.v1_only_keys.add(KEY)
    assert errors(http.post(api.url + V2, json=v2(key="nobody"))) == ["Invalid routing key"]
    assert errors(http.post(api.url + V2, json=v2())) == ["Invalid routing key"]
    assert http.post(api.url + V1, json=v1()).status_code == 200
    assert http.post(api.url + V2, json=v2(key="x")).status_code == 202


def test_strict_keys_have_32_characters(http: requests.Session) -> None:
    with EventsApi(strict_keys=True) as api:
        reason = "Length of 'routing_key' is incorrect (should be 32 characters)"
        assert errors(http.post(api.url + V2, json=v2(key="short"))) == [reason]
        assert http.post(api.url + V2, json=v2()).status_code == 202


def test_other_paths_and_methods(api: EventsApi, http: requests.Session) -> None:
    assert http.post(api.url + "/v3/enqueue", json=v2()).status_code == 404
    assert http.get(api.url + V2).status_code == 405


def test_throttled_key_leaves_others_alone(api: EventsApi, http: requests.Session) -> None:
    api.rate_limit = 2
    answers = [http.post(api.url + V2, json=v2()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[2].json()["status"] == "throttle exceeded"
    assert http.post(api.url + V1, json=v1()).status_code == 403
    assert http.post(api.url + V2, json=v2(key="other")).status_code == 202
    api.rate_limit = None
    assert http.post(api.url + V2, json=v2()).status_code == 202


def test_rate_window_slides() -> None:
    rate = RateLimit(2)
    takes = [rate.takes(KEY, now) for now in (0, 30, 59.9, 60, 61, 90)]
    assert takes == [True, True, False, True, False, True]


def test_incident_opens_is_acknowledged_and_resolved(
    api: EventsApi, http: requests.Session
) -> None:
    states = []
    for action in ("trigger", "trigger", "acknowledge", "trigger", "resolve"):
        http.post(api.url + V2, json=v2(action=action))
        states.append(api.incident(KEY, "disk").state)
    assert states == ["open", "open", "acknowledged", "acknowledged", "resolved"]
    assert (api.incident(KEY, "disk").opened, api.incident(KEY, "disk").events) == (1, 5)


def test_trigger_after_resolve_opens_another(api: EventsApi, http: requests.Session) -> None:
    for action in ("trigger", "resolve", "trigger"):
        http.post(api.url + V1, json=v1(action=action))
    incident = api.incident(KEY, "disk")
    assert (incident.state, incident.opened, incident.summary) == ("open", 2, "disk full")


def test_resolve_of_nothing_is_accepted_and_dropped(api: EventsApi, http: requests.Session) -> None:
    assert http.post(api.url + V2, json=v2(action="resolve")).status_code == 202
    assert api.incidents == ()
    with pytest.raises(KeyError):
        api.incident(KEY, "disk")


def test_incidents_of_different_keys_are_different(api: EventsApi, http: requests.Session) -> None:
    for key in ("one", "two"):
        http.post(api.url + V2, json=v2(key=key))
    http.post(api.url + V2, json=v2(key="two", action="resolve"))
    assert [(i.key, i.state) for i in api.incidents] == [("one", "open"), ("two", "resolved")]
