"""Files that anybody may have put something else in the place of."""

import os
from pathlib import Path

import pytest

from pdagent.queue.regular import read_regular


def test_beginning_and_end(tmp_path: Path) -> None:
    """No more is read than was asked for."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    assert read_regular(str(path), 4) == b"0123"
    assert read_regular(str(path), 4, last=True) == b"6789"
    assert read_regular(str(path), 100, last=True) == b"0123456789"


def test_anything_else(tmp_path: Path) -> None:
    """A FIFO, a device, a directory and a link cost nothing but an error."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        with pytest.raises(ValueError, match="not a regular file"):
            read_regular(str(path), 10)
    with pytest.raises(OSError, match="symbolic links"):
        read_regular(str(tmp_path / "link"), 10)
