"""What Sensu's events become, Core's and Go's."""

import json
from pathlib import Path

import pytest

from pdagent.commands import pd_sensu as command
from pdagent.event import BadEvent
from pdagent.integrations import sensu
from pdagent.integrations.sensu import MAX_BYTES, loads
from tests.support.events import KEY
from tests.support.ways import NOT_PLAIN, Outcome, outcome

CORE = {
    "id": "uuid-1",
    "action": "create",
    "occurrences": 1,
    "client": {"name": "c1", "address": "10.0.0.1"},
    "check": {"name": "chk", "output": "CRIT: \u00e9", "status": 2},
}
# as documented for Sensu Go's handlers
GO = {
    "timestamp": 1617050501,
    "id": "3c3e68f6-6db7-40d3-9b84-4d61817ae559",
    "metadata": {"namespace": "default"},
    "entity": {
        "entity_class": "agent",
        "metadata": {"name": "webserver01", "namespace": "default", "labels": None},
        "system": {"hostname": "webserver01", "network": {"interfaces": [{"name": "lo"}]}},
        "last_seen": 1617050501,
        "sensu_agent_version": "6.2.7",
    },
    "check": {
        "metadata": {"name": "check-nginx", "namespace": "default"},
        "command": "check_http -p 80",
        "output": "HTTP CRITICAL: connection refused\n",
        "status": 2,
        "state": "failing",
        "occurrences": 3,
        "history": [{"status": 0, "executed": 1617050440}, {"status": 2, "executed": 1617050501}],
        "duration": 0.060790838,
        "is_silenced": False,
    },
}
METRICS = {name: value for name, value in GO.items() if name != "check"} | {"metrics": {}}


def quickly(arguments: list[str]) -> int:
    sensu.main(arguments)
    return NOT_PLAIN


def piped(document: object, *arguments: str) -> Outcome:
    """What both ways make of a document, which must be the same."""
    stdin = document if isinstance(document, bytes) else json.dumps(document).encode()
    line = ["-k", KEY, *arguments]
    fast, slow = outcome(quickly, line, stdin=stdin), outcome(command.main, line, stdin=stdin)
    assert fast in (slow, (NOT_PLAIN, b"", b"", []))
    return slow


def body(document: object, *arguments: str) -> dict[str, object]:
    """The one event that is queued for a document, the quick way."""
    done = piped(document, *arguments)
    assert done[:3] == (0, b"", b"")
    [text] = done[3]
    made = json.loads(text.removeprefix(f"{KEY}.txt"))
    assert isinstance(made, dict)
    return made


def test_a_check_result_as_the_old_agent_told_it() -> None:
    """Field by field."""
    made = body(CORE)
    assert made.pop("agent") == {"agent_id": None, "queued_at": "TIME", "queued_by": "pd-sensu"}
    assert made == {
        "client": "",
        "client_url": "",
        "description": "c1/chk : CRIT: \u00e9",
        "details": CORE,
        "event_type": "trigger",
        "incident_key": "c1/chk",
        "service_key": "GENERATED",  # which it is not, but looks like
    }


@pytest.mark.parametrize(
    ("changed", "event_type", "incident_key"),
    [
        ({"action": "resolve"}, "resolve", "c1/chk"),
        ({"action": "flapping"}, "trigger", "c1/chk"),
        ({"client": None}, "trigger", "uuid-1"),
        ({"check": {"output": "x"}}, "trigger", "uuid-1"),
        ({"action": None, "check": {"name": "chk", "status": 0}}, "resolve", "c1/chk"),
        ({"action": None}, "trigger", "c1/chk"),
    ],
)
def test_core(changed: dict[str, object], event_type: str, incident_key: str) -> None:
    """Whatever is no resolve is a page; without an action the status decides."""
    made = body(CORE | changed)
    assert (made["event_type"], made["incident_key"]) == (event_type, incident_key)


@pytest.mark.parametrize(
    ("status", "action", "severity"),
    [
        (0, "resolve", "info"),
        (1, "trigger", "warning"),
        (2, "trigger", "critical"),
        (3, "trigger", "error"),
        (127, "trigger", "error"),
        (None, "trigger", "error"),
    ],
)
def test_go(status: object, action: str, severity: str) -> None:
    """The status says what to do, and how bad it is; entity and check make the incident."""
    check = {**GO["check"], "status": status}  # type: ignore[dict-item]
    made = body({**GO, "check": check}, "--events-api", "v2")
    assert (made["event_action"], made["dedup_key"]) == (action, "webserver01/check-nginx")
    payload = made["payload"]
    assert isinstance(payload, dict)
    assert payload.pop("custom_details") == {**GO, "check": check}
    assert payload == {
        "summary": "webserver01/check-nginx : HTTP CRITICAL: connection refused",
        "source": "webserver01",
        "severity": severity,
        "component": "check-nginx",
        "group": "default",
        "class": "agent",
        "timestamp": "TIME",
    }


def test_go_in_v1_is_told_as_core_is() -> None:
    """With the same parts."""
    made = body(GO)
    assert made["event_type"] == "trigger"
    assert made["incident_key"] == "webserver01/check-nginx"
    assert made["details"] == GO


def test_another_namespace_is_another_incident() -> None:
    """Its names may be the same."""
    metadata = {"name": "webserver01", "namespace": "prod"}
    made = body({**GO, "entity": {"metadata": metadata}})
    assert made["incident_key"] == "prod/webserver01/check-nginx"


def test_metrics_are_nothing_to_send() -> None:
    """And no error: a handler may get them."""
    assert piped(METRICS) == (
        0,
        b"Nothing to send: an event that has metrics, but no check.\n",
        b"",
        [],
    )


