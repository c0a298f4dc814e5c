"""The local Events API as a test wants it: with other answers, over TLS, away, and by hand."""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading

import pytest
import requests

from tests.support.events_api import Answer, CertificateAuthority, EventsApi
from tests.support.events_api.answers import Reset
from tests.unit.posts import HEARTBEAT, KEY, V2, v2


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
