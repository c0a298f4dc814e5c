"""The configuration is read as people write it, and every mistake is named with file and line."""

import os
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent import config
from pdagent.config import KEYS, Config, load, parse

# COMPATIBILITY 2.2, and the keys that are new since
DEFAULTS = {
    "send_interval_secs": 10,
    "cleanup_interval_secs": 10800,
    "cleanup_threshold_secs": 604800,
    "backoff_interval_secs": 60,
    "retry_limit_for_possible_errors": 60,
    "source_address": "0.0.0.0",
    "events_api": "auto",
    "integrations_events_api": "v1",
    "service_region": "us",
    "events_url": "",
    "proxy_url": "",
    "ca_file": "",
    "keys_file": "",
    "listen": "",
    "listen_token": "",
    "listen_pending_most": 100_000,
    "max_connections": 32,
    "direct_delivery": True,
    "max_delivered_events": 100_000,
    "max_delivered_bytes": 268_435_456,
    "pending_warning": 10_000,
    "heartbeat": False,
    "heartbeat_url": "https://api.pagerduty.com/agent/2014-03-14/heartbeat",
    "metrics_listen": "",
    "metrics_remote": False,
    "metrics_file": "",
    "data_dir": "/var/lib/pdagent",
    "log_dir": "/var/log/pdagent",
    "run_dir": "/var/run/pdagent",
}


def values(settings: Config) -> dict[str, object]:
    return {key.name: getattr(settings, key.name) for key in KEYS}


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def test_defaults_are_the_shipped_values() -> None:
    """With no file at all, the agent is the old agent as it was shipped."""
    assert values(Config({})) == DEFAULTS


def test_every_key_is_a_typed_attribute() -> None:
    """KEYS and Config can't drift apart, in names or in types."""
    hints = get_type_hints(Config)
    assert hints == {key.name: type(DEFAULTS[key.name]) for key in KEYS}
    assert all(key.meaning.endswith(".") for key in KEYS)


