"""Versions of files: other contents have another one."""

import os
from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.queue.versions import named, version, versions


def test_other_contents(tmp_path: Path) -> None:
    """Whether the file was written to, or another one has its name. Its mode is nothing new."""
    file = tmp_path / "f"
    file.write_text("a")
    os.utime(file, (1, 1))
    first = version(str(file))
    file.chmod(0o600)
    assert version(str(file)) == first
    file.write_text("b")
    second = version(str(file))
    other = tmp_path / "other"
    other.write_text("b")
    os.utime(other, ns=(0, file.stat().st_mtime_ns))
    other.rename(file)
    third = version(str(file))
    assert len({first, second, third}) == 3
    file.unlink()
    assert version(str(file)) == ""
    assert version("/a\0b") == ""


def test_many(tmp_path: Path) -> None:
    """Only of those that are there, each once."""
    (tmp_path / "f").touch()
    found = [str(tmp_path / "f"), str(tmp_path / "f"), str(tmp_path / "gone")]
    assert versions(found) == (version(found[0]),)


def test_named() -> None:
    """The files that only a reload reads."""
    settings = Config({"keys_file": "/k", "listen_cert": "/c", "ca_file": "/a"})
    assert list(named(settings)) == ["/k", "/c"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may see every file")
def test_hidden(tmp_path: Path) -> None:
    """What this user may not see has no version, not that of a file that is gone."""
    closed = tmp_path / "closed"
    closed.mkdir(0o000)
    with pytest.raises(PermissionError):
        version(f"{closed}/f")
    assert versions([f"{closed}/f"]) == ()
