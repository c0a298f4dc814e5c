"""Events become the bodies that PagerDuty takes, whatever a command line brings."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent import api
from pdagent.event import (
    MARK,
    BadEvent,
    Event,
    check_key,
    dumps,
    encode,
    generated_dedup_key,
    shorten,
    shorten_key,
    shrink,
    timestamp,
)
from pdagent.wire.v1 import as_v1

CLOCK = 1_795_402_356_123_456_789  # 2026-11-23T02:52:36.123Z


def read(data: bytes) -> dict[str, Any]:
    """A body that PagerDuty can read: ASCII, valid JSON, within its limit."""
    assert len(data) <= api.BODY_BYTES
    body = json.loads(data.decode("ascii"))
    assert isinstance(body, dict)
    return body


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
    body = read(Event("KEY1", "acknowledge", dedup_key="inc-1").body("v1", CLOCK))
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
    assert read(event.body("v2", CLOCK)) == {
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
    payload = read(Event("K", "trigger", description="x").body("v2", CLOCK))["payload"]
    assert payload == {
        "summary": "x",
        "source": "unknown",
        "severity": "critical",
        "timestamp": "2026-11-23T02:52:36.123Z",
    }


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_v2_acknowledge_and_resolve_need_no_payload(action: str) -> None:
    """They name the incident and say no more, unless the sender did."""
    bare = read(Event("K", action, dedup_key="d").body("v2", CLOCK))
    assert bare == {"routing_key": "K", "event_action": action, "dedup_key": "d"}
    noted = read(Event("K", action, dedup_key="d", details={"by": "me"}).body("v2", CLOCK))
    assert noted["payload"]["summary"] == "d"
    assert noted["payload"]["custom_details"] == {"by": "me"}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_change_body_is_the_same_for_either_version(version: str) -> None:
    """A change event has neither action, severity nor dedup key, and no v1 form."""
    event = Event("K", "change", description="deployed 7", source="ci", details={"by": "me"})
    assert read(event.body(version, CLOCK)) == {
        "routing_key": "K",
        "payload": {
            "summary": "deployed 7",
            "source": "ci",
            "timestamp": "2026-11-23T02:52:36.123Z",
            "custom_details": {"by": "me"},
        },
    }


def test_a_body_is_the_same_bytes_every_time() -> None:
    """The order in which details came does not show."""
    one = Event("K", "trigger", description="x", details={"a": 1, "b": 2})
    two = Event("K", "trigger", description="x", details={"b": 2, "a": 1})
    assert one.body("v2", CLOCK) == two.body("v2", CLOCK)


# what is too long, and what is odd


@pytest.mark.parametrize(("version", "field"), [("v1", "description"), ("v2", "summary")])
def test_long_description_is_cut_with_a_mark(version: str, field: str) -> None:
    """5,000 characters become 1,024 that end in a visible mark."""
    body = read(Event("K", "trigger", description="\u00e9" * 5000).body(version, CLOCK))
    text = body.get("payload", body)[field]
    assert len(text) == api.SUMMARY_CHARS
    assert text == "\u00e9" * (api.SUMMARY_CHARS - len(MARK)) + MARK


@pytest.mark.parametrize(("version", "field"), [("v1", "description"), ("v2", "summary")])
def test_description_at_the_limit_stays_whole(version: str, field: str) -> None:
    """1,024 characters are not too many."""
    text = "x" * api.SUMMARY_CHARS
    body = read(Event("K", "trigger", description=text).body(version, CLOCK))
    assert body.get("payload", body)[field] == text


HUGE: dict[str, dict[str, object]] = {
    "one long value": {"log": "x" * 600_000},
    "emoji": {"log": "\U0001f525" * 100_000},
    "lone surrogates": {"log": "\udcff" * 120_000},
    "many fields": {f"field{n:06}": "v" * 20 for n in range(20_000)},
    "long names": {f"{n}" + "n" * 60_000: "v" for n in range(10)},
    "a long list": {"list": ["item"] * 100_000},
    "wide and deep": {
        f"a{a}": {f"b{b}": {f"c{c}": {f"d{d}": "" for d in range(17)} for c in range(17)}
                  for b in range(17)}
        for a in range(17)
    },
    "names of an event's own fields": dict.fromkeys(
        ("severity", "timestamp", "dedup_key", "incident_key", "event_type"), "x" * 120_000
    ),
}  # fmt: skip


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("details", HUGE.values(), ids=HUGE.keys())
def test_600_kb_of_details_still_page(version: str, details: dict[str, object]) -> None:
    """Details of any shape are cut to PagerDuty's limit; what identifies the event is not."""
    event = Event("K" * 32, "trigger", description="x", dedup_key="d" * 255, details=details)
    data = event.body(version, CLOCK)
    body = read(data)
    assert MARK.encode() in data
    if version == "v1":
        assert body["service_key"] == "K" * 32
        assert body["event_type"] == "trigger"
        assert body["incident_key"] == "d" * 255
        assert body["description"] == "x"
        assert body["agent"]["queued_at"] == "2026-11-23T02:52:36Z"
    else:
        assert body["routing_key"] == "K" * 32
        assert body["event_action"] == "trigger"
        assert body["dedup_key"] == "d" * 255
        assert body["payload"]["summary"] == "x"
        assert body["payload"]["severity"] == "critical"
        assert body["payload"]["source"] == "unknown"
        assert body["payload"]["timestamp"] == "2026-11-23T02:52:36.123Z"


