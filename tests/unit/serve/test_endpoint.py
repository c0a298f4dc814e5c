"""The local Events API answers as PagerDuty does, once the event is in the spool."""

import gzip
import json
from base64 import b64encode
from pathlib import Path

import pytest

from pdagent import api
from pdagent.queue.envelope import unseal
from pdagent.queue.pending import understand
from pdagent.serve import endpoint
from pdagent.serve.crowd import CERTIFICATE
from pdagent.wire.passage import Passage
from tests.support.events import KEY
from tests.support.events_api import answers, schema
from tests.unit.serve.desk import ALERT, CHANGE, DB1, PAYLOAD, V1, WEB1, Desk


@pytest.fixture
def desk(root: Path) -> Desk:
    return Desk(root)


@pytest.mark.parametrize(
    ("path", "body", "dedup_key"),
    [(api.V2_PATH, ALERT, "d"), (api.CHANGE_PATH, CHANGE, None), (api.V1_PATH, V1, "d")],
)
def test_accepted(desk: Desk, path: str, body: dict[str, object], dedup_key: str | None) -> None:
    """PagerDuty's very answer, and the event is in the spool."""
    expected = answers.processed(path, dedup_key)
    assert desk.ask(path, body) == (expected.status, json.loads(expected.body), {})
    [queued] = desk.queued()
    assert queued["service_key" if path == api.V1_PATH else "routing_key"] == KEY


def test_a_dedup_key_is_made(desk: Desk) -> None:
    """And answered, so that the client can resolve."""
    _, answer, _ = desk.ask(api.V2_PATH, ALERT | {"dedup_key": None})
    [queued] = desk.queued()
    assert answer["dedup_key"] == queued["dedup_key"]
    assert len(str(answer["dedup_key"])) == 32


@pytest.mark.parametrize("path", [api.V2_PATH, api.CHANGE_PATH, api.V1_PATH])
@pytest.mark.parametrize("body", [b"{", b"[1]", {}, {"routing_key": KEY, "service_key": KEY}])
def test_refused(desk: Desk, path: str, body: object) -> None:
    """With PagerDuty's 400; nothing is queued."""
    expected = answers.unrecognised(path)
    if isinstance(body, dict):
        expected = answers.invalid(*schema.faults(path, body, False))
    status, answer, _ = desk.ask(path, body)
    wanted = json.loads(expected.body)
    assert (status, answer["status"], answer["message"]) == (
        400, wanted["status"], wanted["message"]
    )  # fmt: skip
    assert set(answer["errors"]) == set(wanted["errors"])  # type: ignore[call-overload]
    assert desk.queued() == []


def test_names_of_keys(desk: Desk) -> None:
    """One that nobody has is refused at once."""
    assert desk.ask(api.V2_PATH, ALERT | {"routing_key": "@db"})[0] == 202
    status, answer, _ = desk.ask(api.V2_PATH, ALERT | {"routing_key": "@dv"})
    assert (status, len(desk.queued())) == (400, 1)
    assert "@dv" in str(answer["errors"])


def test_other_paths_and_methods(desk: Desk) -> None:
    """Are not there."""
    assert desk.ask("/", ALERT)[0] == 404
    assert desk.ask(api.V2_PATH, b"", "GET")[0] == 405


def test_a_key_in_a_header(desk: Desk) -> None:
    """As PagerDuty's own clients may send it; the body's own comes first."""
    body = {name: value for name, value in ALERT.items() if name != "routing_key"}
    assert desk.ask(api.V2_PATH, body)[0] == 400
    assert desk.ask(api.V2_PATH, body, HTTP_X_ROUTING_KEY=f" {KEY}")[0] == 202
    assert desk.ask(api.V2_PATH, ALERT, HTTP_X_ROUTING_KEY="another")[0] == 202
    assert [event["routing_key"] for event in desk.queued()] == [KEY, KEY]


def test_a_path_with_a_slash_too_many(desk: Desk) -> None:
    """It is clear what is meant."""
    assert desk.ask(api.V2_PATH + "/", ALERT)[0] == 202
    assert desk.ask("/", ALERT)[0] == 404


@pytest.mark.parametrize("depth", [900, 5000, 100_000])
def test_nested_without_end(desk: Desk, depth: int) -> None:
    """The client is to change the event, not to send it again and again."""
    text = json.dumps(ALERT).replace(
        '"db1"', '"db1", "custom_details": ' + "[" * depth + "]" * depth
    )
    assert desk.ask(api.V2_PATH, text.encode())[0] == 400
    assert desk.queued() == []


