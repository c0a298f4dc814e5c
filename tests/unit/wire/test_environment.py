"""The service's environment file is read as systemd and the init script read it."""

import os
from pathlib import Path

import pytest

from pdagent.wire import environment
from pdagent.wire.environment import oddities, parse, take_over


def test_parse() -> None:
    """What the init script and systemd read, no more: comments, quotes, other names."""
    text = "# http_proxy=a\n;b=c\n https_proxy = 'http://p:1' \n"
    text += 'no_proxy="x,y"\nPATH=/bin\nnonsense\n'
    assert parse(text) == {"https_proxy": "http://p:1", "no_proxy": "x,y"}


def test_oddities() -> None:
    """Lines that do something else than their writer meant, by their number."""
    text = "http_proxy=http://p:1\nexport https_proxy=x\nno_proxy=a # ours\nexport PATH=/bin\n"
    assert list(oddities(text)) == [
        (2, "is ignored, for it begins with export: write https_proxy=…"),
        (3, "the comment is part of the value: put it on a line above no_proxy=…"),
    ]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The files of both families."""
    found = tmp_path / "default", tmp_path / "sysconfig"
    monkeypatch.setattr(environment, "FILES", tuple(map(str, found)))
    return found


def test_take_over(files: tuple[Path, Path]) -> None:
    """What the files set counts, in either spelling of its name; what they do not set stays."""
    files[0].write_text("HTTPS_PROXY=http://theirs:1\n")
    own = {"https_proxy": "http://mine:1", "no_proxy": "x", "HOME": "/root"}
    assert take_over(own) == ""
    assert own == {"HTTPS_PROXY": "http://theirs:1", "no_proxy": "x", "HOME": "/root"}


def test_a_file_that_cannot_be_read(files: tuple[Path, Path]) -> None:
    """Is named, and the other one counts all the same."""
    files[0].mkdir()
    files[1].write_text("http_proxy=http://p:1\n")
    own: dict[str, str] = {}
    assert take_over(own) == f"cannot read {files[0]}: {os.strerror(21)}"
    assert own == {"http_proxy": "http://p:1"}
