"""What an expectation's file may hold, and what its lapse sends."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent import api
from pdagent.event import Event
from pdagent.queue.elapsed import Moment
from pdagent.queue.expectation import (
    TERM_LEAST,
    TERM_MOST,
    identity_of,
    owner_of,
    resolve,
    trigger,
    understood,
    written,
)
from pdagent.queue.pending import Hostile, understand
from tests.support.events import KEY

SINCE = Moment(1_790_000_000.0, 100.0, 100.0, "boot one")


def later(seconds: float, slept: float = 0.0) -> Moment:
    return Moment(SINCE.wall + seconds, 100.0 + seconds, 100.0 + seconds - slept, "boot one")


def event(version: str = "v2", key: str = KEY, **more: str) -> bytes:
    details = {"expected_within": "25h"}
    made = Event(key, "trigger", "no backup", "backup", details, source="db1", **more)  # type: ignore[arg-type]
    return made.body(version, int(SINCE.wall) * 10**9)


def body(version: str = "v2", now: Moment | None = None, note: str = "") -> dict[str, object]:
    found = understood(written(event(version), 3600.0, SINCE))
    parsed: dict[str, object] = json.loads(trigger(found, now or later(4000.0), note))
    return parsed


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_what_is_written_is_understood(version: str) -> None:
    """In both versions of the API; the key may be a name."""
    for key in (KEY, "@db"):
        found = understood(written(event(version, key), 90_000.0, SINCE))
        assert (found.key, found.dedup_key, found.term) == (key, "backup", 90_000.0)
        assert found.since == SINCE
        assert found.trigger == json.loads(event(version, key))
        assert not found.is_cancelled


def test_a_term_of_nothing_is_a_cancellation() -> None:
    """What was expected is no longer."""
    assert understood(written(event(), 0.0, SINCE)).is_cancelled


def test_a_lapse_sends_the_trigger_and_when_it_was_last_heard() -> None:
    """The event's time is the lapse's."""
    sent = body()
    payload = sent["payload"]
    assert isinstance(payload, dict)
    assert sent["dedup_key"] == "backup"
    assert payload["summary"] == "no backup"
    assert payload["timestamp"] == "2026-09-21T15:20:00Z"
    assert payload["custom_details"] == {
        "expected_within": "25h",
        "last_heard": "2026-09-21T14:13:20Z",
    }


def test_a_lapse_of_version_1_says_the_same() -> None:
    """In the words of that version."""
    sent = body("v1", note="not watched")
    assert sent["event_type"] == "trigger"
    assert sent["description"] == "no backup (not watched)"
    assert sent["details"] == {"expected_within": "25h", "last_heard": "2026-09-21T14:13:20Z"}


def test_a_host_that_was_off_says_so() -> None:
    """For a person who is paged as it comes up."""
    payload = body(now=Moment(SINCE.wall + 86_400, 60.0, 60.0, "boot two"))["payload"]
    assert isinstance(payload, dict)
    assert payload["summary"] == "no backup (this host was off)"
    assert payload["custom_details"]["host_started"] == "2026-09-22T14:12:20Z"


def test_a_host_that_slept_says_so() -> None:
    """And for how long."""
    payload = body(now=later(86_400.0, slept=86_000.0))["payload"]
    assert isinstance(payload, dict)
    assert payload["summary"] == "no backup (this host was asleep)"
    assert payload["custom_details"]["host_asleep_seconds"] == 86_000


def test_a_long_summary_keeps_its_note() -> None:
    """PagerDuty takes so many characters."""
    long = Event(KEY, "trigger", "x" * 2000, "backup").body("v2", 0)
    sent = json.loads(trigger(understood(written(long, 9.0, SINCE)), later(9.0), "why"))
    assert len(sent["payload"]["summary"]) == api.SUMMARY_CHARS
    assert sent["payload"]["summary"].endswith(" (why)")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_renewal_resolves_what_the_lapse_triggered(version: str) -> None:
    """The same key, the same incident."""
    found = understood(written(event(version), 9.0, SINCE))
    began = understand("1_k.txt", trigger(found, later(9.0)))
    ends = understand("2_k.txt", resolve(found))
    assert (ends.action, ends.key, ends.chain) == ("resolve", began.key, began.chain)
    assert ends.version == began.version


def test_one_user_never_renews_what_another_expects() -> None:
    """Nor does another key, or another dedup key."""
    one = understood(written(event(), 9.0, SINCE))
    same = understood(written(event(severity="info"), 99.0, later(5.0)))
    other = understood(written(event(key="@db"), 9.0, SINCE))
    assert identity_of(1001, one) == identity_of(1001, same)
    relayed = understood(written(event(), 9.0, SINCE, "web1"))
    others = (identity_of(1002, one), identity_of(1001, other), identity_of(1001, relayed))
    assert len({identity_of(1001, one), *others}) == 4
    assert owner_of(identity_of(1001, one)) == 1001


@pytest.mark.parametrize("name", ["", "1001", "-", "1001-abc", "x-" + "a" * 40, "1-" + "g" * 40])
def test_other_names_are_no_identities(name: str) -> None:
    """Whoever gave a file such a name."""
    assert owner_of(name) is None


def fields(**changed: object) -> bytes:
    made = {"since": SINCE.fields(), "term": 9.0, "trigger": json.loads(event())}
    return json.dumps({**made, **changed}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        event(),
        b'{"trigger":' + b'{"a":' * 600 + b"1" + b"}" * 600 + b"}",
        *(fields(term=term) for term in (None, True, "1h", -1, TERM_LEAST / 2, TERM_MOST + 1)),
        fields(term=float("nan")),
        fields(since=None),
        fields(by=5),
        fields(since={**SINCE.fields(), "wall": 1e300}),
        fields(trigger={**json.loads(event()), "routing_key": "../../etc/passwd"}),
        fields(trigger={**json.loads(event()), "routing_key": f" {KEY}"}),
        fields(trigger={**json.loads(event()), "routing_key": 5}),
        fields(trigger={**json.loads(event()), "event_action": "resolve"}),
        fields(trigger={**json.loads(event()), "dedup_key": None}),
        fields(trigger={**json.loads(event()), "dedup_key": "x" * 256}),
    ],
)
def test_anything_else_is_hostile(data: bytes) -> None:
    """A key that would be a path, numbers that are none, half a file."""
    with pytest.raises(Hostile):
        understood(data)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES, VALUES, st.sampled_from([0, 1e9, -1e14, 9e14]))
def test_whatever_is_understood_can_be_sent(details: object, summary: object, wall: float) -> None:
    """Anyone may have written the body."""
    payload = {"summary": summary, "custom_details": details}
    data = fields(
        trigger={**json.loads(event()), "payload": payload},
        since={**SINCE.fields(), "wall": wall},
    )
    try:
        found = understood(data)
    except Hostile:
        return
    now = Moment(SINCE.wall, 5.0, 5.0, "boot two")
    for made in (trigger(found, now), resolve(found)):
        assert understand("1_k.txt", made).chain == "=backup"
