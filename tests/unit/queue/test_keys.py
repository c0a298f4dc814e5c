"""A name stands for a key from delivery on, and only there."""

import json
import os
from pathlib import Path

import pytest

from pdagent.acceptance import accept
from pdagent.config import Config, load, load_keys
from pdagent.event import BadEvent, Event
from pdagent.lines import parse
from pdagent.queue.keys import Unnamed, filled_in, lane
from pdagent.queue.pending import Hostile, Pending, understand
from pdagent.shown import masked, masked_name
from tests.support.events import KEY, OTHER

CONFIG = Config({}, {"db": KEY})


def pending(**body: object) -> Pending:
    return understand("1_@db.txt", json.dumps(body).encode())


def written(path: Path, text: str, mode: int = 0o644) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("field", ["routing_key", "service_key"])
def test_the_key_is_filled_in(field: str) -> None:
    """In both versions of the API, however the name is written; all else stays."""
    for name in ("@db", "@DB"):
        filled = filled_in(pending(**{field: name, "dedup_key": "d", "x": [1]}), CONFIG)
        assert filled.body == {field: KEY, "dedup_key": "d", "x": [1]}
        assert (filled.name, filled.key, filled.chain) == ("1_@db.txt", KEY, "=d")


def test_a_key_is_left_alone() -> None:
    """The very bytes."""
    plain = pending(routing_key=KEY)
    assert filled_in(plain, CONFIG) is plain


def test_a_name_that_nobody_has() -> None:
    """Not even where no names are known."""
    for settings in (CONFIG, Config({}, {}), Config({}, None)):
        with pytest.raises(Unnamed, match="named @web") as unnamed:
            filled_in(pending(routing_key="@web"), settings)
        assert unnamed.value.name == "@web"


def test_what_can_not_be_written() -> None:
    """A script's file, nested past every limit."""
    nested = b'{"routing_key": "@db", "x": ' + b"[" * 900 + b"]" * 900 + b"}"
    with pytest.raises(Hostile):
        filled_in(understand("1_@db.txt", nested), CONFIG)


def test_one_lane_for_a_key_and_its_names() -> None:
    """So events of one incident keep their order, whatever the sender calls the key."""
    assert lane("@db", CONFIG) == lane("@DB", CONFIG) == lane(KEY, CONFIG) == KEY
    assert lane("@web", CONFIG) == "@web"
    assert lane("xdb", CONFIG) == "xdb"  # a key that ends as a name does


def test_logs_show_the_name() -> None:
    """A key that somebody put behind an @ is no name."""
    assert masked("@db") == "@db"
    assert masked_name("0000000000000001_@db.txt") == "0000000000000001_@db"
    assert KEY not in masked("@" + KEY)


def test_the_section() -> None:
    """Names in any case, beside [Main]."""
    keys: dict[str, str] = {}
    text = (
        f"[Main]\nsend_interval_secs = 5\n[Keys]\nDB = {KEY}  # the database\nweb-1.eu: {OTHER}\n"
    )
    assert parse(text, "FILE", keys) == ({"send_interval_secs": 5}, [])
    assert keys == {"db": KEY, "web-1.eu": OTHER}


@pytest.mark.parametrize(
    "line", [f"a b = {KEY}", f"{KEY} = db", "db =", "db = @web", "db = a b", "db = a/b", "é = x"]
)
def test_mistakes_in_the_section(line: str) -> None:
    """Named by file and line, without the key."""
    keys: dict[str, str] = {}
    _, [problem] = parse(f"[Main]\n[Keys]\n{line}\n", "FILE", keys)
    assert problem.text.startswith("FILE, line 3: ")
    assert problem.fatal
    assert KEY not in problem.text
    assert keys == {}


def test_a_file_of_keys(tmp_path: Path) -> None:
    """They come on top of the configuration's own."""
    file = written(tmp_path / "keys", f"[Keys]\nweb = {OTHER}\n", 0o600)
    conf = written(tmp_path / "conf", f"[Main]\nkeys_file = {file}\n[Keys]\ndb = {KEY}\n")
    settings, problems = load(str(conf))
    assert (settings.keys, problems) == ({"db": KEY}, [])
    assert load_keys(settings) == []
    assert settings.keys == {"db": KEY, "web": OTHER}


@pytest.mark.parametrize(
    "text", [None, "", "[Main]\n", "[Keys]\njunk\n", "[Keys]\n[Main]\na = b\n"]
)
def test_mistakes_in_a_file_of_keys(tmp_path: Path, text: str | None) -> None:
    """Said, and not fatal: events by other keys go out."""
    path = tmp_path / "keys"
    if text is not None:
        written(path, text)
    settings = Config({"keys_file": str(path)}, {"db": KEY})
    [problem, *_] = load_keys(settings)
    assert str(path) in problem.text
    assert not problem.fatal
    assert (settings.keys or {})["db"] == KEY


@pytest.mark.parametrize(
    ("names", "known", "certain"),
    [
        ({"db": KEY}, True, False),
        ({}, False, True),
        (None, False, False),
    ],
)
def test_a_typo_is_told_to_the_sender(
    root: Path, names: dict[str, str] | None, known: bool, certain: bool
) -> None:
    """Where it is certain to be one; else the event is queued, and the daemon says it."""
    settings = Config({"data_dir": str(root.parent)}, names)
    event = Event("@db", "trigger", "x")
    if certain:
        with pytest.raises(BadEvent, match="@db"):
            accept(event, settings)
    else:
        accept(event, settings)
    assert len(os.listdir(root / "pdq")) == (not certain)
