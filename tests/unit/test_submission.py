"""What a pd-send command line asks for, as an event."""

import os
import threading
import time
from pathlib import Path

import pytest

from pdagent import submission
from pdagent.config import Config
from pdagent.event import Event
from pdagent.submission import Request, Submission, UsageError, agent_id

CONFIG = Config({"data_dir": "/nowhere"}, {})


def asked(**options: object) -> Submission:
    """A trigger, with these options besides."""
    made = Submission()
    given = {"key": "KEY1", "action": "trigger", "description": "disk full"} | options
    for name, value in given.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, bytes]:
    """The process's environment, empty."""
    empty: dict[bytes, bytes] = {}
    monkeypatch.setattr(submission.posix, "environ", empty)  # type: ignore[attr-defined]
    return empty


# the command line


def test_nothing_was_given() -> None:
    """Each option is None or empty then."""
    made = Submission()
    names = [*Request.__slots__, *Submission.__slots__]
    given = {name: getattr(made, name) for name in names}
    empty: dict[str, object] = {name: [] for name in ("fields", "links", "images")}
    switches = dict.fromkeys(["quiet", "dry_run", "change"], False)
    assert given == {**dict.fromkeys(names), **empty, **switches, "_key": ""}
    assert made.confirms


def test_a_plain_line() -> None:
    """Options with a text, as one word or two; the last one wins."""
    made = Submission()
    line = ["-q", "-k", "K", "--description=a=b", "-f", "a=1", "--field=b=2", "-i", "x", "-i", ""]
    assert made.read(line)
    assert (made.quiet, made.key, made.description) == (True, "K", "a=b")
    assert (made.fields, made.incident_key) == (["a=1", "b=2"], "")
    long = Submission()
    assert long.read(["--service-key", "K", "--description", "disk full"])
    assert (long.key, long.description) == ("K", "disk full")
    assert Submission().read(["--quiet"])
    assert Submission().read([])


@pytest.mark.parametrize(
    "line",
    [["-k"], ["-k", "-t"], ["-k=K", "x"], ["word", "x"], ["--change"], ["-d", ""][:1], ["-f", "-"]],
)
def test_a_line_that_is_not_plain(line: list[str]) -> None:
    """The complete way is asked."""
    assert not Submission().read(["-q", *line])


# the event


def test_one_command_asks_for_one_event() -> None:
    """As all that send do, in a list."""
    [event] = asked().events(CONFIG)
    assert (event.key, event.action, event.dedup_key is None) == ("KEY1", "trigger", False)


def test_every_option_reaches_the_event() -> None:
    """Each in its place; links in two parts, images in three."""
    event = asked(
        incident_key="inc-1",
        fields=["host=db1", "load=1.5"],
        client="MyMon",
        client_url="http://mon/1",
        severity="warning",
        source="db1",
        component="postgres",
        group="prod",
        event_class="disk",
        links=["http://run/book  The runbook ", "http://bare"],
        images=["http://img http://to a graph", "http://img a graph"],
    ).event(CONFIG)
    assert {name: getattr(event, name) for name in Event.__slots__} == {
        "key": "KEY1",
        "action": "trigger",
        "description": "disk full",
        "dedup_key": "inc-1",
        "details": {"host": "db1", "load": "1.5"},
        "client": "MyMon",
        "client_url": "http://mon/1",
        "severity": "warning",
        "source": "db1",
        "component": "postgres",
        "group": "prod",
        "event_class": "disk",
        "links": (("http://run/book", "The runbook"), ("http://bare", "")),
        "images": (("http://img", "http://to", "a graph"), ("http://img", "", "a graph")),
        "queued_by": "pd-send",
        "agent_id": None,
        "events_api": None,
    }


def test_a_trigger_without_a_key_gets_one_of_its_own() -> None:
    """Printed, sent, and never the same twice."""
    keys = {asked().event(CONFIG).dedup_key for _ in range(10)}
    assert len(keys) == 10
    assert all(key is not None and len(key) == 32 for key in keys)


def test_an_empty_key_is_no_key() -> None:
    """-i "" on a trigger is as if it were not there."""
    key = asked(incident_key="").event(CONFIG).dedup_key
    assert key is not None
    assert len(key) == 32


