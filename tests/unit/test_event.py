"""Events become the bodies that PagerDuty takes, whatever a command line brings."""

import pytest

from pdagent import api
from pdagent.encoding import MARK
from pdagent.event import (
    BadEvent,
    Event,
    bare_key,
    check_key,
    generated_dedup_key,
    is_key_name,
    timestamp,
)
from tests.support.events import body_of

CLOCK = 1_795_402_356_123_456_789  # 2026-11-23T02:52:36.123Z


# bodies


def test_v1_body_is_the_old_agents_to_the_byte() -> None:
    """An upgraded host sends the very bytes that it sent before."""
    event = Event(
        "KEY1",
        "trigger",
        description="disk full",
        dedup_key="inc-1",
        details={"load": "1.5", "host": "db1"},
        client="MyMon",
        client_url="http://mon/1",
    )
    assert event.body("v1", CLOCK) == (
        b'{"agent":{"agent_id":null,"queued_at":"2026-11-23T02:52:36Z","queued_by":"pd-send"},'
        b'"client":"MyMon","client_url":"http://mon/1","description":"disk full",'
        b'"details":{"host":"db1","load":"1.5"},"event_type":"trigger",'
        b'"incident_key":"inc-1","service_key":"KEY1"}'
    )


def test_v1_body_of_an_integration_is_the_old_ones_to_the_byte() -> None:
    """queued_by, the agent's id and empty client texts go out as the integrations had them."""
    event = Event(
        "SK",
        "resolve",
        description="c1/chk : CRIT: \u00e9",
        dedup_key="c1/chk",
        details={"check": {"status": 2, "name": "chk"}, "occurrences": 1},
        client="",
        client_url="",
        queued_by="pd-sensu",
        agent_id="6abb9853-0000-4000-8000-000000000000",
    )
    assert event.body("v1", CLOCK) == (
        b'{"agent":{"agent_id":"6abb9853-0000-4000-8000-000000000000",'
        b'"queued_at":"2026-11-23T02:52:36Z","queued_by":"pd-sensu"},'
        b'"client":"","client_url":"","description":"c1/chk : CRIT: \\u00e9",'
        b'"details":{"check":{"name":"chk","status":2},"occurrences":1},"event_type":"resolve",'
        b'"incident_key":"c1/chk","service_key":"SK"}'
    )


def test_v1_body_leaves_out_what_was_not_given() -> None:
    """Only `details` and `agent` are always there."""
    body = body_of(Event("KEY1", "acknowledge", dedup_key="inc-1").body("v1", CLOCK))
    assert sorted(body) == ["agent", "details", "event_type", "incident_key", "service_key"]
    assert body["details"] == {}


def test_v2_body_has_every_option_in_its_place() -> None:
    """Each option of pd-send ends where PagerDuty's schema has it."""
    event = Event(
        "KEY1",
        "trigger",
        description="disk full",
        dedup_key="inc-1",
        details={"host": "db1"},
        client="MyMon",
        client_url="http://mon/1",
        source="db1.example",
        severity="warning",
        component="postgres",
        group="prod",
        event_class="disk",
        links=(("http://run/book", "Runbook"), ("http://bare", "")),
        images=(("http://img/1.png", "http://img", "a graph"), ("http://img/2.png", "", "")),
    )
    assert body_of(event.body("v2", CLOCK)) == {
        "routing_key": "KEY1",
        "event_action": "trigger",
        "dedup_key": "inc-1",
        "client": "MyMon",
        "client_url": "http://mon/1",
        "links": [{"href": "http://run/book", "text": "Runbook"}, {"href": "http://bare"}],
        "images": [
            {"src": "http://img/1.png", "href": "http://img", "alt": "a graph"},
            {"src": "http://img/2.png"},
        ],
        "payload": {
            "summary": "disk full",
            "source": "db1.example",
            "severity": "warning",
            "timestamp": "2026-11-23T02:52:36.123Z",
            "component": "postgres",
            "group": "prod",
            "class": "disk",
            "custom_details": {"host": "db1"},
        },
    }


