"""What an answer means: the table of the design, row by row."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent.wire.verdict import (
    _TAKEN,
    REASON_CHARS,
    RETRY_AFTER_MOST,
    Delivered,
    Refused,
    Throttled,
    TooLarge,
    Troubled,
    Unreachable,
    Verdict,
    judge,
    named,
    retry_after,
)

NOW = 1_795_402_356.0  # Mon, 23 Nov 2026 02:52:36 GMT
WORDS = b'{"status":"invalid event","message":"Event object is invalid","errors":["no summary"]}'
V1_WORDS = b'{"status":"invalid event","message":"Event object is invalid"}'
YES = b'{"status":"success","message":"Event processed","dedup_key":"a"}'
PROXY = "the proxy at proxy.example:3128"
HTML = b"<html><body>Sorry</body></html>"
OTHER_JSON = b'{"message":"no Route matched with those values"}'


def verdict(
    status: int,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    version: str = "v2",
    pagerduty: bool = False,
    proxy: str = "",
) -> Verdict | TooLarge:
    headers = headers or {}
    return judge(status, headers, body, now=NOW, version=version, pagerduty=pagerduty, proxy=proxy)


@pytest.mark.parametrize("pagerduty", [True, False])
@pytest.mark.parametrize(("version", "status"), [("v2", 202), ("change", 202), ("v1", 200)])
def test_pagerdutys_yes_is_a_delivery(version: str, status: int, pagerduty: bool) -> None:
    """Its status, and its JSON, whatever type that is sent as."""
    page = {"Content-Type": "text/html"}
    assert verdict(status, YES, version=version, pagerduty=pagerduty) == Delivered(status)
    assert verdict(status, YES, page, version=version, pagerduty=pagerduty) == Delivered(status)


@pytest.mark.parametrize("version", ["v2", "change", "v1"])
@pytest.mark.parametrize("status", [200, 201, 202, 203, 204, 299])
@pytest.mark.parametrize("body", [b"", b"OK", b"not json", b"[]", b'"success"', HTML, WORDS])
def test_any_other_2xx_is_none(version: str, status: int, body: bytes) -> None:
    """Somebody says yes, and may have taken nothing."""
    assert isinstance(verdict(status, body, version=version), Unreachable)


@pytest.mark.parametrize(("version", "status"), [("v2", 200), ("change", 201), ("v1", 202)])
def test_pagerduty_says_yes_in_one_way_only(version: str, status: int) -> None:
    """Another status, or a JSON object without success, is not PagerDuty's; whoever passes events
    on has ways of his own."""
    taken = _TAKEN[version]
    for this, body in ((status, YES), (taken, b"{}"), (taken, b'{"status": "ok"}')):
        found = verdict(this, body, version=version, pagerduty=True)
        assert isinstance(found, Unreachable)
        assert verdict(this, body, version=version) == Delivered(this)


@pytest.mark.parametrize(
    "body",
    [
        b'{"status": "error"}', b'{"status": "Failed", "message": "x"}', V1_WORDS,
        b'{"status": 500, "message": "x"}', b'{"error": "no such route"}', b'{"errors": ["x"]}',
        b'{"success": false}', b'{"ok": false}', b'{"status": "Unauthorized"}',
        b'{"status": "denied"}', b'{"status": "rejected"}', b'{"status": "refused"}',
        b'{"status": "forbidden"}', b'{"status": 400}', b'{"status": false}',
        b'{"status": "404 Not Found"}', b'{"statusCode": 401, "message": "Unauthorized"}',
        b'{"errorMessage": "Task timed out after 3.00 seconds"}', b'{"success": "false"}',
        b'{"ok": 0}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", ["v2", "x-ere"])
def test_a_no_with_the_status_of_a_yes(body: bytes, version: str) -> None:
    """Many gateways answer so. The event is not taken for delivered."""
    assert isinstance(verdict(200, body, version=version), Unreachable)
    assert isinstance(verdict(202, body, version=version), Unreachable)


@pytest.mark.parametrize(
    "body",
    [
        b"{}", b'{"status": "ok"}', b'{"status": 200}', b'{"success": true, "error": null}',
        b'{"status": "queued", "errors": []}', b'{"ok": true, "error": ""}', b'{"status": 399}',
        b'{"status": true, "ok": 1}', b'{"status": "2 queued"}', b'{"statusCode": 202}',
        b'{"status": ' + b"[" * 500 + b"]" * 500 + b"}",
    ],
)  # fmt: skip
def test_a_relays_yes(body: bytes) -> None:
    """Whoever passes events on has words of his own."""
    assert verdict(200, body) == Delivered(200)


def test_the_event_that_was_taken() -> None:
    """PagerDuty names it, in either API's words."""
    assert named(b'{"status": "success", "dedup_key": "a"}') == "a"
    assert named(b'{"status": "success", "incident_key": "b"}') == "b"
    for body in (b"", b"[]", b"{}", b'{"dedup_key": 4711}', b"{" * 100_000):
        assert named(body) is None


