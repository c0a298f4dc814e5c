"""The local Events API does what PagerDuty documents, and every scripted fault is a real one."""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import requests

from tests.support.events_api import Answer, CertificateAuthority, EventsApi
from tests.support.events_api.answers import Reset
from tests.support.events_api.incidents import RateLimit
from tests.support.events_api.schema import MAX_BODY

V2 = "/v2/enqueue"
CHANGE = "/v2/change/enqueue"
V1 = "/generic/2010-04-15/create_event.json"
HEARTBEAT = "/agent/2014-03-14/heartbeat"
KEY = "c7a4f1e2b9d84c6fa0b1c2d3e4f50617"

Body = dict[str, object]


@pytest.fixture
def api() -> Iterator[EventsApi]:
    with EventsApi() as api:
        yield api


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """A client that looks at nothing in the environment."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def v2(
    dedup_key: str | None = "disk", action: str = "trigger", key: str = KEY, **payload: object
) -> Body:
    event: Body = {"routing_key": key, "event_action": action}
    if dedup_key is not None:
        event["dedup_key"] = dedup_key
    if action == "trigger":
        event["payload"] = {"summary": "disk full", "source": "db1", "severity": "error"} | payload
    return event


def v1(incident_key: str | None = "disk", action: str = "trigger", **fields: object) -> Body:
    event: Body = {"service_key": KEY, "event_type": action, "description": "disk full"}
    return event | ({"incident_key": incident_key} if incident_key else {}) | fields


def errors(answer: requests.Response) -> list[str]:
    assert answer.status_code == 400
    body = answer.json()
    assert (body["status"], body["message"]) == ("invalid event", "Event object is invalid")
    assert isinstance(body["errors"], list)
    return body["errors"]


# what PagerDuty answers


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


# the rate limit


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


# incidents


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


# scripted answers


def test_queued_answers_come_in_turn_then_the_standing_one(
    api: EventsApi, http: requests.Session
) -> None:
    api.script(KEY, Answer(500), Answer(429, retry_after=7))
    api.always(KEY, Answer(503, body="later"))
    answers = [http.post(api.url + V2, json=v2()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500, 429, 503]
    assert answers[1].headers["Retry-After"] == "7"
    assert answers[2].text == "later"
    assert http.post(api.url + V2, json=v2(key="other")).status_code == 202
    api.always(KEY, None)
    assert http.post(api.url + V2, json=v2()).status_code == 202
    assert len(api.accepted) == 2


def test_scripts_for_a_path_and_for_everything(api: EventsApi, http: requests.Session) -> None:
    api.script(HEARTBEAT, Answer(410))
    assert http.post(api.url + V2, json=v2()).status_code == 202
    assert http.post(api.url + HEARTBEAT).status_code == 410
    api.always(None, Answer(502, html="<h1>Bad Gateway</h1>"))
    answer = http.post(api.url + V2, json=v2())
    assert (answer.status_code, answer.text) == (502, "<h1>Bad Gateway</h1>")
    assert answer.headers["Content-Type"].startswith("text/html")
    api.clear_scripts()
    assert http.post(api.url + V2, json=v2()).status_code == 202


def test_scripted_headers_and_json(api: EventsApi, http: requests.Session) -> None:
    api.script(KEY, Answer(302, body={"a": 1}, headers={"Location": "/login"}))
    answer = http.post(api.url + V2, json=v2(), allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"], answer.json()) == (
        302,
        "/login",
        {"a": 1},
    )


def test_scripted_success_takes_the_event(api: EventsApi, http: requests.Session) -> None:
    api.script(KEY, Answer(200, body="no JSON"))
    assert http.post(api.url + V2, json=v2()).text == "no JSON"
    assert api.incident(KEY, "disk").state == "open"


def test_late_answer(api: EventsApi, http: requests.Session) -> None:
    """The event takes effect when it arrives, and its answer leaves no sooner than it was told."""
    api.script(KEY, Answer(delay=0.05))
    api.latency = 0.05
    assert http.post(api.url + V2, json=v2()).status_code == 202
    (request,) = api.wait_for(lambda requests: requests[0].answered is not None)
    assert request.answered is not None
    assert request.answered - request.arrived >= 0.1


def test_hanging_request_takes_no_effect(api: EventsApi, http: requests.Session) -> None:
    api.script(KEY, Answer(hang=True))
    with pytest.raises(requests.ReadTimeout):
        http.post(api.url + V2, json=v2(), timeout=(30, 0.1))
    assert [(r.status, r.accepted, r.answered) for r in api.wait_for(1)] == [(None, None, None)]


@pytest.mark.parametrize(("reset", "accepted"), [("before", 0), ("after", 1), ("mid-body", 1)])
def test_connection_is_reset(
    api: EventsApi, http: requests.Session, reset: Reset, accepted: int
) -> None:
    api.script(KEY, Answer(reset=reset))
    broken = (
        requests.exceptions.ChunkedEncodingError
        if reset == "mid-body"
        else requests.ConnectionError
    )
    with pytest.raises(broken, match="Connection reset by peer"):
        http.post(api.url + V2, json=v2())
    assert len(api.accepted) == accepted
    assert http.post(api.url + V2, json=v2()).status_code == 202


# the record


def test_requests_are_recorded_as_they_came(api: EventsApi, http: requests.Session) -> None:
    body = b'{"routing_key": "k", "event_action": "resolve",  "dedup_key": "\xc3\xa9"}'
    http.post(api.url + V2, data=body, headers={"X-Odd": "yes"})
    http.post(api.url + HEARTBEAT, data=b"\xff")
    first, second = api.requests
    assert (first.method, first.path, first.body) == ("POST", V2, body)
    assert (first.key, first.dedup_key, first.event) == ("k", "é", json.loads(body))
    assert first.headers["x-odd"] == "yes"
    assert (first.number, first.status, first.accepted) == (0, 202, 0)
    assert (second.number, second.event, second.key, second.body) == (1, None, None, b"\xff")
    assert first.arrived < second.arrived
    assert first.wall <= second.wall
    assert first.connection == second.connection == 0


def test_accepted_are_counted_apart(api: EventsApi, http: requests.Session) -> None:
    api.script(KEY, Answer(500), Answer(), Answer(500))
    for number in range(4):
        http.post(api.url + V2, json=v2(str(number)))
    assert [r.accepted for r in api.requests] == [None, 0, None, 1]
    assert [r.dedup_key for r in api.accepted] == ["1", "3"]


def test_wait_ends_when_the_last_one_comes(api: EventsApi, http: requests.Session) -> None:
    def send() -> None:
        for number in range(5):
            http.post(api.url + V2, json=v2(str(number)))

    sender = threading.Thread(target=send)
    sender.start()
    assert len(api.wait_accepted(5)) == 5
    assert len(api.wait_for(5)) == 5
    assert api.wait_for(lambda seen: any(r.dedup_key == "4" for r in seen))
    sender.join()


def test_wait_says_what_did_come(api: EventsApi, http: requests.Session) -> None:
    api.script(KEY, Answer(503))
    http.post(api.url + V2, json=v2())
    with pytest.raises(TimeoutError, match=rf"no 1 accepted events(.|\n)*{KEY} disk -> 503"):
        api.wait_accepted(1, timeout=0.01)


def test_failing_condition_fails_where_it_was_given(api: EventsApi, http: requests.Session) -> None:
    with pytest.raises(ZeroDivisionError):
        api.wait_for(lambda seen: bool(1 / len(seen)))
    assert http.post(api.url + V2, json=v2()).status_code == 202


# stop, start


def test_stopped_api_refuses_and_comes_back_on_its_port(
    api: EventsApi, http: requests.Session
) -> None:
    url = api.url
    http.post(url + V2, json=v2())
    api.stop()
    with pytest.raises(requests.ConnectionError, match="Connection refused"):
        http.post(url + V2, json=v2())
    api.start()
    assert api.url == url
    assert http.post(url + V2, json=v2(action="resolve")).status_code == 202
    assert api.incident(KEY, "disk").state == "resolved"
    assert [r.connection for r in api.requests] == [0, 1]


def test_stop_breaks_what_is_in_flight(api: EventsApi) -> None:
    api.always(None, Answer(hang=True))
    with socket.create_connection(("127.0.0.1", api.port)) as client:
        client.sendall(b"POST /v2/enqueue HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        api.wait_for(1)
        api.stop()
        with pytest.raises(ConnectionResetError):
            client.recv(1)


# TLS


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


def test_https(authority: CertificateAuthority, http: requests.Session) -> None:
    with EventsApi(tls=authority) as api:
        assert api.url.startswith("https://127.0.0.1:")
        assert http.post(api.url + V2, json=v2(), verify=api.ca_file).status_code == 202
        with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            http.post(api.url + V2, json=v2())
        assert len(api.requests) == 1


def test_certificate_of_another_host(
    authority: CertificateAuthority, http: requests.Session
) -> None:
    with (
        EventsApi(tls=authority, hosts=["events.example"]) as api,
        pytest.raises(requests.exceptions.SSLError, match=r"127\.0\.0\.1"),
    ):
        http.post(api.url + V2, json=v2(), verify=api.ca_file)


def test_tls_1_2_is_spoken_and_nothing_older(authority: CertificateAuthority) -> None:
    assert authority.context().minimum_version is ssl.TLSVersion.TLSv1_2
    client = ssl.create_default_context(cafile=authority.ca_file)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        EventsApi(tls=authority) as api,
        socket.create_connection(("127.0.0.1", api.port)) as plain,
        client.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        assert secure.version() == "TLSv1.2"


# by hand, and from other containers


def test_page_escapes_what_arrived(api: EventsApi, http: requests.Session) -> None:
    http.post(api.url + V2, json=v2("<b>", summary="<script>alert(1)</script>"))
    page = http.get(api.url + "/").text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "<b>" not in page
    assert len(api.requests) == 1


def test_record_and_incidents_as_json(api: EventsApi, http: requests.Session) -> None:
    http.post(api.url + V2, json=v2())
    (request,) = http.get(api.url + "/requests").json()
    assert (request["key"], request["status"], request["event"]) == (KEY, 202, v2())
    (incident,) = http.get(api.url + "/incidents").json()
    assert (incident["dedup_key"], incident["state"]) == ("disk", "open")


def test_scripting_and_reset_over_http(api: EventsApi, http: requests.Session) -> None:
    script = {"key": KEY, "answers": [{"status": 500}], "always": {"status": 503, "retry_after": 1}}
    assert http.post(api.url + "/_script", json=script).status_code == 200
    assert [http.post(api.url + V2, json=v2()).status_code for _ in range(2)] == [500, 503]
    http.post(api.url + "/_reset")
    assert (api.requests, api.incidents) == ((), ())
    assert http.post(api.url + V2, json=v2()).status_code == 202
    assert http.post(api.url + "/_script", json={"answers": [{"stat": 1}]}).status_code == 400


def test_command_line(tmp_path: os.PathLike[str], http: requests.Session) -> None:
    command = [sys.executable, "-m", "tests.support.events_api", "--port", "0"]
    command += ["--tls", os.fspath(tmp_path), "--rate-limit", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            http.verify = os.path.join(tmp_path, "ca.pem")
            answers = [http.post(url + V2, json=v2()).status_code for _ in range(2)]
            assert answers == [202, 429]
        finally:
            process.terminate()
    assert process.returncode == 0