def test_every_text_at_once_may_be_too_long() -> None:
    """Every option at the longest that a command line can carry still makes an event."""
    long = "\udc80" * 60_000
    event = Event(
        "K",
        "trigger",
        description=long,
        dedup_key=long,
        details={long: long},
        client=long,
        client_url=long,
        source=long,
        component=long,
        group=long,
        event_class=long,
        links=((long, long),),
        images=((long, long, long),),
    )
    body = read(event.body("v2", CLOCK))
    assert body["routing_key"] == "K"
    assert len(body["dedup_key"]) == api.DEDUP_KEY_CHARS
    assert body["payload"]["severity"] == "critical"


def test_what_fits_is_not_touched() -> None:
    """A body just under the limit goes out whole."""
    details = {"log": "x" * (api.BODY_BYTES - 300)}
    data = Event("K", "trigger", description="x", details=details).body("v2", CLOCK)
    assert read(data)["payload"]["custom_details"] == details


def test_shrink_leaves_far_less_than_the_limit() -> None:
    """For an API that finds a body too large, a second one is an order of magnitude smaller."""
    event = Event("K", "trigger", description="x" * 900, details={"log": "y" * 400_000})
    body = json.loads(event.body("v2", CLOCK))
    small = shrink(body)
    assert len(small) < api.BODY_BYTES / 100
    assert read(small)["payload"]["custom_details"]["log"].endswith(MARK)


def test_what_no_cut_makes_fit_is_refused_in_words() -> None:
    """A key that fills the body is BadEvent, not an endless loop."""
    with pytest.raises(BadEvent, match="can't be cut down"):
        encode({"routing_key": "K" * 600_000})


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
    body = read(Event("K", "trigger", description=text).body("v2", CLOCK))
    assert body["payload"]["summary"] == shown


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_dumps_says_what_json_reads(value: object) -> None:
    """Our encoder and Python's decoder agree on every value there is."""
    assert json.loads(dumps(value)) == value


@given(JSON)
def test_dumps_writes_what_python_would(value: object) -> None:
    """Byte for byte, except that DEL is escaped."""
    theirs = json.dumps(value, sort_keys=True, separators=(",", ":"))
    assert dumps(value) == theirs.replace("\x7f", "\\u007f")


@given(st.text(st.characters(), max_size=50))
def test_dumps_writes_valid_json_for_any_text(text: str) -> None:
    """Lone surrogates included, which neither UTF-8 nor PagerDuty has a place for."""
    read_back = json.loads(dumps(text))
    read_back.encode("utf-8")
    assert read_back == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") or any(
        "\ud800" <= c <= "\udfff" for c in text
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_dumps_has_words_for_what_json_has_not(value: float) -> None:
    """No NaN and no infinity leaves the house as a bare word."""
    assert json.loads(dumps([value])) == [str(value)]


# keys


@given(st.text(min_size=api.DEDUP_KEY_CHARS + 1), st.text(), st.text())
def test_long_dedup_keys_stay_different(stem: str, one: str, two: str) -> None:
    """Two keys that differ only past PagerDuty's limit name two incidents, for good."""
    first, second = shorten_key(stem + one), shorten_key(stem + two)
    assert first is not None
    assert len(first) == api.DEDUP_KEY_CHARS
    assert (first == second) == (one == two)
    assert first == shorten_key(stem + one)


