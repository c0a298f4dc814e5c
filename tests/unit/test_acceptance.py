"""An event gets into the spool, and its sender is told what became of it."""

import json
import os
import time
from datetime import datetime
from pathlib import Path

import pytest

from pdagent.acceptance import accept, body, confirm, doubt, enqueue, receipt, say
from pdagent.config import Config
from pdagent.event import BadEvent, Event
from pdagent.spool import Spool, SpoolError
from pdagent.submission import Submission
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


@pytest.mark.parametrize(
    ("setting", "option", "field"),
    [
        ("auto", None, "routing_key"),
        ("v2", None, "routing_key"),
        ("v1", None, "service_key"),
        ("v1", "v2", "routing_key"),
        ("v2", "v1", "service_key"),
    ],
)
def test_the_api_is_the_events_own_or_the_configurations(
    setting: str, option: str | None, field: str
) -> None:
    """The moment of enqueue is in it, in either form."""
    event = Event(KEY, "trigger", description="x", dedup_key="i", events_api=option)
    before = time.time()
    made = json.loads(body(event, Config({"events_api": setting})))
    assert made[field] == KEY
    stamp = made["payload"]["timestamp"] if "payload" in made else made["agent"]["queued_at"]
    # v1 has whole seconds. Rounded down, as both are.
    assert int(before) <= datetime.fromisoformat(stamp).timestamp() <= time.time()


def test_a_name_that_no_key_has(root: Path) -> None:
    """It is refused where all names can be read: in a typo's words, before anything is queued.
    Where they can't, the daemon knows."""
    event = Event("@web", "trigger", description="x", dedup_key="i")
    known = Config({"data_dir": str(root.parent)}, {"db": KEY})
    with pytest.raises(BadEvent) as problem:
        accept(event, known)
    assert str(problem.value) == "no integration key is named @web. The event was not queued."
    assert list((root / "pdq").iterdir()) == []
    accept(event, Config({"data_dir": str(root.parent)}, None))
    accept(Event("@db", "trigger", description="x", dedup_key="i"), known)
    names = sorted(path.name.partition("_")[2] for path in (root / "pdq").iterdir())
    assert names == ["@db.txt", "@web.txt"]
    accept(Event("db", "trigger", description="x", dedup_key="i"), known)  # PagerDuty's to judge


def test_who_has_a_spool_of_his_own_says_so(root: Path) -> None:
    """Such as one whose sender waits."""
    accept(EVENT, CONFIG, Spool(str(root)))
    enqueue(KEY, b"{}", CONFIG, Spool(str(root)))
    assert len(list((root / "pdq").iterdir())) == 2


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
    with pytest.raises(SpoolError) as problem:
        accept(EVENT, unread)
    assert str(problem.value) == (
        f"no daemon serves {root}, and the configuration may name another queue. "
        "The event was not queued. Let this user read the configuration; start pdagentd."
    )
    assert problem.value.key == KEY
    assert json.loads(problem.value.body)["routing_key"] == KEY
    assert list((root / "pdq").iterdir()) + list((root / "tmp").iterdir()) == []

    accept(EVENT, Config({"data_dir": str(root.parent)}))
    assert len(list((root / "pdq").iterdir())) == 1

    reader = os.open(root.parent / "db" / "wake", os.O_RDONLY | os.O_NONBLOCK)
    before = set(os.listdir(root / "pdq"))
    accept(EVENT, unread)
    [new] = set(os.listdir(root / "pdq")) - before
    assert os.read(reader, 1000).decode() == f"\n{new}\n"  # nothing was said before it
    os.close(reader)


def test_the_receipt() -> None:
    """Scripts read it; an event without a dedup key has none to print, not `None`."""
    assert receipt(EVENT) == "Event processed. Incident Key: inc-1"
    assert receipt(CHANGE) == "Event processed."


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (KEY, ""),
        ("@db", ""),
        ("R" + KEY[1:], ""),
        (KEY + "0", "the integration key does not look like one (33 characters, not 32)."),
        ("\u00e9" * 32, "the integration key does not look like one (something else than letters "
         "and digits is in it)."),
        ("web", "the integration key does not look like one (3 characters, not 32)."),
        ("filed", "the integration key does not look like one (5 characters, not 32): did you mean "
         "@filed?"),
        ("short", "the integration key does not look like one (5 characters, not 32)."),
        ("-" * 32, "the integration key does not look like one (something else than letters and "
         "digits is in it)."),
        ("db", "the integration key does not look like one (2 characters, not 32): did you mean "
         "@db?"),
    ],
)  # fmt: skip
def test_a_key_that_pagerduty_will_hardly_know_is_doubted(
    tmp_path: Path, key: str, said: str
) -> None:
    """In words that do not hold the key, unless it is the name of one: in the configuration or in
    the file of keys."""
    (tmp_path / "keys").write_text(f"[Keys]\nfiled = {KEY}\n")
    config = Config({"keys_file": str(tmp_path / "keys")}, {"db": KEY})
    assert doubt(Event(key, "trigger", description="x", dedup_key="i"), config) == said


def test_a_key_for_routing_is_doubted_with_change_events_only() -> None:
    """Keys of global event routing begin with R, and take no change events."""
    key = "R" + KEY[1:]
    trigger = Event(key, "trigger", description="x", dedup_key="i")
    assert doubt(trigger, CONFIG) == ""
    assert doubt(Event(key, "change", description="x"), CONFIG) == (
        "PagerDuty takes no change events by integration keys that begin with R."
    )
    assert doubt(CHANGE, CONFIG) == ""


def test_a_blank_incident_key_is_doubted() -> None:
    """It is accepted, as by the old agent. PagerDuty refuses what is to resolve it."""
    resolve = Event(KEY, "resolve", dedup_key=" ")
    assert doubt(resolve, CONFIG) == (
        "PagerDuty takes no acknowledgement and no resolve of a blank incident key."
    )


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


class Silent(Submission):
    """A command whose output is not for people."""

    confirms = False


ACCEPTED = "Event processed. Incident Key: i\n"
DOUBT = (
    "pd-send: warning: the integration key does not look like one (1 characters, not 32). "
    "The event was accepted all the same.\n"
)


@pytest.mark.parametrize(
    ("command", "quiet", "key", "printed", "said"),
    [
        (Submission, False, KEY, ACCEPTED, ""),
        (Submission, False, "K", ACCEPTED, DOUBT),
        (Submission, True, "K", "", ""),
        (Silent, False, "K", "", DOUBT),
        (Silent, False, KEY, "", ""),
    ],
)
def test_what_a_sender_is_told(
    capfd: pytest.CaptureFixture[str],
    command: type[Submission],
    quiet: bool,
    key: str,
    printed: str,
    said: str,
) -> None:
    """The receipt on stdout, and the doubt on stderr. Whoever is quiet hears nothing."""
    request = command()
    request.quiet = quiet
    confirm(request, Event(key, "trigger", description="x", dedup_key="i"), CONFIG)
    told = capfd.readouterr()
    assert (told.out, told.err) == (printed, said)
