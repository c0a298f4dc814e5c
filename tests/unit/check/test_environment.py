"""The service's environment, from wherever it can be seen."""

import os
from pathlib import Path

import pytest

from pdagent.check.host import Host
from pdagent.check.service import Environment, environment
from pdagent.config import Config
from pdagent.queue.layout import lock_file

OWN = {"https_proxy": "http://mine:1", "HOME": "/root"}


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    (tmp_path / "lib/db").mkdir(parents=True)
    return Config({"data_dir": str(tmp_path / "lib")})


def files(root: Path, text: str) -> Path:
    path = root / "etc/default/pdagent"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def running(root: Path, settings: Config, environment: bytes, command: bytes) -> None:
    process = root / "proc/77"
    process.mkdir(parents=True)
    (process / "environ").write_bytes(environment)
    (process / "cmdline").write_bytes(command)
    Path(lock_file(settings.spool_dir)).write_text("77\n")


def test_lines_that_are_not_taken_as_meant(tmp_path: Path, settings: Config) -> None:
    """Each is named with its file and number; what both inits read alike is no oddity."""
    files(
        tmp_path,
        "# http_proxy=a # b\nexport https_proxy=http://p:1\nhttp_proxy=http://p:1 # ours\n"
        "no_proxy = a,b\r\n",
    )
    found = environment(settings, Host(str(tmp_path)), OWN)
    assert found.values == {"http_proxy": "http://p:1 # ours", "no_proxy": "a,b"}
    assert found.odd == (
        "/etc/default/pdagent, line 2: is ignored, for it begins with export: write https_proxy=…",
        "/etc/default/pdagent, line 3: the comment is part of the value: put it on a line "
        "above http_proxy=…",
    )


def test_nobody_says_anything(tmp_path: Path, settings: Config) -> None:
    """Without a file and without a daemon it is the caller's own."""
    found = environment(settings, Host(str(tmp_path)), OWN)
    assert found == Environment({"https_proxy": "http://mine:1"}, "your environment")


def test_the_file(tmp_path: Path, settings: Config) -> None:
    """The caller's own proxies don't count where the service has its file."""
    files(tmp_path, "http_proxy=http://p:1\n")
    found = environment(settings, Host(str(tmp_path)), OWN)
    assert found == Environment({"http_proxy": "http://p:1"}, "/etc/default/pdagent")
    own = dict(OWN)
    found.apply(own)
    assert own == {"HOME": "/root", "http_proxy": "http://p:1"}


def test_a_hidden_file(tmp_path: Path, settings: Config) -> None:
    """A file that only root may read is named."""
    path = files(tmp_path, "")
    path.unlink()
    path.mkdir()  # not to be read by root either
    found = environment(settings, Host(str(tmp_path)), OWN)
    assert found == Environment(
        {"https_proxy": "http://mine:1"}, "your environment", "/etc/default/pdagent"
    )


def test_the_running_daemon(tmp_path: Path, settings: Config) -> None:
    """What the daemon has counts; a file that was changed since is stale."""
    path = files(tmp_path, "http_proxy=http://p:1\n")
    running(tmp_path, settings, b"http_proxy=http://p:1\0A=b\0", b"pdagentd\0-f\0")
    host = Host(str(tmp_path))
    assert environment(settings, host, OWN) == Environment(
        {"http_proxy": "http://p:1"}, "the running daemon"
    )
    path.write_text("http_proxy=http://other:1\n")
    assert environment(settings, host, OWN).stale == "/etc/default/pdagent"


def test_another_process_of_that_number(tmp_path: Path, settings: Config) -> None:
    """A lock that a dead daemon left names nobody."""
    running(tmp_path, settings, b"http_proxy=http://p:1\0", b"sleep\0")
    assert environment(settings, Host(str(tmp_path)), {}).source == "your environment"
    os.unlink(lock_file(settings.spool_dir))
    assert environment(settings, Host(str(tmp_path)), {}).source == "your environment"