@pytest.mark.parametrize("key", [None, "", "x", "\u00e9" * api.DEDUP_KEY_CHARS])
def test_a_dedup_key_within_the_limit_is_kept(key: str | None) -> None:
    """255 characters are not too many."""
    assert shorten_key(key) == key


def test_a_lone_surrogate_in_a_long_dedup_key_is_no_obstacle() -> None:
    """Bytes that are not UTF-8 do not keep a resolve from its trigger."""
    assert shorten_key("\udcff" * 300) == shorten_key("\udcff" * 300)


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


def test_generated_dedup_keys_hold_all_of_their_randomness() -> None:
    """16 bytes, 32 letters that can be typed again."""
    assert generated_dedup_key(bytes(range(16))) == "000102030405060708090a0b0c0d0e0f"


# small parts


@pytest.mark.parametrize(
    ("clock_ns", "seconds", "milliseconds"),
    [
        (0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
        (CLOCK, "2026-11-23T02:52:36Z", "2026-11-23T02:52:36.123Z"),
        (1_795_402_356_999_999_999, "2026-11-23T02:52:36Z", "2026-11-23T02:52:36.999Z"),
    ],
)
def test_timestamp(clock_ns: int, seconds: str, milliseconds: str) -> None:
    """UTC, cut and not rounded."""
    assert timestamp(clock_ns) == seconds
    assert timestamp(clock_ns, milliseconds=True) == milliseconds


@given(st.text(), st.integers(0, 100))
def test_shorten_never_goes_past_the_limit(text: str, limit: int) -> None:
    """Whatever the limit, and never changes what fits."""
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short == text or len(text) > limit


# v2 as v1


def test_as_v1_says_the_same_thing() -> None:
    """An alert for a key that v2 does not know keeps all that v1 has a place for."""
    event = Event(
        "KEY1",
        "trigger",
        description="disk full",
        dedup_key="inc-1",
        details={"host": "db1"},
        client="MyMon",
        client_url="http://mon/1",
        links=(("http://run/book", "Runbook"),),
        images=(("http://img/1.png", "", ""),),
    )
    assert as_v1(read(event.body("v2", CLOCK))) == {
        "service_key": "KEY1",
        "event_type": "trigger",
        "incident_key": "inc-1",
        "description": "disk full",
        "details": {"host": "db1"},
        "client": "MyMon",
        "client_url": "http://mon/1",
        "contexts": [
            {"type": "link", "href": "http://run/book", "text": "Runbook"},
            {"type": "image", "src": "http://img/1.png"},
        ],
    }


def test_as_v1_of_a_bare_resolve() -> None:
    """What has no payload has no description."""
    body = read(Event("K", "resolve", dedup_key="d").body("v2", CLOCK))
    assert as_v1(body) == {
        "service_key": "K",
        "event_type": "resolve",
        "incident_key": "d",
        "details": {},
    }


@given(st.dictionaries(st.sampled_from(["payload", "links", "images", "client"]), JSON))
def test_as_v1_takes_any_body_that_a_script_dropped(body: dict[str, object]) -> None:
    """Files in pdq/ can hold anything; writing them as v1 never raises."""
    json.loads(dumps(as_v1({"routing_key": "K", "event_action": "trigger", **body})))


@pytest.mark.parametrize("chars", [10, 300, 5000])
def test_lists_of_links_keep_their_form(chars: int) -> None:
    """Cut down, each entry is a link still, and each address whole: a part of one leads nowhere."""
    href = "http://x/" + "y" * chars
    links = tuple((f"{href}{number}", "t" * 200) for number in range(6000))
    images = (("http://img/1.png", href, "alt"), (href, "", ""))
    event = Event("K", "trigger", description="x", links=links, images=images, client_url=href)
    body = read(event.body("v2", CLOCK))
    assert len(json.dumps(body)) <= api.BODY_BYTES * 1.1
    for link in body["links"]:
        assert link["href"] in {href for href, _ in links}
    for image in body["images"]:
        assert image["src"] in {src for src, _, _ in images}
        assert image.get("href", href) == href
    assert body.get("client_url", href) == href
    assert chars > 4000 or body["links"]


@given(st.text(max_size=300), st.text(max_size=300))
def test_keys_that_differ_stay_two(one: str, other: str) -> None:
    """Half a pair of surrogates is a byte that was not UTF-8."""
    short, shorter = shorten_key(one), shorten_key(other)
    assert (short == shorter) == (one == other)
    assert shorten_key(short) == short
    json.loads(dumps(short).encode("ascii"))