@pytest.mark.parametrize("status", [400, 401, 402, 404, 405, 406, 410, 415, 422, 451])
@pytest.mark.parametrize("body", [WORDS, V1_WORDS, b'{"errors":["no summary"]}'])
def test_4xx_in_pagerdutys_words_refuses_the_event(status: int, body: bytes) -> None:
    """PagerDuty itself has judged it: the event will never be taken."""
    assert isinstance(verdict(status, body), Refused)


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":403,"error":"Forbidden","message":"Access Denied","path":"/v2/enqueue"}',
        b'{"success":false,"errors":[{"code":9109,"message":"Unauthorized"}],"result":null}',
    ],
)
def test_a_gateways_words_are_not_pagerdutys(body: bytes) -> None:
    """Its JSON looks alike. The event is kept, and whoever runs the gateway is told."""
    assert isinstance(verdict(403, body), Unreachable)
    assert isinstance(verdict(400, body), Troubled)


def test_the_reason_is_pagerdutys_own() -> None:
    """Message and errors, on one line."""
    assert verdict(400, WORDS) == Refused(400, "Event object is invalid; no summary")


def test_a_403_in_words_refuses_a_v2_event_and_throttles_a_v1_event() -> None:
    """v1 says 403 where v2 says 429."""
    assert verdict(403, WORDS) == Refused(403, "Event object is invalid; no summary")
    assert verdict(403, WORDS, version="v1") == Throttled(403, None)
    assert verdict(403, b"Forbidden", version="v1") == Throttled(403, None)
    assert isinstance(verdict(403, HTML, version="v1"), Unreachable)


@pytest.mark.parametrize(
    ("body", "about_key"),
    [
        (b'{"status":"invalid event","message":"x","errors":["Invalid routing key"]}', True),
        (b'{"status":"invalid event","message":"x","errors":["\'routing_key\' is bad"]}', True),
        (WORDS, False),
    ],
)
def test_a_refusal_of_the_key_is_told_apart(body: bytes, about_key: bool) -> None:
    """So that the event can be tried as v1 before it is called refused."""
    found = verdict(400, body)
    assert isinstance(found, Refused)
    assert found.about_key is about_key


@pytest.mark.parametrize("body", [b"", WORDS, HTML])
def test_413_asks_for_less(body: bytes) -> None:
    """Whoever says it, a shorter event may get through."""
    assert isinstance(verdict(413, body), TooLarge)


@pytest.mark.parametrize("version", ["v2", "v1"])
@pytest.mark.parametrize("body", [b"", WORDS, HTML])
def test_429_throttles_the_key(body: bytes, version: str) -> None:
    """With the time to wait, where the answer has one."""
    assert verdict(429, body, version=version) == Throttled(429, None)
    assert verdict(429, body, {"retry-after": "7"}, version=version) == Throttled(429, 7.0)


@pytest.mark.parametrize("status", [408, 425, 500, 501, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [b"", WORDS, HTML])
def test_5xx_is_trouble_with_event_or_server(status: int, body: bytes) -> None:
    """It may be this event that PagerDuty trips over, so the event, not the path, waits."""
    found = verdict(status, body)
    assert isinstance(found, Troubled)
    assert found.status == status


@pytest.mark.parametrize("status", [502, 504])
def test_a_proxys_bad_gateway_is_a_broken_path(status: int) -> None:
    """Behind a proxy, 502 and 504 without PagerDuty's words are the proxy's."""
    assert verdict(status, HTML, proxy=PROXY) == Unreachable(f"{PROXY} answered {status}")
    assert isinstance(verdict(status, WORDS, proxy=PROXY), Troubled)
    assert isinstance(verdict(status, HTML), Troubled)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 407])
