"""Bodies that come finished: taken as they are, refused in PagerDuty's words, cut if too long."""

import json

import pytest

from pdagent.event import BadEvent
from pdagent.queue.pending import understand
from pdagent.serve import intake
from pdagent.serve.dialects import Kind
from pdagent.serve.intake import Intake, Invalid, NotJson
from tests.support.events import KEY
from tests.support.events_api import schema

PATHS: dict[Kind, str] = {"v2": schema.V2, "change": schema.CHANGE, "v1": schema.V1}
PAYLOAD = {"summary": "disk full", "source": "db1", "severity": "error"}
GOOD: dict[Kind, dict[str, object]] = {
    "v2": {"routing_key": KEY, "event_action": "trigger", "dedup_key": "d", "payload": PAYLOAD},
    "change": {"routing_key": KEY, "payload": {"summary": "deployed"}},
    "v1": {"service_key": KEY, "event_type": "trigger", "description": "x", "incident_key": "d"},
}


def read(kind: Kind, body: object) -> Intake:
    return intake.read(json.dumps(body).encode(), kind, lambda size: b"\x01" * size)


def posted(taken: Intake) -> dict[str, object]:
    body = json.loads(taken.body("v2", 1_700_000_000_123_000_000))
    assert isinstance(body, dict)
    return body


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_body_goes_on_as_it_is(kind: Kind) -> None:
    """With fields that nobody knows, and the moment of enqueue."""
    body = GOOD[kind] | {"client": "x", "custom": {"a": [1, None, "\u00e4"]}}
    taken = read(kind, body)
    assert taken.key == KEY
    assert taken.dedup_key == (None if kind == "change" else "d")
    expected = json.loads(json.dumps(body))
    if kind != "v1":
        expected["payload"]["timestamp"] = "2023-11-14T22:13:20.123Z"
    assert posted(taken) == expected


def test_the_moment_that_a_body_names_stays() -> None:
    """It is the sender's."""
    body = GOOD["v2"] | {"payload": PAYLOAD | {"timestamp": "2020-01-01T00:00:00Z"}}
    assert posted(read("v2", body)) == body


@pytest.mark.parametrize(("kind", "name"), [("v2", "dedup_key"), ("v1", "incident_key")])
def test_a_trigger_without_a_dedup_key_gets_one(kind: Kind, name: str) -> None:
    """As PagerDuty does it: the body that is kept has it."""
    for blank in ({}, {name: ""}, {name: None}):
        body = {field: value for field, value in GOOD[kind].items() if field != name} | blank
        taken = read(kind, body)
        assert taken.dedup_key == "01" * 16
        assert posted(taken)[name] == "01" * 16


BLANK: tuple[object, ...] = (None, " ", 5, [])
BAD: list[tuple[Kind, dict[str, object]]] = [
    *[(kind, {}) for kind in GOOD],
    *[
        (kind, {name: value})
        for kind in GOOD
        for name in GOOD[kind]
        for value in BLANK
        if name not in ("dedup_key", "incident_key")
    ],
    ("v2", {"event_action": "explode"}),
    ("v2", {"event_action": "resolve", "dedup_key": ""}),
    ("v2", {"dedup_key": True}),
    ("v2", {"payload": PAYLOAD | {"severity": "bad"}}),
    ("v2", {"payload": {"summary": "x"}}),
    ("v2", {"links": ["http://x"]}),
    ("v2", {"images": "x"}),
    ("v1", {"event_type": "explode"}),
    ("v1", {"event_type": "acknowledge", "incident_key": None}),
    ("v1", {"event_type": "resolve", "description": 5}),
    ("change", {"payload": {"source": "x"}}),
]


@pytest.mark.parametrize(("kind", "wrong"), BAD)
def test_what_pagerduty_refuses_is_refused_in_its_words(
    kind: Kind, wrong: dict[str, object]
) -> None:
    """Those of the Events API that the tests talk to, which refuses each of these too."""
    body = GOOD[kind] | wrong if wrong else {}
    with pytest.raises(Invalid) as caught:
        read(kind, body)
    assert caught.value.errors
    assert {*caught.value.errors} <= {*schema.faults(PATHS[kind], body, False)}
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("kind", GOOD)
def test_what_is_taken_is_good(kind: Kind) -> None:
    """Too long is cut, not refused; PagerDuty takes it then."""
    long: dict[str, object] = {"description": "x" * 5000, "incident_key": "x" * 5000}
    if kind != "v1":
        long = {"dedup_key": "x" * 5000, "payload": PAYLOAD | {"summary": "x" * 5000}}
    if kind == "change":
        del long["dedup_key"]
    long["details"] = {str(number): "x" * 5000 for number in range(200)}
    body = posted(read(kind, GOOD[kind] | long))
    assert schema.faults(PATHS[kind], body, True) == []
    assert len(json.dumps(body)) < schema.MAX_BODY * 1.1


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"x"', b"null", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json(data: bytes) -> None:
    """And what is, but no object."""
    with pytest.raises(NotJson):
        intake.read(data, "v2", bytes)