@pytest.mark.parametrize("coding", ["utf-8", "utf-16"])
def test_too_many_parts(desk: Desk, coding: str) -> None:
    """Parsed, a body of brackets would take 100 MB. Brackets in a text are none."""
    text = json.dumps(ALERT)
    many = text.replace('"db1"', '"db1", "custom_details": [' + "[]," * 300_000 + "0]")
    status, answer, _ = desk.ask(api.V2_PATH, many.encode(coding))
    assert (status, answer["errors"]) == (400, ["it has too many parts"])
    assert desk.queued() == []
    good = text.replace('"db1"', '"db1", "custom_details": "' + "[]," * 300_000 + '"')
    assert desk.ask(api.V2_PATH, good.encode(coding))[0] == 202


def test_what_was_put_right_is_in_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """A page goes out with the moment of its acceptance; somebody should look at the sender."""
    body = ALERT | {"payload": {**PAYLOAD, "timestamp": "yesterday"}}
    assert desk.ask(api.V2_PATH, body)[0] == 202
    [event] = desk.queued()
    assert event["payload"]["timestamp"].endswith("Z")  # type: ignore[index]
    assert "payload.timestamp can't be read as a time" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("path", [api.V2_PATH, "/x-ere/" + KEY])
def test_a_body_that_is_coded(desk: Desk, path: str) -> None:
    """Is refused while its sender is there: nobody further on would know how to read it."""
    status, answer, _ = desk.ask(path, gzip.compress(b"{}"), HTTP_CONTENT_ENCODING="gzip")
    assert (status, answer["status"]) == (415, "unsupported media type")
    assert desk.queued() == []
    assert desk.ask(path, ALERT, HTTP_CONTENT_ENCODING="Identity")[0] == 202


def test_past_the_bound(desk: Desk) -> None:
    """The client is to come again later, as after PagerDuty's own 429."""
    desk.configure(listen_pending_most=5)
    desk.pending = 4
    assert desk.ask(api.V2_PATH, ALERT)[0] == 202
    desk.pending = 5
    status, _, headers = desk.ask(api.V2_PATH, ALERT)
    assert (status, int(headers["Retry-After"]) > 0) == (429, True)
    assert len(desk.queued()) == 1


def test_a_senders_bound(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has too many pending is turned away, in the log and in the count by its name; others
    are not, and this host has no such bound. What is expected is no event."""
    desk.local = False
    desk.named = {"web1": WEB1, "db1": DB1}
    desk.configure(listen_pending_per_sender=2)
    web1, db1 = ({"HTTP_AUTHORIZATION": f"Bearer {token}"} for token in (WEB1, DB1))
    assert [desk.ask(api.V2_PATH, ALERT, **web1)[0] for _ in range(3)] == [202, 202, 429]
    path = f"/integration/{KEY}/enqueue"
    status, answer, headers = desk.ask(path, ALERT, **web1)
    assert (status, int(headers["Retry-After"]) > 0) == (429, True)
    assert answer["errors"] == ["2 events of web1 are pending"]
    assert desk.ask(path, ALERT, **db1)[0] == 202
    assert desk.ask("/pdagent/expect", {**ALERT, "within": 60}, **web1)[0] == 202
    assert caplog.text.count("web1 has 2 events pending (listen_pending_per_sender)") == 1
    assert (desk.tally.full["web1"], desk.tally.full["db1"]) == (2, 0)
    assert desk.origins.numbers() == {"web1": 2, "db1": 1}
    # but its pages are: who has that many more of them may expect nothing either
    monkeypatch.setattr(endpoint, "HOLDER_MOST", 0)
    assert desk.ask("/pdagent/expect", {**ALERT, "within": 60}, **web1)[0] == 429
    desk.local, desk.named = True, {}
    assert [desk.ask(api.V2_PATH, ALERT)[0] for _ in range(3)] == [202] * 3


def test_those_who_share_a_token(desk: Desk) -> None:
    """Are told apart by their addresses."""
    desk.local = False
    desk.configure(listen_pending_per_sender=1, listen_token=WEB1)
    asks = [
        desk.ask(api.V2_PATH, ALERT, HTTP_AUTHORIZATION=f"Bearer {WEB1}", REMOTE_ADDR=address)[0]
        for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")
    ]
    assert asks == [202, 202, 429]


def test_no_room(desk: Desk) -> None:
    """A spool that can't be written is a server in trouble: clients try again."""
    (desk.root / "pdq").rmdir()
    status, answer, headers = desk.ask(api.V2_PATH, ALERT)
    assert (status, int(headers["Retry-After"]) > 0) == (503, True)
    assert str(desk.root) not in str(answer)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("Bearer s3cr3t", 202),
        ("bearer  s3cr3t", 202),
        ("Token token=s3cr3t", 202),
        ('Token token="s3cr3t"', 202),
        ("Bearer s3cr3", 401),
        ("Bearer", 401),
        ("Basic s3cr3t", 401),
        ("Token token=\u20ac", 401),
        ("", 401),
    ],
)
def test_a_token(desk: Desk, given: str, status: int) -> None:
    """Where one is wanted, it must be there."""
    desk.configure(listen_token="s3cr3t")
    assert desk.ask(api.V2_PATH, ALERT, HTTP_AUTHORIZATION=given)[0] == status
    assert len(desk.queued()) == (status == 202)