def test_v2_trigger_has_what_pagerduty_requires() -> None:
    """summary, source and severity are there, whatever was left out."""
    payload = body_of(Event("K", "trigger", description="x").body("v2", CLOCK))["payload"]
    assert payload == {
        "summary": "x",
        "source": "unknown",
        "severity": "critical",
        "timestamp": "2026-11-23T02:52:36.123Z",
    }
    wordless = body_of(Event("K", "trigger", dedup_key="d").body("v2", CLOCK))
    assert wordless["payload"]["summary"] == "d"


def test_who_sends_an_event_may_choose_its_api() -> None:
    """The configuration decides about all others."""
    assert Event("K", "trigger", events_api="v1").events_api == "v1"
    assert Event("K", "trigger").events_api is None


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_v2_acknowledge_and_resolve_need_no_payload(action: str) -> None:
    """They name the incident and say no more, unless the sender did."""
    bare = body_of(Event("K", action, dedup_key="d").body("v2", CLOCK))
    assert bare == {"routing_key": "K", "event_action": action, "dedup_key": "d"}
    noted = body_of(Event("K", action, dedup_key="d", details={"by": "me"}).body("v2", CLOCK))
    assert noted["payload"]["summary"] == "d"
    assert noted["payload"]["custom_details"] == {"by": "me"}
    said = body_of(Event("K", action, description="done", dedup_key="d").body("v2", CLOCK))
    assert said["payload"]["summary"] == "done"
    nameless = body_of(Event("K", action, details={"by": "me"}).body("v2", CLOCK))
    assert nameless["payload"]["summary"] == ""


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_change_body_is_the_same_for_either_version(version: str) -> None:
    """A change event has neither action, severity nor dedup key, and no v1 form."""
    event = Event("K", "change", description="deployed 7", source="ci", details={"by": "me"})
    assert body_of(event.body(version, CLOCK)) == {
        "routing_key": "K",
        "payload": {
            "summary": "deployed 7",
            "source": "ci",
            "timestamp": "2026-11-23T02:52:36.123Z",
            "custom_details": {"by": "me"},
        },
    }


def test_a_change_event_has_links() -> None:
    """Each with the parts that were given."""
    links = (("http://run/7", "Run 7"), ("http://bare", ""))
    body = body_of(Event("K", "change", description="x", links=links).body("v2", CLOCK))
    assert body["links"] == [{"href": "http://run/7", "text": "Run 7"}, {"href": "http://bare"}]