def test_what_is_blank_is_as_if_it_were_not_there() -> None:
    """PagerDuty refuses the whole event for such a value, and a script's variable may be empty."""
    links, images = ["", " ", "http://bare"], [" ", "http://img"]
    event = asked(source=" ", links=links, images=images).event(CONFIG)
    assert event.source == os.uname().nodename
    assert event.links == (("http://bare", ""),)
    assert event.images == (("http://img", "", ""),)


def test_the_source_is_this_host() -> None:
    """Unless it is said."""
    assert asked().event(CONFIG).source == os.uname().nodename


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        (["a=b=c"], {"a": "b=c"}),
        (["c="], {"c": ""}),
        (["=v"], {"": "v"}),
        (["a=1", "a=2"], {"a": "2"}),
        (["a=\udcff"], {"a": "\udcff"}),
    ],
)
def test_fields_as_the_old_agent_took_them(fields: list[str], details: dict[str, str]) -> None:
    """Split at the first `=`; the last one wins; values are strings."""
    assert asked(fields=fields).event(CONFIG).details == details


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"action": None}, "argument -t/--event-type is required"),
        ({"action": "bogus"}, "argument -t/--event-type: invalid choice: 'bogus' (choose from "
         "'trigger', 'acknowledge', 'resolve')"),
        ({"action": "change"}, "argument -t/--event-type: invalid choice: 'change' (choose from "
         "'trigger', 'acknowledge', 'resolve')"),
        ({"description": None}, "Event type 'trigger' requires description"),
        ({"description": ""}, "Event type 'trigger' requires description"),
        ({"description": " \t "}, "Event type 'trigger' requires description"),
        ({"action": "resolve"}, "Event type 'resolve' requires incident key"),
        ({"action": "acknowledge", "incident_key": ""},
         "Event type 'acknowledge' requires incident key"),
        ({"change": True}, "argument --change: not allowed with argument -t/--event-type"),
        ({"change": True, "action": None, "description": ""},
         "Event type 'change' requires description"),
        ({"severity": "bad"}, "argument --severity: invalid choice: 'bad' (choose from 'critical', "
         "'error', 'warning', 'info')"),
        ({"fields": ["noequals"]}, "argument -f/--field: 'noequals' is not of the form KEY=VALUE"),
        ({"key": "a/b"}, "argument -k/--service-key: an integration key can't contain '/'"),
        ({"key": ""}, "argument -k/--service-key: the integration key is empty"),
    ],
)  # fmt: skip
def test_mistakes_are_said_in_argparses_words(options: dict[str, object], said: str) -> None:
    """One sentence each."""
    with pytest.raises(UsageError) as caught:
        asked(**options).event(CONFIG)
    assert str(caught.value) == said


def test_blanks_are_an_incident_key() -> None:
    """As they were."""
    assert asked(action="resolve", incident_key=" ").event(CONFIG).dedup_key == " "


# where the key comes from


def test_the_key_of_the_command_line_comes_first(
    environment: dict[bytes, bytes], tmp_path: Path
) -> None:
    """Then the file's, then the environment's."""
    path = tmp_path / "key"
    path.write_text("FROM_FILE\nsecond line\n")
    environment[b"PD_SERVICE_KEY"] = b"FROM_ENVIRONMENT"
    assert asked(key_file=str(path)).event(CONFIG).key == "KEY1"
    assert asked(key=None, key_file=str(path)).event(CONFIG).key == "FROM_FILE"
    assert asked(key=None).event(CONFIG).key == "FROM_ENVIRONMENT"


def test_no_key_at_all(environment: dict[bytes, bytes]) -> None:
    """argparse's words for a missing option."""
    with pytest.raises(UsageError, match=r"^argument -k/--service-key is required$"):
        asked(key=None).event(CONFIG)


@pytest.mark.parametrize("keys", [{"default": "KEY"}, None])
def test_the_default_key(environment: dict[bytes, bytes], keys: dict[str, str] | None) -> None:
    """By its name, where a key has that name, or may have it: this user can't read all names."""
    config = Config({"data_dir": "/nowhere"}, keys)
    assert asked(key=None).event(config).key == "@default"
    assert asked(key="KEY2").event(config).key == "KEY2"
    environment[b"PD_SERVICE_KEY"] = b"KEY3"
    assert asked(key=None).event(config).key == "KEY3"
    environment[b"PD_SERVICE_KEY"] = b""  # of a script that empties what it can't unset
    assert asked(key=None).event(config).key == "@default"


