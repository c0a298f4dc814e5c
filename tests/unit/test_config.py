"""The configuration is read as people write it, and every mistake is named with file and line."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent import config
from pdagent.config import Config, load
from pdagent.lines import parse
from pdagent.settings import DEFAULTS
from tests.support.agent import directory
from tests.support.users import ROOT, SENDER


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


def test_a_value_that_is_not_in_utf_8(tmp_path: Path) -> None:
    """Its bytes are lost, so a password is another one. A key is none any more."""
    lines = b"[Main]\nproxy_url = http://me:caf\xe9@proxy:1\n[Keys]\ndb = K\xe9Y\n"
    settings, [lost, bad] = load(write(tmp_path / "conf", lines))
    assert lost.text.endswith("line 2: proxy_url is not in UTF-8: characters of it are lost")
    assert not lost.fatal
    assert bad.text.endswith("line 4: Bad db: must be an integration key")
    assert bad.fatal
    assert settings.keys is None


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


def pieces(tmp_path: Path, text: str = "[Main]\n", **files: str) -> str:
    """A file and the pieces beside it."""
    path = write(tmp_path / "conf", text.encode())
    (tmp_path / "conf.d").mkdir()
    for name, content in files.items():
        write(tmp_path / "conf.d" / f"{name}.conf", content.encode())
    return path


def test_pieces_are_read_in_order_of_their_names(tmp_path: Path) -> None:
    """After the file; a later setting wins, and names of keys add up."""
    path = pieces(
        tmp_path,
        "[Main]\nmax_connections = 1\nsend_interval_secs = 5\n[Keys]\nweb = KEY0\ndb = KEY0\n",
        b="[Main]\nmax_connections = 4\n[Keys]\ndb = KEY2\n",
        a="[Main]\nmax_connections = 3\nbackoff_interval_secs = 7\n[Keys]\ndb = KEY1\nx = KEY1\n",
        c="# nothing, so far\n",
    )
    settings, problems = load(path)
    assert problems == []
    assert settings.max_connections == 4
    assert settings.send_interval_secs == 5
    assert settings.backoff_interval_secs == 7
    assert settings.keys == {"web": "KEY0", "db": "KEY2", "x": "KEY1"}


def test_only_what_is_named_as_a_piece_is_one(tmp_path: Path) -> None:
    """Neither what an editor or a package manager leaves, nor a file that is still being made."""
    path = pieces(tmp_path)
    for name in ("a.conf~", "a.conf.dpkg-old", "a.conf.rpmnew", ".a.conf", "README", ".conf"):
        write(tmp_path / "conf.d" / name, b"nonsense\n")
    assert load(path)[1] == []


def test_a_problem_names_its_piece_and_line(tmp_path: Path) -> None:
    """And the settings of other pieces count all the same."""
    path = pieces(
        tmp_path,
        a="[Main]\n\nmax_connections = x\n",
        b="max_connections = 2\n",
        c="[Main]\nx = 1\n",
    )
    settings, problems = load(path)
    assert [(problem.text.split(":")[0], problem.fatal) for problem in problems] == [
        (f"{path}.d/a.conf, line 3", True),
        (f"{path}.d/b.conf, line 1", True),
        (f"{path}.d/c.conf, line 2", False),
    ]
    assert settings.keys is None


@pytest.mark.parametrize("kind", ["a directory", "a FIFO", "too large", "a link to nowhere"])
def test_a_piece_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    """It keeps the daemon from starting, since nobody knows what it was to say."""
    path = pieces(tmp_path, b="[Main]\nmax_connections = 2\n")
    odd = tmp_path / "conf.d" / "a.conf"
    if kind == "a directory":
        odd.mkdir()
    elif kind == "a FIFO":
        os.mkfifo(odd)
    elif kind == "too large":
        odd.write_bytes(b"#" * (config.PIECE_BYTES + 1))
    else:
        odd.symlink_to(tmp_path / "none")
    settings, [problem] = load(path)
    assert problem.fatal
    assert problem.for_senders
    assert str(odd) in problem.text
    assert settings.max_connections == 2


def test_a_link_to_a_file_is_a_piece(tmp_path: Path) -> None:
    """As Kubernetes mounts configuration."""
    path = pieces(tmp_path)
    write(tmp_path / "elsewhere", b"[Main]\nmax_connections = 2\n")
    (tmp_path / "conf.d" / "a.conf").symlink_to(tmp_path / "elsewhere")
    assert load(path)[0].max_connections == 2


def test_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    """It is named; it may have been meant to say where the spool is."""
    path = write(tmp_path / "conf", b"[Main]\ndata_dir = /srv\n")
    write(tmp_path / "conf.d", b"[Main]\n")
    settings, [problem] = load(path)
    assert problem.text == f"Unable to read the config directory at: {path}.d: Not a directory"
    assert problem.fatal
    assert not settings.knows_spool


def test_too_many_pieces(tmp_path: Path) -> None:
    """There is a bound on what one pd-send may have to read."""
    path = pieces(
        tmp_path, **{f"{n:03}": f"[Main]\nmax_connections = {n + 1}\n" for n in range(101)}
    )
    settings, [problem] = load(path)
    assert problem.text == f"{path}.d: more than 100 files; the rest of them is not read"
    assert problem.fatal
    assert settings.max_connections == 100
    assert not settings.knows_spool  # the last could have moved it


def test_a_directory_that_a_link_does_not_find(tmp_path: Path) -> None:
    """Is not as good as none: what is set there is missing."""
    path = pieces(tmp_path)
    (tmp_path / "conf.d").rmdir()
    assert load(path)[1] == []
    (tmp_path / "conf.d").symlink_to("nowhere")
    settings, [problem] = load(path)
    assert "conf.d: No such file" in problem.text
    assert problem.fatal
    assert not settings.knows_spool


@pytest.mark.parametrize(
    ("main", "piece", "known"),
    [
        ("[Main]\n", "[Main]\ndata_dir = /srv\n", True),
        ("[Main]\n", "data_dir /srv\n", False),
        ("[Main]\ndata_dir = srv\n", "[Main]\ndata_dir = /srv\n", True),
        ("[Main]\ndata_dir = /srv\n", "[Main]\ndata_dir = srv\n", False),
    ],
)
def test_whether_pieces_leave_it_certain(
    tmp_path: Path, main: str, piece: str, known: bool
) -> None:
    """The last word on data_dir counts."""
    settings, _ = load(pieces(tmp_path, main, a=piece))
    assert settings.knows_spool is known
    if known:
        assert settings.data_dir == "/srv"


def test_the_spool_is_named_where_everybody_can_read_it(tmp_path: Path) -> None:
    """A piece may be for the agent alone, for it holds a secret: then it must not move the
    spool."""
    path = pieces(tmp_path, a="[Main]\ndata_dir = /srv\n")
    (tmp_path / "conf.d" / "a.conf").chmod(0o640)
    _, [problem] = load(path)
    assert problem.fatal
    assert "data_dir must be in a file that every user can read" in problem.text


@pytest.mark.skipif(not ROOT, reason="needs root: to be somebody else")
@pytest.mark.parametrize(("mode", "said"), [(0o640, False), (0o600, True)])
def test_a_piece_that_is_not_for_this_user(mode: int, said: bool) -> None:
    """The spool is certain, what names there are is not; senders hear of it where nobody but root
    may read the piece, so not even the agent."""
    with directory() as place:
        place.chmod(0o755)
        path = pieces(place, a="[Keys]\ndb = KEY1\n")
        (place / "conf.d" / "a.conf").chmod(mode)
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(SENDER.gid)
        os.seteuid(SENDER.uid)
        try:
            settings, [problem] = load(path)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
    assert problem.fatal
    assert problem.for_senders is said
    assert settings.knows_spool
    assert settings.keys is None


LINES = st.sampled_from(["[Main]", "[", "]", "=", ":", "#", ";", " ", "\n", "\r", "\0", "\ufeff"])


@given(st.lists(LINES | st.sampled_from(list(DEFAULTS)) | st.text(), max_size=30))
def test_no_text_makes_the_reader_fail(parts: list[str]) -> None:
    """Whatever is in the file, a sender gets usable values of the right types."""
    found, problems = parse("".join(parts), "FILE")
    settings: Any = Config(found)
    for name, default in DEFAULTS.items():
        assert type(getattr(settings, name)) is type(default)
    assert problems or "[" in "".join(parts)