@pytest.mark.parametrize("body", [b"", HTML, OTHER_JSON, b"{", b"[1]", b'"text"', b"\xff\xfe"])
def test_4xx_in_other_words_is_a_broken_path(status: int, body: bytes) -> None:
    """A proxy or a captive portal answers; PagerDuty was not reached."""
    assert isinstance(verdict(status, body), Unreachable)


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 399])
@pytest.mark.parametrize("body", [b"", HTML, WORDS])
def test_redirections_are_a_broken_path(status: int, body: bytes) -> None:
    """PagerDuty sends none; a portal does."""
    assert isinstance(verdict(status, body), Unreachable)


def test_407_is_a_proxys_whatever_it_says() -> None:
    """PagerDuty never asks for a proxy's password."""
    assert isinstance(verdict(407, WORDS), Unreachable)
    found = verdict(407, WORDS, proxy=PROXY)
    assert isinstance(found, Unreachable)
    assert found.why.startswith(f"{PROXY} answered 407")


@pytest.mark.parametrize(
    ("body", "headers"), [(HTML, {}), (b"x", {"Content-Type": "Text/HTML; charset=utf-8"})]
)
def test_html_is_a_broken_path(body: bytes, headers: dict[str, str]) -> None:
    """By its type or by its first sign, 400 included."""
    assert isinstance(verdict(400, body, headers), Unreachable)


IN_UTF_32 = WORDS.decode().encode("utf-32-be")  # which the program has no codec for


@pytest.mark.parametrize("body", [b"", OTHER_JSON, b"Bad Request", IN_UTF_32, bytes(64)])
def test_400_without_pagerdutys_words_is_trouble(body: bytes) -> None:
    """Nobody has said that it is the event's fault, so it is kept and tried again."""
    assert isinstance(verdict(400, body), Troubled)


def test_reasons_are_one_short_printable_line() -> None:
    """They are shown, logged and kept."""
    found = verdict(400, b'{"status":"x","message":"a\\nb\\u001b[31m' + b"y" * 9999 + b'"}')
    assert isinstance(found, Refused)
    assert found.reason.startswith("a b [31my")
    assert len(found.reason) == REASON_CHARS


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1", 1.0),
        (" 30 ", 30.0),
        ("0", 0.0),
        ("300", RETRY_AFTER_MOST),
        ("301", RETRY_AFTER_MOST),
        ("86400", RETRY_AFTER_MOST),
        ("9" * 5000, RETRY_AFTER_MOST),
        ("Mon, 23 Nov 2026 02:52:46 GMT", 10.0),
        ("Monday, 23-Nov-26 02:52:46 GMT", 10.0),
        ("Tue, 24 Nov 2026 02:52:36 GMT", RETRY_AFTER_MOST),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_MOST),
        ("Mon, 23 Nov 2026 02:52:26 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("1e3", None),
        ("\u0663", None),
        ("Mon, 99 Nov 2026 02:52:26 GMT", None),
        ("NaN", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    """Seconds or a date; what is absurd is bounded, what makes no sense is not there."""
    assert retry_after({"Retry-After": value}, NOW) == seconds


def test_no_retry_after() -> None:
    """An answer without one says nothing."""
    assert retry_after({"Content-Type": "text/plain"}, NOW) is None


def test_a_date_counts_from_the_answers_own() -> None:
    """Our clock may be a year off: theirs is right about the difference."""
    headers = {
        "date": "Sat, 23 Nov 2024 02:52:36 GMT",
        "retry-after": "Sat, 23 Nov 2024 02:53:06 GMT",
    }
    assert retry_after(headers, NOW) == 30.0


@given(st.text(), st.text())
def test_no_retry_after_makes_it_fail(value: str, date: str) -> None:
    """Headers are somebody else's words."""
    found = retry_after({"retry-after": value, "date": date}, NOW)
    assert found is None or 0 <= found <= RETRY_AFTER_MOST


@given(
    st.integers(100, 599),
    st.binary() | st.sampled_from([WORDS, HTML, OTHER_JSON, YES, b"[" * 100_000]),
    st.sampled_from(["v2", "change", "v1"]),
    st.booleans(),
    st.sampled_from(["", PROXY]),
)
def test_every_answer_gets_a_verdict(
    status: int, body: bytes, version: str, pagerduty: bool, proxy: str
) -> None:
    """Nothing that comes over the wire raises, and only a 2xx with a JSON object is a delivery."""
    found = verdict(status, body, version=version, pagerduty=pagerduty, proxy=proxy)
    if isinstance(found, Delivered):
        assert 200 <= status < 300
        assert isinstance(json.loads(body), dict)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 429, 503, 507, 508])