def test_the_old_agents_file_is_understood(tmp_path: Path) -> None:
    """An upgraded host's file, with its comments, gives its values and no complaint."""
    path = write(
        tmp_path / "conf",
        b"# pdagent\n[Main]\n\nsend_interval_secs=7\ncleanup_interval_secs: 8\n"
        b"  cleanup_threshold_secs =  9  \nBACKOFF_INTERVAL_SECS = 10\n"
        b"; old\nretry_limit_for_possible_errors=11\nsource_address=10.0.0.1\n",
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


GOOD: list[tuple[str, str, object]] = [
    ("events_api", "V1", "v1"),
    ("service_region", "eu", "eu"),
    ("events_url", "http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ("events_url", "", ""),
    ("proxy_url", "http://me:p%20w@proxy:3128", "http://me:p%20w@proxy:3128"),
    ("proxy_url", "http://me:p;w#x@proxy:3128", "http://me:p;w#x@proxy:3128"),
    ("ca_file", "/etc/ssl/my.pem", "/etc/ssl/my.pem"),
    ("ca_file", "/100%/%(here)s.pem", "/100%/%(here)s.pem"),
    ("max_connections", "1", 1),
    ("max_connections", "007", 7),
    ("direct_delivery", "on", True),
    ("direct_delivery", "Yes", True),
    ("direct_delivery", "0", False),
    ("heartbeat", "TRUE", True),
    ("data_dir", "/srv/pdagent/", "/srv/pdagent"),
    ("data_dir", "/", "/"),
    ("source_address", "::1", "::1"),
    ("send_interval_secs", "10 ; seconds", 10),
    ("send_interval_secs", "10\t# seconds", 10),
    ("events_url", "# the default", ""),
    ("proxy_url", "; none", ""),
]


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_value_as_people_write_it(name: str, text: str, value: object) -> None:
    """Any case of words, trailing slashes, comments behind a blank; `%` is just a character."""
    assert parse(f"[Main]\n{name} = {text}\n", "FILE") == ({name: value}, [])


def test_a_comment_may_follow_a_section(tmp_path: Path) -> None:
    """As the old agent's parser had it."""
    path = write(tmp_path / "conf", b"[Main] ; settings\nmax_connections = 3 # few\n")
    settings, problems = load(path)
    assert problems == []
    assert settings.max_connections == 3


BAD = [
    ("send_interval_secs", "often", "must be a whole number from 1 to 3600"),
    ("send_interval_secs", "0", "must be a whole number from 1 to 3600"),
    ("send_interval_secs", "-1", "must be a whole number"),
    ("send_interval_secs", "1.5", "must be a whole number"),
    ("send_interval_secs", "", "must be a whole number"),
    ("send_interval_secs", "1_0", "must be a whole number"),
    ("send_interval_secs", "\u00b2", "must be a whole number"),
    ("send_interval_secs", "9" * 5000, ""),
    ("max_connections", "257", "must be a whole number from 1 to 256"),
    ("events_api", "v3", "must be one of auto, v2, v1"),
    ("service_region", "mars", "must be one of us, eu"),
    ("direct_delivery", "maybe", "must be on or off"),
    ("events_url", "events.pagerduty.com", "must begin with http:// or https://"),
    ("events_url", "ftp://x", "must begin with http:// or https://"),
    ("events_url", "https://", "must begin with http:// or https://"),
    ("events_url", "https:///", "must begin with http:// or https://"),
    ("proxy_url", "http://a\x01b", "must begin with http:// or https://"),
    ("ca_file", "my.pem", "must be an absolute path"),
    ("data_dir", "var", "must be an absolute path"),
    ("data_dir", "", "must be an absolute path"),
    ("source_address", "eth0", "must be an IP address"),
    ("source_address", "", "must be an IP address"),
]


@pytest.mark.parametrize(("name", "text", "why"), BAD)
def test_a_bad_value_is_named_with_file_and_line(name: str, text: str, why: str) -> None:
    """The daemon must not guess; pd-send goes on with the default."""
    found, problems = parse(f"[Main]\n# x\n{name} = {text}\nmax_connections = 2\n", "/etc/FILE")
    [problem] = problems
    assert problem.fatal
    assert problem.text.startswith(f"/etc/FILE, line 3: Bad {name}: ")
    assert why in problem.text
    assert found.get("max_connections") == 2


def test_every_number_and_choice_has_a_bad_value() -> None:
    """No key takes just anything: a slip of the fingers is found in each of them."""
    for key in KEYS:
        _, problems = parse(f"[Main]\n{key.name} = ~slip~\n", "FILE")
        assert problems, key.name


def test_every_default_is_a_good_value() -> None:
    """The shipped file, which lists them all, is one without problems."""
    text = "[Main]\n" + "".join(f"{key.name} = {key.default}\n" for key in KEYS)
    found, problems = parse(text, "FILE")
    assert problems == []
    assert found == DEFAULTS


@pytest.mark.parametrize(
    ("text", "said", "fatal"),
    [
        ("[Main]\njunk\n", "FILE, line 2: is neither 'key = value' nor '[section]'", True),
        ("[Main]\n= 5\n", "FILE, line 2: is neither", True),
        ("[Main\nmax_connections = 2\n", "FILE, line 1: is neither", True),
        ("max_connections = 2\n[Main]\n", "line 1: max_connections is outside the section", True),
        ("[Main]\n[Other]\nx = 2\n", "FILE, line 3: x is outside the section [Main]", False),
        ("[Main]\n\nmax_conections = 2\n", "line 3: max_conections is not a key that", False),
        ("", "FILE: Config is missing [Main] section", True),
        ("# only a comment\n", "FILE: Config is missing [Main] section", True),
        ("[Other]\n", "FILE: Config is missing [Main] section", True),
    ],
)
def test_a_mistake_in_the_files_form(text: str, said: str, fatal: bool) -> None:
    """Wrong lines are fatal to the daemon; an unknown key is a warning, to everybody."""
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


def test_what_follows_from_the_values() -> None:
    """The spool is below data_dir; a base address goes before the region's."""
    settings = Config({"data_dir": "/srv", "service_region": "eu"})
    assert settings.spool_dir == "/srv/outqueue"
    assert settings.base_url == "https://events.eu.pagerduty.com"
    assert Config({}).base_url == "https://events.pagerduty.com"
    assert Config({"events_url": "http://x", "service_region": "eu"}).base_url == "http://x"


LINES = st.sampled_from(["[Main]", "[", "]", "=", ":", "#", ";", " ", "\n", "\r", "\0", "\ufeff"])


@given(st.lists(LINES | st.sampled_from([key.name for key in KEYS]) | st.text(), max_size=30))
def test_no_text_makes_the_reader_fail(parts: list[str]) -> None:
    """Whatever is in the file, a sender gets usable values of the right types."""
    found, problems = parse("".join(parts), "FILE")
    settings: Any = Config(found)
    for name, default in DEFAULTS.items():
        assert type(getattr(settings, name)) is type(default)
    assert problems or "[" in "".join(parts)
