"""Names of keys: where they come from, and how a key and its names are one."""

import os
from pathlib import Path

import pytest

from pdagent.acceptance import accept
from pdagent.config import Config, load, load_keys
from pdagent.event import BadEvent, Event
from pdagent.lines import parse
from pdagent.queue.keys import lane, matches_key
from pdagent.shown import masked, masked_name
from tests.support.events import KEY, OTHER

CONFIG = Config({}, {"db": KEY})
LONG = "c7a4f1e2b9d84c6fa0b1c2d3e4f50617"


def written(path: Path, text: str, mode: int = 0o644) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_one_lane_for_a_key_and_its_names() -> None:
    """So events of one incident keep their order, whatever the sender calls the key."""
    assert lane("@db", CONFIG) == lane("@DB", CONFIG) == lane(KEY, CONFIG) == KEY
    assert lane("@web", CONFIG) == "@web"
    assert lane("xdb", CONFIG) == "xdb"  # a key that ends as a name does


def test_matches_key() -> None:
    """As it is, or as it is shown; but a short one has nothing to show."""
    assert matches_key(LONG, LONG)
    assert matches_key(LONG, "*0617")
    assert matches_key(LONG, "0617")
    assert not matches_key(LONG, "*")
    assert not matches_key("db", "*")
    assert not matches_key("12345678", "5678")
    assert matches_key("123456789", "6789")
    assert matches_key("db", "db")


def test_a_key_is_wanted_by_its_name() -> None:
    """An event may have the name, and who looks for it the key, or the other way round."""

    def lane_of(key: str) -> str:
        return lane(key, CONFIG)

    assert matches_key("@db", KEY, lane_of)
    assert matches_key(KEY, "@DB", lane_of)
    assert not matches_key("@web", KEY, lane_of)


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