def test_an_unusable_key_is_named_by_its_origin(
    environment: dict[bytes, bytes], tmp_path: Path
) -> None:
    """A person wants to know where to look; the key itself is not quoted."""
    environment[b"PD_SERVICE_KEY"] = b"\xff"
    with pytest.raises(UsageError, match=r"^PD_SERVICE_KEY: the integration key contains"):
        asked(key=None).event(CONFIG)
    environment[b"PD_SERVICE_KEY"] = b"sec/ret"
    with pytest.raises(UsageError, match=r"^PD_SERVICE_KEY: ") as caught:
        asked(key=None).event(CONFIG)
    assert "sec" not in str(caught.value)
    path = tmp_path / "key"
    for content in (b"", b"\n \n", b"\xff\n"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"^argument --service-key-file: the integration key"):
            asked(key=None, key_file=str(path)).event(CONFIG)


@pytest.mark.parametrize(
    ("name", "why"), [("none", "No such file or directory"), ("", "Is a directory")]
)
def test_a_key_file_that_cannot_be_read(tmp_path: Path, name: str, why: str) -> None:
    """Path and cause."""
    path = str(tmp_path / name)
    with pytest.raises(UsageError) as caught:
        asked(key=None, key_file=path).event(CONFIG)
    assert str(caught.value) == f"argument --service-key-file: cannot read {path}: {why}"


def test_a_key_file_may_be_a_pipe(tmp_path: Path) -> None:
    """--service-key-file <(pass show pagerduty): whoever writes it may take a moment."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("FROM_PIPE\n",), daemon=True)
    writer.start()
    request = asked(key=None, key_file=str(path))
    assert request.event(CONFIG).key == "FROM_PIPE"
    writer.join()
    path.unlink()
    assert request.event(CONFIG).key == "FROM_PIPE"  # read once


@pytest.mark.parametrize("pieces", [["FROM_", "PIPE"], ["FROM_", "PIPE\n"], ["\n", "FROM_PIPE\n"]])
def test_a_key_may_come_in_pieces(pieces: list[str]) -> None:
    """A part of it would be another key. Nobody waits for what stands behind its line."""
    reader, writer = os.pipe()
    stays_open = pieces[-1].endswith("\n")

    def write() -> None:
        for piece in pieces:
            os.write(writer, piece.encode())
            time.sleep(0.05)
        if not stays_open:
            os.close(writer)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    assert asked(key=None, key_file=f"/dev/fd/{reader}").event(CONFIG).key == "FROM_PIPE"
    thread.join()
    os.close(reader)
    if stays_open:
        os.close(writer)


# the agent's id


def test_v1_events_name_the_agent(root: Path) -> None:
    """By the id that the daemon gave this host; none while it has not. Others have no place for
    it."""
    config = Config({"data_dir": str(root.parent), "events_api": "v1"})
    assert asked().event(config).agent_id is None
    number = "6abb9853-0000-4000-8000-000000000000"
    (root.parent / "db").mkdir()
    (root.parent / "db/agent_id.txt").write_text(number + "\n")
    assert asked().event(config).agent_id == number
    assert asked().event(Config({"data_dir": str(root.parent)})).agent_id is None


def test_the_old_agents_id_still_counts(tmp_path: Path) -> None:
    """Up to 1.7.4 it lay beside db/."""
    number = "6abb9853-0000-4000-8000-000000000000"
    (tmp_path / "agent_id.txt").write_text(number + "\n")
    assert agent_id(str(tmp_path)) == number


@pytest.mark.parametrize("text", ["", "short\n", "\u00e9" * 36, "x" * 37, "\x07" * 36])
def test_a_damaged_agent_id_is_none(tmp_path: Path, text: str) -> None:
    """It never gets into an event."""
    (tmp_path / "agent_id.txt").write_text(text)
    assert agent_id(str(tmp_path)) is None


@pytest.mark.parametrize("around", [" {}", "{}\r\n", "\ufeff{}", "'{}'", '"{}"\n', "\n\n{}\n"])
def test_what_is_around_a_key_is_no_part_of_it(
    environment: dict[bytes, bytes], tmp_path: Path, around: str
) -> None:
    """In an option, the environment and a file alike."""
    text = around.format("KEY1")
    path = tmp_path / "key"
    path.write_text(text)
    environment[b"PD_SERVICE_KEY"] = text.encode()
    for given in ({"key": text}, {"key": None}, {"key": None, "key_file": str(path)}):
        assert asked(**given).event(CONFIG).key == "KEY1"
