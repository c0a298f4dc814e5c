"""An event gets into the spool, and its sender is told what became of it."""

import json
import os
from pathlib import Path

import pytest

from pdagent.acceptance import accept, body, doubt, receipt, say
from pdagent.config import Config
from pdagent.event import Event
from pdagent.spool import SpoolError
from tests.support.events import KEY

CONFIG = Config({"data_dir": "/nowhere"})
EVENT = Event(KEY, "trigger", description="disk full", dedup_key="inc-1")
CHANGE = Event(KEY, "change", description="deployed")


def test_accepting_writes_what_dry_run_shows(root: Path) -> None:
    """The version that the configuration wants, v2 unless it says v1."""
    config = Config({"data_dir": str(root.parent)})
    accept(EVENT, config)
    [path] = (root / "pdq").iterdir()
    written = json.loads(path.read_bytes())
    shown = json.loads(body(EVENT, config))
    assert written["routing_key"] == KEY
    written["payload"].pop("timestamp")
    shown["payload"].pop("timestamp")
    assert written == shown


def test_what_cannot_be_accepted_raises(tmp_path: Path) -> None:
    """The caller decides about direct delivery."""
    config = Config({"data_dir": str(tmp_path)})
    with pytest.raises(SpoolError):
        accept(EVENT, config)


def test_a_queue_that_nobody_serves_takes_nothing_from_who_may_be_wrong_about_it(
    root: Path,
) -> None:
    """Who could not read the configuration takes the usual spool only if a daemon serves it: else
    the event might wait there for ever. Everybody else's events wait for the daemon."""
    unread = Config({"data_dir": str(root.parent)}, knows_spool=False)
    (root.parent / "db").mkdir(exist_ok=True)
    os.mkfifo(root.parent / "db" / "wake")
    with pytest.raises(SpoolError, match=f"no daemon serves {root}, .*The event was not queued"):
        accept(EVENT, unread)
    assert list((root / "pdq").iterdir()) + list((root / "tmp").iterdir()) == []

    accept(EVENT, Config({"data_dir": str(root.parent)}))
    assert len(list((root / "pdq").iterdir())) == 1

    reader = os.open(root.parent / "db" / "wake", os.O_RDONLY | os.O_NONBLOCK)
    accept(EVENT, unread)
    os.close(reader)
    assert len(list((root / "pdq").iterdir())) == 2


def test_the_receipt() -> None:
    """Scripts read it; an event without a dedup key has none to print, not `None`."""
    assert receipt(EVENT) == "Event processed. Incident Key: inc-1"
    assert receipt(CHANGE) == "Event processed."


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (KEY, ""),
        ("@db", ""),
        ("short", "the integration key does not look like one (5 characters, not 32)."),
        ("-" * 32, "the integration key does not look like one (something else than letters and "
         "digits is in it)."),
        ("db", "the integration key does not look like one (2 characters, not 32): did you mean "
         "@db?"),
    ],
)  # fmt: skip
def test_a_key_that_pagerduty_will_hardly_know_is_doubted(key: str, said: str) -> None:
    """In words that do not hold the key, unless it is the name of one."""
    config = Config({}, {"db": KEY})
    assert doubt(Event(key, "trigger", description="x", dedup_key="i"), config) == said


def test_a_key_for_routing_is_doubted_with_change_events_only() -> None:
    """Keys of global event routing begin with R, and take no change events."""
    key = "R" + KEY[1:]
    trigger = Event(key, "trigger", description="x", dedup_key="i")
    assert doubt(trigger, CONFIG) == ""
    assert "no change events" in doubt(Event(key, "change", description="x"), CONFIG)


@pytest.mark.parametrize(
    ("text", "printed"),
    [("caf\u00e9", b"caf\xc3\xa9\n"), ("\udcff", b"\xff\n"), ("\ud800", b""), ("", b"\n")],
)
def test_say_prints_the_bytes_that_came(text: str, printed: bytes) -> None:
    """Whatever the locale; and nothing where there is no way."""
    reader, writer = os.pipe()
    say(text, writer)
    os.close(writer)
    with open(reader, "rb") as file:
        assert file.read() == printed


def test_say_survives_a_closed_output() -> None:
    """The event is queued: that nobody listens changes nothing."""
    reader, writer = os.pipe()
    os.close(reader)
    say("x", writer)
    os.close(writer)
    say("x", writer)