def test_a_body_at_the_limit_stays_whole() -> None:
    """One more byte, and it is cut."""
    event = Event("K", "trigger", description="x", details={"a": ""})
    room = api.BODY_BYTES - len(event.body("v2", CLOCK))
    event.details = {"a": "x" * room}
    assert len(event.body("v2", CLOCK)) == api.BODY_BYTES
    event.details = {"a": "x" * (room + 1)}
    assert len(event.body("v2", CLOCK)) < api.BODY_BYTES
    event.details = {"a": "\0" * (room // 6 + 1)}  # few characters, many bytes
    assert len(event.body("v2", CLOCK)) < api.BODY_BYTES


def test_a_body_that_can_not_fit_is_cut_before_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The JSON of a body of nothing but brackets takes longer than to cut it."""
    monkeypatch.setattr("pdagent.event.dumps", None)
    data = Event("K", "trigger", details={"rest": [[]] * 1_000_000}).body("v1", CLOCK)
    assert body_of(data)["details"]["rest"][16_383:] == [[], f"{MARK} {1_000_000 - 16_384} more"]


def test_what_makes_no_body() -> None:
    """The sender hears why."""
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(BadEvent, match="nested too deep"):
        Event("K", "trigger", description="x", details={"a": deep}).body("v2", CLOCK)
    with pytest.raises(BadEvent, match="can't be cut down to 512000 bytes"):
        Event("K", "trigger", agent_id="x" * api.BODY_BYTES).body("v1", CLOCK)


def test_a_body_is_the_same_bytes_every_time() -> None:
    """The order in which details came does not show."""
    one = Event("K", "trigger", description="x", details={"a": 1, "b": 2})
    two = Event("K", "trigger", description="x", details={"b": 2, "a": 1})
    assert one.body("v2", CLOCK) == two.body("v2", CLOCK)


# what is too long, and what is odd


@pytest.mark.parametrize(("version", "field"), [("v1", "description"), ("v2", "summary")])
def test_long_description_is_cut_with_a_mark(version: str, field: str) -> None:
    """5,000 characters become 1,024 that end in a visible mark."""
    body = body_of(Event("K", "trigger", description="\u00e9" * 5000).body(version, CLOCK))
    text = body.get("payload", body)[field]
    assert len(text) == api.SUMMARY_CHARS
    assert text == "\u00e9" * (api.SUMMARY_CHARS - len(MARK)) + MARK


@pytest.mark.parametrize(("version", "field"), [("v1", "description"), ("v2", "summary")])
def test_description_at_the_limit_stays_whole(version: str, field: str) -> None:
    """1,024 characters are not too many."""
    text = "x" * api.SUMMARY_CHARS
    body = body_of(Event("K", "trigger", description=text).body(version, CLOCK))
    assert body.get("payload", body)[field] == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\U0001f525 fire", "\U0001f525 fire"),
        ("caf\u00e9", "caf\u00e9"),
        ("byte \udcff", "byte \ufffd"),
        ('" \\ \t \n \0 \x7f', '" \\ \t \n \0 \x7f'),
    ],
)
def test_texts_survive_the_way_to_pagerduty(text: str, shown: str) -> None:
    """What was typed is what is read; a byte that was not UTF-8 becomes a replacement sign."""
    body = body_of(Event("K", "trigger", description=text).body("v2", CLOCK))
    assert body["payload"]["summary"] == shown


# keys


@pytest.mark.parametrize(
    "key", ["x", "c7a4f1e2b9d84c6fa0b1c2d3e4f50617", "a b", "%", "\u00e9" * 64]
)
def test_unusual_keys_are_pagerdutys_to_judge(key: str) -> None:
    """Any key that can be part of a file name is accepted."""
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key", ["", "a/b", "/", "a\0b", "a\nb", "a\x1bb", "k" * 129, "\u00e9" * 65, "\udcff"]
)
def test_unusable_keys_are_refused_without_being_quoted(key: str) -> None:
    """The text says what is wrong, and never the key."""
    with pytest.raises(BadEvent) as caught:
        check_key(key)
    assert not key.strip("/") or key not in str(caught.value)


@pytest.mark.parametrize("around", [" ", "\t\r\n", "\"'`", "\u2018\u2019\u201c\u201d", "\ufeff"])
def test_what_is_around_a_key(around: str) -> None:
    """Copying and editing leave it there."""
    assert bare_key(f"{around}K 1{around}") == "K 1"


@pytest.mark.parametrize(
    ("text", "is_name"),
    [
        ("@db", True),
        ("@" + "a-b.c_" * 5, True),
        ("@" + "a-b.c_" * 5 + "d", False),
        ("@-", True),
        ("@", False),
        ("db", False),
        ("xdb", False),
        ("@a b", False),
        ("@a/b", False),
        ("@\u00e9", False),
    ],
)
def test_the_name_of_a_key(text: str, is_name: bool) -> None:
    """Shorter than any key, so that no key is taken for one and shown."""
    assert is_key_name(text) is is_name


def test_generated_dedup_keys_hold_all_of_their_randomness() -> None:
    """16 bytes, 32 letters that can be typed again."""
    assert generated_dedup_key(bytes(range(16))) == "000102030405060708090a0b0c0d0e0f"


# small parts


@pytest.mark.parametrize(
    ("clock_ns", "seconds", "milliseconds"),
    [
        (0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
        (CLOCK, "2026-11-23T02:52:36Z", "2026-11-23T02:52:36.123Z"),
        (1_000_000, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.001Z"),
        (1_795_402_356_999_999_999, "2026-11-23T02:52:36Z", "2026-11-23T02:52:36.999Z"),
    ],
)
def test_timestamp(clock_ns: int, seconds: str, milliseconds: str) -> None:
    """UTC, cut and not rounded."""
    assert timestamp(clock_ns) == seconds
    assert timestamp(clock_ns, milliseconds=True) == milliseconds
