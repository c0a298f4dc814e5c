"""Nothing is read but regular files of a bearable size, and nothing is waited for."""

import os
import socket
from pathlib import Path

import pytest

from pdagent.queue.opening import Directory, Large, opened
from pdagent.queue.pending import EVENT_BYTES_MOST, Hostile


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    """With what the system says of it."""
    path = tmp_path / "x"
    path.write_bytes(b"ab")
    data, status = opened(str(path), 2)
    assert (data, status.st_size) == (b"ab", 2)
    with pytest.raises(Large):
        opened(str(path), 1)


def test_what_is_no_file_is_hostile(tmp_path: Path) -> None:
    """A link, a FIFO without a writer, a socket, a directory, and what is larger than any event."""
    (tmp_path / "link").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", EVENT_BYTES_MOST + 1)
    (tmp_path / "directory").mkdir()
    for name in ("link", "fifo", "socket", "large"):
        with pytest.raises(Hostile):
            opened(str(tmp_path / name), EVENT_BYTES_MOST)
    with pytest.raises(Directory):
        opened(str(tmp_path / "directory"), EVENT_BYTES_MOST)
    with pytest.raises(FileNotFoundError):
        opened(str(tmp_path / "none"), EVENT_BYTES_MOST)