@pytest.mark.parametrize("version", ["v2", "v1"])
def test_a_relay_speaks_of_itself(status: int, version: str) -> None:
    """Its words look like PagerDuty's, but they are about the relay or this host: the event is
    neither refused nor throttled nor to blame."""
    words = b'{"status":"unauthorized","message":"Unauthorized","errors":["x"]}'
    found = verdict(status, words, {"Server": "pdagent"}, version)
    assert isinstance(found, Unreachable)
    assert found.sure
    assert found.why.startswith(f"the relay answered {status}: ")
    assert verdict(status, words, {"Server": "pdagent"}, version, pagerduty=True) != found


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not found"),
        (405, "method not allowed"),
        (508, "loop detected"),
    ],
)
def test_a_gateway_before_a_relay(status: int, said: str) -> None:
    """Where it gives itself out as the server, the relay is known by its words."""
    words = json.dumps({"status": said, "message": "x", "errors": ["y"]}).encode()
    found = verdict(status, words, {"Server": "nginx"})
    assert isinstance(found, Unreachable)
    assert found.sure
    assert not isinstance(verdict(status, words, {"Server": "nginx"}, pagerduty=True), Unreachable)


def test_a_relay_refuses_an_event() -> None:
    """As PagerDuty would: it is in error."""
    assert isinstance(verdict(400, WORDS, {"Server": "pdagent"}), Refused)


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (204, b"", Unreachable("answered 204, and not as PagerDuty does when it takes an event")),
        (300, YES, Unreachable("answered 300, a redirection that PagerDuty does not send")),
        (400, b"\n <p>", Unreachable("answered 400, and not in PagerDuty's words")),
        (400, b'{"status":"x","message":""}', Refused(400, "no reason given")),
        (400, b'{"errors":"x"}', Troubled("answered 400, and not in PagerDuty's words", 400)),
        (404, b"", Unreachable("answered 404, and not in PagerDuty's words")),
        (407, b"", Unreachable("a proxy answered 407 Proxy Authentication Required")),
        (413, b"", TooLarge(413, "too large")),
        (413, WORDS, TooLarge(413, "Event object is invalid; no summary")),
        (418, b"", Troubled("answered 418, and not in PagerDuty's words", 418)),
        (500, WORDS, Troubled("answered 500: Event object is invalid; no summary", 500)),
        (502, b"", Troubled("answered 502", 502)),
    ],
)
def test_what_a_person_reads(status: int, body: bytes, found: Verdict | TooLarge) -> None:
    """Each verdict says what was answered, and what is wrong with it."""
    assert judge(status, {}, body, now=NOW) == found


def test_what_is_not_said_is_the_plain_case() -> None:
    """A v2 event, a relay, no proxy."""
    assert judge(200, {}, b"{}", now=NOW) == Delivered(200)
    assert isinstance(judge(202, {}, b"", now=NOW), Unreachable)


def test_a_wait_until_a_date() -> None:
    """Counted from now, and no wait at all if it is now."""
    date = {"Retry-After": "Mon, 23 Nov 2026 02:52:36 GMT"}
    assert judge(429, date, b"", now=NOW) == Throttled(429, 0.0)
    assert judge(429, date, b"", now=NOW - 5) == Throttled(429, 5.0)


@pytest.mark.parametrize(
    ("status", "kind", "body", "taken"),
    [
        (202, "text/plain", b"OK", True),
        (202, "text/html", b"OK", False),
        (202, "text/plain", HTML, False),
        (203, "text/plain", b"OK", False),
    ],
)
def test_an_integrations_own_address(status: int, kind: str, body: bytes, taken: bool) -> None:
    """Its yes has any form, but for a web page."""
    found = verdict(status, body, {"Content-Type": kind}, version="own")
    assert found == Delivered(202) if taken else isinstance(found, Unreachable)
