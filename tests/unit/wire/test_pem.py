"""What OpenSSL should not open is found before it opens it."""

import os
from pathlib import Path

import pytest

from pdagent.wire.pem import FILE_BYTES, mode_of


def test_a_good_file(tmp_path: Path) -> None:
    """Its mode is told, and a link is followed: certificates are often linked to."""
    path = tmp_path / "ca.pem"
    path.write_text("whatever")
    path.chmod(0o640)
    (tmp_path / "link").symlink_to(path)
    os.truncate(path, FILE_BYTES)
    assert mode_of(str(tmp_path / "link")) & 0o7777 == 0o640


def test_what_would_not_end(tmp_path: Path) -> None:
    """OpenSSL would wait at a FIFO, read a device without end, and a huge file for minutes."""
    os.mkfifo(tmp_path / "pipe")
    huge = tmp_path / "huge"
    huge.touch()
    os.truncate(huge, FILE_BYTES + 1)
    for path, said in [
        (tmp_path / "pipe", "it is not a regular file"),
        (Path("/dev/zero"), "it is not a regular file"),
        (tmp_path, "it is not a regular file"),
        (huge, f"it is larger than {FILE_BYTES} bytes"),
        (tmp_path / "none", "No such file or directory"),
    ]:
        with pytest.raises(OSError, match=said):
            mode_of(str(path))