def test_an_event_that_comes_back(desk: Desk) -> None:
    """Is not taken: it would go round without end. That is no stranger's business."""
    here = {"HTTP_PDAGENT_PASSED": desk.passage.header()}
    assert desk.ask(api.V2_PATH, ALERT, **here)[:2] == (
        508,
        {
            "status": "loop detected",
            "message": "Loop Detected",
            "errors": ["Events that are sent on come back here"],
        },
    )
    assert desk.queued() == []
    assert desk.ask(api.V2_PATH, ALERT, HTTP_PDAGENT_PASSED=Passage().header())[0] == 202
    desk.configure(listen_token="s3cr3t")
    assert desk.ask(api.V2_PATH, ALERT, **here)[0] == 401


def test_other_hosts_need_a_token(desk: Desk) -> None:
    """Even after a reload has taken it away."""
    desk.local = False
    assert desk.ask(api.V2_PATH, ALERT, HTTP_AUTHORIZATION="Bearer ")[0] == 401


@pytest.mark.parametrize("path", [f"/integration/{KEY}/enqueue", f"/x-ere/{KEY}", "/x-ere/@db/"])
def test_an_integrations_own_address(desk: Desk, path: str) -> None:
    """Whatever the tool sends, byte for byte, also what is no text."""
    sent = b'{"Type": "Notification"}\xff\x00'
    assert desk.ask(path, sent, CONTENT_TYPE="text/plain; charset=UTF-8")[0] == 202
    [(name, data)] = [(file.name, file.read_bytes()) for file in (desk.root / "pdq").iterdir()]
    pending = understand(name, data)
    assert pending.key == ("@db" if "@" in path else KEY)
    assert pending.version == ("x-ere" if "ere" in path else "integration")
    found = unseal(pending.body)
    assert (found.data, found.content_type) == (sent, "text/plain; charset=UTF-8")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/integration/@nobody/enqueue", b"{}", 400),
        ("/integration//enqueue", b"{}", 404),
        (f"/integration/{KEY}", b"{}", 404),
        (f"/x-ere/{KEY}/more", b"{}", 404),
        (f"/x-ere/{KEY}", b"x" * 512_000, 413),
    ],
)
def test_no_such_address(desk: Desk, path: str, body: bytes, status: int) -> None:
    """A wrong path, or a body that is too large, is refused, and nothing is queued."""
    assert desk.ask(path, body)[0] == status
    assert desk.queued() == []


def test_senders_have_names(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Which are in the log and counted; a token that is gone lets nobody in."""
    caplog.set_level("INFO")
    desk.local, desk.named = False, {"web1": "s3cr3t"}
    basic = "Basic " + b64encode(b"anyone:s3cr3t").decode()
    for given in ("Bearer s3cr3t", basic):
        assert desk.ask(api.V2_PATH, ALERT, HTTP_AUTHORIZATION=given)[0] == 202
    assert "accepted an event from web1" in caplog.text
    desk.named = {"web2": "0ther"}
    for given in ("Bearer s3cr3t", basic, "Basic %%%"):
        assert desk.ask(api.V2_PATH, ALERT, HTTP_AUTHORIZATION=given)[0] == 401
    assert desk.tally.taken == {"web1": 2}
    assert desk.tally.turned_away[401] == 3


def test_a_certificate_will_do(desk: Desk) -> None:
    """Where no token is wanted; its name is the sender's. Where one is, it will not."""
    desk.local = False
    shown = {CERTIFICATE: "db1"}
    assert desk.ask(api.V2_PATH, ALERT, **shown)[0] == 202
    assert desk.tally.taken == {"db1": 1}
    desk.named = {"web1": "s3cr3t"}
    assert desk.ask(api.V2_PATH, ALERT, **shown)[0] == 401


# --- expectations -------------------------------------------------------------------------------
