"""Every entry of the queue is taken for hostile, and none that is not is lost."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from pdagent.queue.backlog import Backlog
from pdagent.queue.pending import EVENT_BYTES_MOST, Hostile, Incomplete, Pending
from tests.support.agent import directory
from tests.support.faults import python
from tests.support.users import AGENT, ROOT, SENDER
from tests.unit.queue.entries import HOSTILE, NAME, V2, hostile, put


@pytest.mark.parametrize(
    ("body", "version", "action", "dedup_key", "chain"),
    [
        ({"routing_key": "K", "event_action": "resolve", "dedup_key": "d"},
         "v2", "resolve", "d", "=d"),
        ({"service_key": "K", "event_type": "trigger", "incident_key": "d"},
         "v1", "trigger", "d", "=d"),
        ({"routing_key": "K", "payload": {}}, "change", "change", None, NAME),
        ({"service_key": "K", "event_type": "trigger"}, "v1", "trigger", None, NAME),
        ({"service_key": "K", "event_type": "trigger", "incident_key": ""},
         "v1", "trigger", "", NAME),
        ({"routing_key": "K", "event_action": 7, "dedup_key": ["x"]}, "v2", "7", "['x']", "=['x']"),
    ],
)  # fmt: skip
def test_an_event_is_understood(
    root: Path, body: dict[str, object], version: str, action: str, dedup_key: str, chain: str
) -> None:
    """v1 and v2 events of the same incident are of one chain; without a key, each is its own."""
    put(root, data=json.dumps(body).encode())
    pending = Backlog(str(root)).load(NAME)
    assert isinstance(pending, Pending)
    assert pending.version == version
    assert pending.action == action
    assert (pending.dedup_key or "") == (dedup_key or "")
    assert pending.chain == chain
    assert pending.data == json.dumps(body).encode()


@pytest.mark.parametrize(("kind", "why"), HOSTILE.items(), ids=HOSTILE.keys())
def test_a_hostile_entry_is_named_and_can_be_set_aside(root: Path, kind: str, why: str) -> None:
    """Nothing is followed, nothing blocks; the reason is in words."""
    hostile(root / "pdq" / NAME, kind)
    backlog = Backlog(str(root))
    with pytest.raises(Hostile, match=why):
        backlog.load(NAME)
    assert backlog.settle_in_error(NAME) == NAME
    assert os.listdir(root / "err") == [NAME]
    assert os.listdir(root / "pdq") == []


@pytest.mark.parametrize("data", [b"", V2[:-5], '{"a": "é'.encode()[:-1]])
@pytest.mark.parametrize(("age", "kind"), [(0, Incomplete), (60, Hostile), (-60, Hostile)])
def test_a_new_file_may_be_half_written(
    root: Path, data: bytes, age: int, kind: type[Hostile]
) -> None:
    """What may be the beginning of an event is one only while it is new by the clock."""
    path = put(root, data=data)
    now = path.stat().st_mtime - age
    os.utime(path, (now, now))
    with pytest.raises(Hostile) as caught:
        Backlog(str(root)).load(NAME)
    assert type(caught.value) is kind
    assert str(caught.value).startswith("it is ")  # empty, or not JSON


@pytest.mark.parametrize("data", [b'["routing_key"]', b'{"event_action":"trigger"}'])
def test_a_new_file_that_is_complete_is_judged_at_once(root: Path, data: bytes) -> None:
    """Nothing that anyone may write behind it makes it an event."""
    put(root, data=data)
    with pytest.raises(Hostile) as caught:
        Backlog(str(root)).load(NAME)
    assert type(caught.value) is Hostile


@pytest.mark.skipif(not ROOT, reason="needs several users")
def test_a_file_that_the_agent_may_not_read() -> None:
    """Another user's, mode 600: set aside, not in the way for ever."""
    with directory() as root:
        for name in ("pdq", "err"):
            (root / name).mkdir()
            os.chown(root / name, AGENT.uid, AGENT.gid)
        path = put(root)
        os.chown(path, SENDER.uid, SENDER.gid)
        path.chmod(0o600)
        code = (
            "from pdagent.queue.backlog import Backlog\n"
            "from pdagent.queue.pending import Hostile\n"
            "backlog = Backlog(sys.argv[0])\n"
            f"try:\n    backlog.load({NAME!r})\n"
            f"except Hostile as why:\n    print(why, backlog.settle_in_error({NAME!r}))\n"
        )
        found = subprocess.run(python(code, str(root)), capture_output=True, **AGENT.popen())
        assert found.stdout.decode() == f"the agent may not read it {NAME}\n", found
        assert os.listdir(root / "err") == [NAME]


def test_a_large_event_within_the_limit_is_read(root: Path) -> None:
    """Just under 4 MiB is PagerDuty's to judge, as it was."""
    data = b'{"routing_key":"' + b"x" * (EVENT_BYTES_MOST - 18) + b'"}'
    assert len(data) == EVENT_BYTES_MOST
    put(root, data=data)
    assert Backlog(str(root)).load(NAME).data == data


def test_what_is_gone_is_not_hostile(root: Path) -> None:
    """A person removed it."""
    with pytest.raises(FileNotFoundError):
        Backlog(str(root)).load(NAME)


def test_the_bytes_of_an_entry(root: Path) -> None:
    """For a person, wherever the entry is, and as far as an event may go."""
    put(root, data=b"not JSON", place="err")
    backlog = Backlog(str(root))
    assert backlog.contents("err", NAME) == b"not JSON"
    put(root, data=b" " * (EVENT_BYTES_MOST + 1), place="err")
    with pytest.raises(Hostile, match="larger than"):
        backlog.contents("err", NAME)
