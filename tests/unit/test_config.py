"""The configuration is read as people write it, and every mistake is named with file and line."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent import config
from pdagent.config import Config, load, parse
from pdagent.settings import DEFAULTS


def values(settings: Config) -> dict[str, object]:
    return {name: getattr(settings, name) for name in DEFAULTS}


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def test_the_old_agents_file_is_understood(tmp_path: Path) -> None:
    """An upgraded host's file, with its comments, gives its values and no complaint."""
    path = write(
        tmp_path / "conf",
        b"# pdagent\n[Main]\n\nsend_interval_secs=7\ncleanup_interval_secs: 8\n"
        b"  cleanup_threshold_secs =  9  \nBACKOFF_INTERVAL_SECS = 10\n"
        b"; old\nrem very old\nretry_limit_for_possible_errors=11\nsource_address=10.0.0.1\n",
    )
    settings, problems = load(path)
    assert problems == []
    changed = {name: value for name, value in values(settings).items() if value != DEFAULTS[name]}
    assert changed == {
        "send_interval_secs": 7,
        "cleanup_interval_secs": 8,
        "cleanup_threshold_secs": 9,
        "backoff_interval_secs": 10,
        "retry_limit_for_possible_errors": 11,
        "source_address": "10.0.0.1",
    }


def test_a_comment_may_follow_a_section(tmp_path: Path) -> None:
    """As the old agent's parser had it."""
    path = write(tmp_path / "conf", b"[Main] ; settings\nmax_connections = 3 # few\n")
    settings, problems = load(path)
    assert problems == []
    assert settings.max_connections == 3


@pytest.mark.parametrize(
    ("text", "said", "fatal"),
    [
        ("[Main]\njunk\n", "FILE, line 2: is neither 'name = value' nor '[section]'", True),
        ("[Main]\n= 5\n", "FILE, line 2: is neither", True),
        ("[Main]\nrem\n", "FILE, line 2: is neither", True),
        ("[Main\nmax_connections = 2\n", "FILE, line 1: is neither", True),
        ("max_connections = 2\n[Main]\n", "line 1: max_connections is outside the section", True),
        ("[Main]\n[Other]\nx = 2\n", "FILE, line 3: x is outside the section [Main]", False),
        ("[Main]\n\nmax_conections = 2\n", "line 3: max_conections is not a setting that", False),
        ("", "FILE: Config is missing [Main] section", True),
        ("# only a comment\n", "FILE: Config is missing [Main] section", True),
        ("[Other]\n", "FILE: Config is missing [Main] section", True),
    ],
)
def test_a_mistake_in_the_files_form(text: str, said: str, fatal: bool) -> None:
    """Wrong lines are fatal to the daemon; an unknown name is a warning, to everybody."""
    _, problems = parse(text, "FILE")
    assert said in problems[0].text
    assert problems[0].fatal is fatal


def test_all_mistakes_are_found_at_once() -> None:
    """Nobody has to start the daemon five times to find five mistakes."""
    _, problems = parse("[Main]\na = 1\nmax_connections = x\nb\nheartbeat = ?\n", "FILE")
    assert [problem.text.split(":")[0] for problem in problems] == [
        f"FILE, line {line}" for line in (2, 3, 4, 5)
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf[Main]\r\nmax_connections = 3\r\n",
        b"[MAIN]\nmax_connections = 3",
        b"[ main ]\nmax_connections = 2\nmax_connections = 3\n",
        b"# caf\xe9 in Latin-1\n[Main]\nmax_connections = 3\n",
    ],
    ids=["byte order mark and CRLF", "no newline at the end", "the last one counts", "not UTF-8"],
)
def test_editors_differ(tmp_path: Path, data: bytes) -> None:
    """What some editors leave in a file is no mistake."""
    settings, problems = load(write(tmp_path / "conf", data))
    assert problems == []
    assert settings.max_connections == 3


