"""The host as the checks see it: programs that answer in time, and the commands of its init."""

from pathlib import Path

import pytest

from pdagent.check import host
from pdagent.check.host import Host, ask


def test_what_a_program_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """In plain English, whatever this user's language is, and found in the system's places."""
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("PATH", "/nowhere")
    assert ask(["sh", "-c", "echo $LC_ALL; echo \xff >&2"]) == "C"


def test_a_program_that_is_not_there() -> None:
    """It says nothing."""
    assert ask(["no-such-program"]) is None


def test_a_program_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for."""
    monkeypatch.setattr(host, "PROGRAM_SECONDS", 0.1)
    assert ask(["sleep", "1000"]) is None


def test_the_command_for_the_service(tmp_path: Path) -> None:
    """As the host's init wants it."""
    found = Host(str(tmp_path))
    assert found.service("restart") == "service pdagent restart"
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert found.service("restart") == "systemctl restart pdagent"