def test_a_key_that_can_not_be_in_a_file_name() -> None:
    """The spool's names carry it."""
    with pytest.raises(BadEvent):
        read("v2", GOOD["v2"] | {"routing_key": "../../etc/passwd"})


@pytest.mark.parametrize("kind", GOOD)
def test_a_key_from_elsewhere(kind: Kind) -> None:
    """Where the body has none; it is not asked for otherwise."""
    name = next(iter(GOOD[kind]))
    body = {field: value for field, value in GOOD[kind].items() if field != name}
    taken = intake.read(json.dumps(body).encode(), kind, bytes, lambda: "KEY1")
    assert (taken.key, posted(taken)[name]) == ("KEY1", "KEY1")
    taken = intake.read(json.dumps(GOOD[kind]).encode(), kind, bytes, lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    assert taken.key == KEY


@pytest.mark.parametrize(
    ("data", "summary"),
    [
        (b'{"payload":{"summary":"disk\nfull"}}', "disk\nfull"),
        (b'\xef\xbb\xbf {"payload":{"summary":"t\tab"}}\r\n\0', "t\tab"),
        (b'{"payload":{"summary":"H\xe4l"}}', "H\ufffdl"),
        ('{"payload":{"summary":"Häl"}}'.encode("utf-16"), "Häl"),
    ],
)
def test_json_that_is_not_quite_is_read_for_what_it_means(data: bytes, summary: str) -> None:
    """Scripts write it so, and a page is better than a lesson."""
    payload = posted(intake.read(data, "change", bytes, lambda: KEY))["payload"]
    assert isinstance(payload, dict)
    assert payload["summary"] == summary


def test_bytes_that_differ_make_two_incidents() -> None:
    """Though JSON can show neither."""
    one, other = (
        intake.read(
            json.dumps(GOOD["v1"]).encode().replace(b'"d"', b'"H' + byte + b'l"'), "v1", bytes
        )
        for byte in (b"\xe4", b"\xe5")
    )
    assert one.dedup_key != other.dedup_key
    assert posted(one)["incident_key"] == one.dedup_key


@pytest.mark.parametrize(("kind", "name"), [("v2", "dedup_key"), ("v1", "incident_key")])
@pytest.mark.parametrize("action", ["trigger", "resolve"])
def test_a_number_as_dedup_key(kind: Kind, name: str, action: str) -> None:
    """Is the same as its digits."""
    verb = {"v2": "event_action", "v1": "event_type"}[kind]
    taken = read(kind, GOOD[kind] | {name: 4711, verb: action})
    assert (taken.dedup_key, posted(taken)[name]) == ("4711", "4711")


def test_links_that_lead_nowhere_are_left_out() -> None:
    """The page goes out with the others, and the sender is told."""
    links = [{"href": ""}, {"href": "http://x", "text": "X"}, {"text": "y"}, {"href": None}]
    taken = read("v2", GOOD["v2"] | {"links": links, "images": [{"src": " "}]})
    assert (posted(taken)["links"], posted(taken)["images"]) == ([links[1]], [])
    assert taken.remarks == ["links without href are left out", "images without src are left out"]


def test_a_change_has_no_images() -> None:
    """PagerDuty's schema of change events has links alone."""
    taken = read("change", GOOD["change"] | {"images": [{"src": "http://x"}]})
    assert "images" not in posted(taken)
    assert taken.remarks == ["images are left out: a change event has links only"]


@pytest.mark.parametrize("empty", [None, "", {}, 0])
@pytest.mark.parametrize("name", ["links", "images"])
def test_no_list_is_as_an_empty_one(name: str, empty: object) -> None:
    """Templates write null where there is nothing. PagerDuty would refuse the page for it."""
    taken = read("v2", GOOD["v2"] | {name: empty})
    assert (name in posted(taken), taken.remarks) == (False, [])


@pytest.mark.parametrize("kind", ["v2", "change"])
@pytest.mark.parametrize("details", [[1, "x"], 5, True])
def test_details_that_are_no_object_become_one(kind: Kind, details: object) -> None:
    """PagerDuty would refuse the page for them."""
    taken = read(kind, GOOD[kind] | {"payload": PAYLOAD | {"custom_details": details}})
    payload = posted(taken)["payload"]
    assert isinstance(payload, dict)
    assert payload["custom_details"] == {"custom_details": details}
    assert taken.remarks == ["payload.custom_details is no object; it is sent as a field of one"]


def test_no_details_are_left_out() -> None:
    """Null is nothing."""
    taken = read("v2", GOOD["v2"] | {"payload": PAYLOAD | {"custom_details": None}})
    payload = posted(taken)["payload"]
    assert isinstance(payload, dict)
    assert ("custom_details" in payload, taken.remarks) == (False, [])


def test_an_alert_is_no_change_event() -> None:
    """The daemon would send it as an alert, and PagerDuty would refuse it. No action is none."""
    with pytest.raises(Invalid, match="a change event has none"):
        read("change", GOOD["change"] | {"event_action": "trigger"})
    assert "event_action" not in posted(read("change", GOOD["change"] | {"event_action": None}))


@pytest.mark.parametrize(
    ("kind", "field"),
    [("v1", {"routing_key": "x"}), ("v2", {"pdagent_form": "x-ere"}), ("v1", {"pdagent_form": ""})],
)
def test_what_the_daemon_would_take_for_another_kind(kind: Kind, field: dict[str, str]) -> None:
    """Is sent as what it came as."""
    taken = read(kind, GOOD[kind] | field)
    understood = understand("1_KEY.txt", taken.body("", 0))
    assert (understood.version, understood.key) == (kind, KEY)
    [name] = field
    assert taken.remarks == [f"{name} is left out: it belongs to events of another kind"]


@pytest.mark.parametrize(
    "around", ["{}", " {}", "{}\r\n", "\ufeff{}", "'{}'", '"{}"', "\u201c{}\u201d\n"]
)
def test_what_is_around_a_key_is_no_part_of_it(around: str) -> None:
    """Copying and editing leave it there."""
    taken = read("v2", GOOD["v2"] | {"routing_key": around.format(KEY)})
    assert (taken.key, posted(taken)["routing_key"]) == (KEY, KEY)


@pytest.mark.parametrize("kind", ["v2", "change"])
@pytest.mark.parametrize("given", ["yesterday", 5, True, [1], "2021-02-31 05:01:32"])
def test_what_is_no_time_is_the_present(kind: Kind, given: object) -> None:
    """PagerDuty would refuse it later, when nobody looks."""
    taken = read(kind, GOOD[kind] | {"payload": {**PAYLOAD, "timestamp": given}})
    payload = posted(taken)["payload"]
    assert isinstance(payload, dict)
    assert payload["timestamp"] == "2023-11-14T22:13:20.123Z"
    assert taken.remarks == ["payload.timestamp can't be read as a time; the present one is sent"]


@pytest.mark.parametrize("kind", GOOD)
def test_a_long_summary_is_cut(kind: Kind) -> None:
    """To what PagerDuty takes, where that version has it, and nowhere else."""
    long = "x" * 2000
    others = {"payload": PAYLOAD | {"summary": long}, "description": long}
    taken = posted(read(kind, GOOD[kind] | others))
    payload = taken["payload"]
    assert isinstance(payload, dict)
    lengths = (len(payload["summary"]), len(str(taken["description"])))
    assert lengths == ((2000, 1024) if kind == "v1" else (1024, 2000))


def test_an_event_without_texts() -> None:
    """A resolve needs none."""
    body = {"routing_key": KEY, "event_action": "resolve", "dedup_key": "d"}
    taken = read("v2", body)
    assert (taken.action, taken.remarks, posted(taken)) == ("resolve", [], body)


def test_what_is_done() -> None:
    """The body says; a change event is one."""
    assert [read(kind, GOOD[kind]).action for kind in GOOD] == ["trigger", "change", "trigger"]


def test_nothing_is_said_of_what_was_right() -> None:
    """Links that have all they need stay, without a word."""
    links = {"links": [{"href": "https://example.com", "text": "x"}]}
    assert read("v2", GOOD["v2"] | links).remarks == []


def test_why_it_is_not_taken() -> None:
    """In words, all of them."""
    with pytest.raises(Invalid) as invalid:
        read("v2", {"routing_key": " ", "event_action": "explode"})
    assert len(invalid.value.errors) == 2
    assert str(invalid.value) == "; ".join(invalid.value.errors)
    with pytest.raises(NotJson, match="Expecting"):
        intake.read(b"{", "v2", lambda size: b"\x01" * size)
    with pytest.raises(NotJson, match="can't decode"):
        intake.read('{"a":1}'.encode("utf-16")[:-1], "v2", bytes)


def test_whether_a_body_may_be_parsed() -> None:
    """Is asked with UTF-8, whatever the body came in."""
    asked: list[bytes] = []

    def never(body: bytes) -> bool:
        asked.append(body)
        return False

    with pytest.raises(BadEvent, match="too many parts"):
        intake.read('{"description":"H\u00e4l"}'.encode("utf-16"), "v1", bytes, None, never)
    assert asked == ['{"description":"H\u00e4l"}'.encode()]


def test_a_number_that_is_too_long_is_a_text() -> None:
    """It costs no page: Python refuses one of more than 4,300 digits, and the body with it."""
    for digits in (300, 301, 5000):
        data = json.dumps(GOOD["v2"] | {"x": 0}).replace('"x": 0', '"x": ' + "9" * digits).encode()
        taken = posted(intake.read(data, "v2", lambda size: b"\x01" * size))
        assert taken["x"] == ("9" * digits if digits > 300 else int("9" * digits))


def test_numbers_that_json_has_not() -> None:
    """Become texts: a body with them would be refused."""
    data = json.dumps(GOOD["v2"] | {"x": float("nan")}).encode()
    assert posted(intake.read(data, "v2", lambda size: b"\x01" * size))["x"] == "NaN"
