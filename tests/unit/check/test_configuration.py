"""The configuration as `pdagent check` sees it."""

import os
import pwd
from pathlib import Path

import pytest

from pdagent import config
from pdagent.check.configuration import configuration, piece, region
from pdagent.check.finding import Finding, Level
from tests.support.users import ROOT, SENDER


def found(path: Path, text: str) -> list[Finding]:
    path.write_text(text)
    settings, _ = config.load(str(path))
    return [*configuration(str(path)), *region(settings)]


@pytest.mark.parametrize(
    ("text", "level", "says"),
    [
        ("[Main]\nmax_connections = many\n", Level.FAILED, "line 2: Bad max_connections"),
        ("[Main]\nsend_interval_secs = 0\n", Level.WARNING, "line 2: send_interval_secs must"),
        ("[Main]\nsend_intervall_secs = 1\n", Level.WARNING, "is not a setting that pdagent knows"),
        ("[Main]\nevents_url = http://far.example\n", Level.WARNING, "without encryption"),
        ("[Main]\nevents_client_key = /key\n", Level.WARNING, "is set without a certificate"),
        (
            "[Main]\nevents_url = https://far.example\nservice_region = eu\n",
            Level.WARNING,
            "not the region eu",
        ),
    ],
)
def test_mistakes(tmp_path: Path, text: str, level: Level, says: str) -> None:
    """Each mistake is one finding, with what to do."""
    [bad] = [f for f in found(tmp_path / "conf", text) if f.level is not Level.OK]
    assert bad.level is level
    assert says in bad.text
    assert bad.remedy


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[Main]\n", "us: https://events.pagerduty.com"),
        ("[Main]\nservice_region = eu\n", "eu: https://events.eu.pagerduty.com"),
        ("[Main]\nevents_url = http://127.0.0.1:80\n", "http://127.0.0.1:80 (events_url)"),
    ],
)
def test_region(tmp_path: Path, text: str, says: str) -> None:
    """Without a mistake it says where events go."""
    assert [finding.text for finding in found(tmp_path / "conf", text)][1] == says


@pytest.mark.parametrize("url", ["https://a..b", f"https://{'a' * 64}.example", "https://[::1"])
def test_an_address_that_is_none(tmp_path: Path, url: str) -> None:
    """Nobody has to look up the host to see it."""
    _, bad = found(tmp_path / "conf", f"[Main]\nevents_url = {url}\n")
    assert (bad.level, bad.text) == (Level.FAILED, f"{url} is not an address that can be used")


def test_a_password_for_everybody(tmp_path: Path) -> None:
    """A proxy's password in a file that all may read is warned of, and not shown."""
    path = tmp_path / "conf"
    path.touch(0o644)
    path.chmod(0o644)
    warned, _ = found(path, "[Main]\nproxy_url = http://me:s3cret@proxy:3128\n")
    assert warned.level is Level.WARNING
    assert "s3cret" not in warned.text + warned.remedy
    path.chmod(0o640)
    assert found(path, path.read_text())[0].level is Level.OK


def with_piece(tmp_path: Path, text: str, mode: int = 0o644) -> list[Finding]:
    """What is found where all that is wrong is in a piece."""
    piece = tmp_path / "conf.d" / "a.conf"
    piece.parent.mkdir(mode=0o755)
    piece.write_text(text)
    piece.chmod(mode)
    return found(tmp_path / "conf", "[Main]\n")


def test_pieces_are_counted(tmp_path: Path) -> None:
    """Who looks sees that there are some."""
    [first, *_] = with_piece(tmp_path, "[Main]\n")
    assert first.text == f"{tmp_path}/conf, and 1 file in {tmp_path}/conf.d"


def test_a_pipe_for_a_piece(tmp_path: Path) -> None:
    """Nobody waits until somebody writes to it."""
    (tmp_path / "conf.d").mkdir(mode=0o755)
    os.mkfifo(tmp_path / "conf.d" / "a.conf")
    [bad] = [f for f in found(tmp_path / "conf", "[Main]\n") if f.level is not Level.OK]
    assert bad.text == f"{tmp_path}/conf.d/a.conf is not a regular file"


