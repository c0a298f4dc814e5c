"""A v2 event for a key that v2 does not know says the same as v1."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pdagent.encoding import dumps
from pdagent.event import Event
from pdagent.wire.v1 import as_v1
from tests.support.events import body_of
from tests.unit.test_encoding import JSON

CLOCK = 1_795_402_356_123_456_789  # 2026-11-23T02:52:36.123Z


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
    assert as_v1(body_of(event.body("v2", CLOCK))) == {
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
    body = body_of(Event("K", "resolve", dedup_key="d").body("v2", CLOCK))
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
