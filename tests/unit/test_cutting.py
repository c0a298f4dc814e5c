"""What is too long is cut, and still pages."""

import json

import pytest

from pdagent import api
from pdagent.cutting import DEPTH, shrink
from pdagent.encoding import MARK
from pdagent.event import BadEvent, Event, encode
from tests.support.events import body_of

CLOCK = 1_795_402_356_123_456_789  # 2026-11-23T02:52:36.123Z


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
    body = body_of(data)
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
    body = body_of(event.body("v2", CLOCK))
    assert body["routing_key"] == "K"
    assert len(body["dedup_key"]) == api.DEDUP_KEY_CHARS
    assert body["payload"]["severity"] == "critical"


def test_what_lies_deep_goes_first() -> None:
    """Else a body of nothing but brackets, which anyone may send, takes a minute to cut."""
    deep = json.loads("[" * 400 + "]" * 400)
    details = {"log": "x", "deep": deep, "more": {"a": deep}, "rest": [deep] * 1000}
    kept = body_of(encode({"routing_key": "K", "details": details}))["details"]
    cut = json.loads("[" * (DEPTH - 1) + json.dumps(MARK) + "]" * (DEPTH - 1))
    assert kept == {"log": "x", "deep": cut, "more": {"a": cut[0]}, "rest": [cut[0]] * 1000}


def test_what_fits_is_not_touched() -> None:
    """A body just under the limit goes out whole."""
    details = {"log": "x" * (api.BODY_BYTES - 300)}
    data = Event("K", "trigger", description="x", details=details).body("v2", CLOCK)
    assert body_of(data)["payload"]["custom_details"] == details


def test_shrink_leaves_far_less_than_the_limit() -> None:
    """For an API that finds a body too large, a second one is an order of magnitude smaller."""
    event = Event("K", "trigger", description="x" * 900, details={"log": "y" * 400_000})
    body = json.loads(event.body("v2", CLOCK))
    small = shrink(body)
    assert len(small) < api.BODY_BYTES / 100
    assert body_of(small)["payload"]["custom_details"]["log"].endswith(MARK)


def test_what_no_cut_makes_fit_is_refused_in_words() -> None:
    """A key that fills the body is BadEvent, not an endless loop."""
    with pytest.raises(BadEvent, match="can't be cut down"):
        encode({"routing_key": "K" * 600_000})


@pytest.mark.parametrize("chars", [10, 300, 5000])
def test_lists_of_links_keep_their_form(chars: int) -> None:
    """Cut down, each entry is a link still, and each address whole: a part of one leads nowhere."""
    href = "http://x/" + "y" * chars
    links = tuple((f"{href}{number}", "t" * 200) for number in range(6000))
    images = (("http://img/1.png", href, "alt"), (href, "", ""))
    event = Event("K", "trigger", description="x", links=links, images=images, client_url=href)
    body = body_of(event.body("v2", CLOCK))
    assert len(json.dumps(body)) <= api.BODY_BYTES * 1.1
    for link in body["links"]:
        assert link["href"] in {href for href, _ in links}
    for image in body["images"]:
        assert image["src"] in {src for src, _, _ in images}
        assert image.get("href", href) == href
    assert body.get("client_url", href) == href
    assert chars > 4000 or body["links"]