def test_an_own_incident_key() -> None:
    """-i names the incident, even where the event can't."""
    assert body(CORE, "-i", "mine")["description"] == "mine : CRIT: \u00e9"
    assert body({"check": {"status": 1}}, "-i", "mine")["incident_key"] == "mine"


def test_a_blank_incident_key_is_none() -> None:
    """PagerDuty would refuse the resolve, and in a handler a variable may be empty."""
    assert body(CORE, "-i", " ")["incident_key"] == "c1/chk"


@pytest.mark.parametrize(
    ("stdin", "says"),
    [
        (b"", b"there is no event on stdin"),
        (b" \n", b"there is no event on stdin"),
        (b"{", b"what is on stdin is not JSON: Expecting property name"),
        (b"nonsense", b"what is on stdin is not JSON, at character 0"),
        (b'{"a": 1} {}', b"what is on stdin is more than one JSON value, at character 8"),
        (b"[" * 100_000, b"what is on stdin is not JSON: "),
        (b"[]", b"what is on stdin is not an event of Sensu's: it is no JSON object"),
        (b"{}", b"the check result has neither an action nor a status"),
        (b'{"action": "create"}', b"the event names no client and check, and has no id"),
        (b'{"action": "resolve", "id": " "}', b"the event names no client and check, and has no"),
        (b'{"action":"create","id":"x","y":' + b"[" * 900 + b"]" * 900 + b"}", b"the event's det"),
        (b" " * (MAX_BYTES + 1), b"the event on stdin is longer than 16777216 bytes"),
    ],
)
def test_what_is_no_event(stdin: bytes, says: bytes) -> None:
    """One line, exit 65, nothing queued."""
    code, out, err, queued = piped(stdin)
    assert (code, out, queued) == (65, b"", [])
    assert err.startswith(b"pd-sensu: " + says)
    assert err.count(b"\n") == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"caf\xe9\xff", "caf\ufffd\ufffd"),
        (b"tab\there", "tab\there"),
        (b"\\ud800 \\u0000", "\ufffd \x00"),
        (b"x" * 2_000_000, "x" * 65_522 + "... [truncated]"),
    ],
)
def test_any_bytes_survive(text: bytes, shown: str) -> None:
    """What is too long is cut where one sees it."""
    start = b'\xef\xbb\xbf\n{"action":"create","id":"x","check":{"output":"'
    made = body(start + text + b'"},"n":[1.5,-3,1e999,NaN,true]}\0\n')
    details = made["details"]
    assert isinstance(details, dict)
    assert details["check"]["output"][:70] == shown[:70]
    assert details["n"] == [1.5, -3, "inf", "NaN", True]
    assert len(str(made["description"])) <= 1024
    assert len(text) < 1024 or str(made["description"]).endswith("... [truncated]")


def test_what_the_scanner_reads_is_what_json_reads() -> None:
    """Of every kind of value."""
    text = json.dumps([CORE, GO, METRICS, "", 0, -1.5e-7, None, {"": []}])
    assert loads(text) == json.loads(text)
    with pytest.raises(BadEvent):
        loads("")


def test_a_number_that_is_too_long_is_a_text() -> None:
    """It costs no page: not here, and not where the daemon reads the body."""
    for digits in (301, 5000, 3_000_000):
        text = "-" + "9" * digits
        assert loads(f'{{"n": {text}}}') == {"n": text}


@pytest.mark.parametrize(
    "arguments", [["-h"], ["-f", "a=b"], ["--dry-run"], ["--inc", "x"], ["-kX"]]
)
def test_what_is_not_plain_is_left_alone(arguments: list[str]) -> None:
    """argparse takes over from nothing done."""
    line = ["-k", KEY, *arguments]
    stdin = json.dumps(CORE).encode()
    assert outcome(quickly, line, stdin=stdin) == (NOT_PLAIN, b"", b"", [])


def test_the_complete_way_still_has_what_was_piped() -> None:
    """Where the quick one has read stdin, and given up."""

    def both(arguments: list[str]) -> int:
        sensu.main(arguments)
        return command.main(arguments)

    conf = "a problem of the configuration"
    done = outcome(both, ["-k", KEY], conf, json.dumps(CORE).encode())
    assert (done[0], len(done[3])) == (0, 1)


def test_the_key_may_come_from_a_file(tmp_path: Path) -> None:
    """A path can't be a key."""
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    made = outcome(quickly, ["-k", str(path)], stdin=json.dumps(CORE).encode())
    assert made[3][0].startswith(f"{KEY}.txt")


def as_installed(arguments: list[str]) -> int:
    sensu.main(arguments)
    sensu.main(arguments)
    return command.main(arguments)


@pytest.mark.parametrize("nameless", ["entity", "check"])
def test_a_go_event_without_a_name(nameless: str) -> None:
    """Its namespace alone names no incident: all nameless ones would be one."""
    document = json.loads(json.dumps(GO))
    document["entity"]["metadata"]["namespace"] = "ops"
    document.pop("id", None)
    del document[nameless]["metadata"]["name"]
    done = outcome(as_installed, ["-k", KEY], stdin=json.dumps(document).encode())
    assert (done[0], done[3]) == (65, [])
    assert b"the incident has no name" in done[2]


def test_the_bound_holds_on_both_ways() -> None:
    """The rest of a document that is too long is not another document."""
    text = b" " * (MAX_BYTES + 1) + json.dumps(CORE).encode()
    done = outcome(as_installed, ["-k", KEY], stdin=text)
    assert (done[0], done[3]) == (65, [])
    assert b"longer than 16777216 bytes" in done[2]