def unreadable(path: Path, kind: str) -> str:
    if kind == "missing":
        return str(path / "none")
    if kind == "a directory":
        return str(path)
    if kind == "with a NUL":
        return "/a\0b"
    link = path / "loop"
    link.symlink_to(link)
    return str(link)


@pytest.mark.parametrize("kind", ["missing", "a directory", "with a NUL", "a loop"])
def test_a_file_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    """Defaults, and one problem that names the file."""
    path = unreadable(tmp_path, kind)
    settings, problems = load(path)
    [problem] = problems
    assert problem.fatal
    assert problem.text.startswith("Unable to read the config file at: ")
    assert path in problem.text or repr(path) in problem.text
    assert values(settings) == DEFAULTS


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("[Main]\n", True),
        ("[Main]\nmax_connections = many\n", True),
        ("[Main]\ndata_dri = /srv\n", True),
        ("[Main]\ndata_dir = srv\n", False),
        ("[Main]\ndata_dir /srv\n", False),
        ("data_dir = /srv\n[Main]\n", False),
        ("data_dir = /srv\n", False),
        ("[Main]\njunk\ndata_dir = /srv\n", True),
    ],
)
def test_whether_it_is_certain_where_the_spool_is(tmp_path: Path, text: str, known: bool) -> None:
    """It is not where data_dir may stand in a line that was not understood."""
    settings, _ = load(write(tmp_path / "conf", text.encode()))
    assert settings.knows_spool is known
    assert load(str(tmp_path / "none"))[0].knows_spool is False


def test_a_fifo_in_the_files_place_stops_nobody(tmp_path: Path) -> None:
    """A page does not wait for somebody to write into a FIFO."""
    os.mkfifo(tmp_path / "fifo")
    _, problems = load(str(tmp_path / "fifo"))
    assert problems[0].text.endswith("Config is missing [Main] section")


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """--config, else PDAGENT_CONF, else the usual place."""
    environment: dict[bytes, bytes] = {}
    monkeypatch.setattr(config.posix, "environ", environment)  # type: ignore[attr-defined]
    assert config.path_from(None) == "/etc/pdagent.conf"
    environment[b"PDAGENT_CONF"] = b"/my/\xff.conf"
    assert config.path_from(None) == "/my/\udcff.conf"
    assert config.path_from("/given") == "/given"


@pytest.mark.parametrize(
    "value",
    ['"KEY1"', "'KEY1'", "\ufeffKEY1", " KEY1\t", "\t'KEY1' \r", '"KEY1', "KEY1  # the database's"],
)
def test_what_copying_leaves_around_a_key_is_no_part_of_it(value: str) -> None:
    """Blanks, quotes, a carriage return, a byte order mark."""
    keys: dict[str, str] = {}
    assert parse(f"[Main]\n[Keys]\ndb = {value}\n", "FILE", keys)[1] == []
    assert keys == {"db": "KEY1"}


def test_what_follows_from_the_values() -> None:
    """The spool is below data_dir; a base address goes before the region's."""
    settings = Config({"data_dir": "/srv", "service_region": "eu"})
    assert settings.spool_dir == "/srv/outqueue"
    assert settings.base_url == "https://events.eu.pagerduty.com"
    assert Config({}).base_url == "https://events.pagerduty.com"
    assert Config({"events_url": "http://x", "service_region": "eu"}).base_url == "http://x"


LINES = st.sampled_from(["[Main]", "[", "]", "=", ":", "#", ";", " ", "\n", "\r", "\0", "\ufeff"])


@given(st.lists(LINES | st.sampled_from(list(DEFAULTS)) | st.text(), max_size=30))
def test_no_text_makes_the_reader_fail(parts: list[str]) -> None:
    """Whatever is in the file, a sender gets usable values of the right types."""
    found, problems = parse("".join(parts), "FILE")
    settings: Any = Config(found)
    for name, default in DEFAULTS.items():
        assert type(getattr(settings, name)) is type(default)
    assert problems or "[" in "".join(parts)