@pytest.mark.parametrize(
    ("text", "mode", "level", "says"),
    [
        ("[Main]\nmax_connections = many\n", 0o644, Level.FAILED, "a.conf, line 2: Bad max_conn"),
        ("[Main]\nproxy_url = http://me:s3cret@proxy:3128\n", 0o644, Level.WARNING, "a password"),
        ("[Main]\n", 0o666, Level.WARNING, "every user can write to"),
    ],
)
def test_a_mistake_in_a_piece(
    tmp_path: Path, text: str, mode: int, level: Level, says: str
) -> None:
    """Each is one finding, which names the file."""
    [bad] = [f for f in with_piece(tmp_path, text, mode) if f.level is not Level.OK]
    assert bad.level is level
    assert says in bad.text
    assert f"{tmp_path}/conf.d/a.conf" in bad.text
    assert "s3cret" not in bad.text + bad.remedy


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("[Keys]\ndb = KEY\n", Level.OK),
        ("[Main]\ndata_dir = /srv\n", Level.OK),
        ("[Main]\nx = 1\n", Level.WARNING),
        ("x = 1\n", Level.FAILED),
    ],
)
def test_a_file_before_it_is_a_piece(tmp_path: Path, text: str, level: Level) -> None:
    """It needs no section of settings, and is named as it is."""
    path = tmp_path / "new"
    path.write_text(text)
    path.chmod(0o600)  # as tools make it, who see to its mode later
    [finding] = piece(str(path))
    assert finding.level is level
    assert finding.text.startswith(str(path))


def test_a_piece_that_is_not_there(tmp_path: Path) -> None:
    """Whoever has mistyped its name is not told that it is good."""
    [finding] = piece(f"{tmp_path}/none.conf")
    assert finding.level is Level.FAILED
    assert finding.text.endswith("none.conf: No such file or directory")


@pytest.mark.parametrize("what", ["conf", "conf.d", "conf.d/a.conf", "keys", "ca.pem"])
def test_what_another_user_can_change(tmp_path: Path, what: str) -> None:
    """Its mode or its owner lets him: one line, which names the file. An owner who is no user here
    can change nothing."""
    (tmp_path / "conf.d").mkdir(mode=0o755)
    for name in ("conf.d/a.conf", "keys", "ca.pem"):
        (tmp_path / name).write_text("[Keys]\n")
    text = f"[Main]\nkeys_file = {tmp_path}/keys\nca_file = {tmp_path}/ca.pem\n"
    assert found(tmp_path / "conf", text)[0].level is Level.OK
    path = tmp_path / what
    mode = path.stat().st_mode
    path.chmod(mode | 0o002)
    [bad] = [f for f in found(tmp_path / "conf", text) if f.level is not Level.OK]
    assert (bad.level, bad.remedy) == (Level.WARNING, f"chmod o-w {path}")
    path.chmod(mode)
    if not ROOT:
        return
    os.chown(path, SENDER.uid, SENDER.gid)
    assert found(tmp_path / "conf", text)[0].level is Level.OK
    os.chown(path, pwd.getpwnam("daemon").pw_uid, 0)
    [bad] = [f for f in found(tmp_path / "conf", text) if f.level is not Level.OK]
    assert (bad.level, bad.remedy) == (Level.WARNING, f"chown root {path}")
    assert f"user daemon owns {path}, and so can change what the agent does" in bad.text


def test_a_token_for_all_to_read(tmp_path: Path) -> None:
    """Every user could send in this host's name."""
    token, conf = tmp_path / "token", tmp_path / "pdagent.conf"
    token.touch(0o644)
    conf.write_text(f"[Main]\nevents_token_file = {token}\n")
    found = [each for each in configuration(str(conf)) if "in this host's name" in each.text]
    assert [each.level for each in found] == [Level.WARNING]
    token.chmod(0o640)
    assert [each.level for each in configuration(str(conf))] == [Level.OK]


def test_a_file_of_keys_that_is_not_there(tmp_path: Path) -> None:
    """Whoever looks sees it. What is in one that he may not read is for others to say."""
    keys, conf = tmp_path / "keys", f"[Main]\nkeys_file = {tmp_path}/keys\n"
    [missing, *_] = found(tmp_path / "conf", conf)
    assert missing.level is Level.FAILED
    assert missing.text.endswith(f"{keys}: No such file or directory")
    keys.write_text("[Keys]\ndb = KEY\n")
    assert found(tmp_path / "conf", conf)[0].level is Level.OK
