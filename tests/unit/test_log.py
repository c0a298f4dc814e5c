"""Logs stay bounded, in the old format, and never show an integration key."""

import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdagent import log as logs
from pdagent.log import set_up

KEY = "c7a4f1e2b9d84c6fa0b1c2d3e4f50617"


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Logging as it was, afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.raiseExceptions
    root.handlers[:] = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level, logging.raiseExceptions = before


# the file


def test_a_line_is_as_the_old_agent_wrote_it(tmp_path: Path) -> None:
    """Time, level, thread, name, message, in the same columns."""
    set_up(str(tmp_path), foreground=False)
    logging.getLogger("main").info("*** pdagentd starting! pid=%d", 11630)
    line = (tmp_path / "pdagentd.log").read_text()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} "
        r"INFO    MainThread           main                 \*\*\* pdagentd starting! pid=11630\n",
        line,
    )


def test_debug_is_not_written(tmp_path: Path) -> None:
    """Bodies and bystanders' chatter stay out."""
    set_up(str(tmp_path), foreground=False)
    logging.getLogger("pdagent").debug("x")
    logging.getLogger("urllib3").warning("x")
    assert (tmp_path / "pdagentd.log").read_text() == ""


def test_the_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte and five older ones, as it was."""
    assert (logs.FILE_BYTES, logs.FILES) == (1_048_576, 5)
    monkeypatch.setattr(logs, "FILE_BYTES", 1000)
    set_up(str(tmp_path), foreground=False)
    for n in range(200):
        logging.getLogger("main").info("line %d", n)
    assert len(os.listdir(tmp_path)) == 6
    assert all(path.stat().st_size < 1100 for path in tmp_path.iterdir())
    assert "line 199" in (tmp_path / "pdagentd.log").read_text()


def test_a_full_log_that_cannot_be_renamed_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too long is better than silent."""
    monkeypatch.setattr(logs, "FILE_BYTES", 100)
    set_up(str(tmp_path), foreground=False)
    (tmp_path / "pdagentd.log.4").touch()
    (tmp_path / "pdagentd.log.5").mkdir()
    for n in range(10):
        logging.getLogger("main").info("line %d", n)
    assert (tmp_path / "pdagentd.log").read_text().count("\n") == 10


@pytest.mark.parametrize("gone", ["its file", "its directory", "both, by rename"])
def test_a_log_that_is_gone_is_made_anew(tmp_path: Path, gone: str) -> None:
    """Nobody reads a file that has no name, or another one."""
    directory = tmp_path / "log"
    set_up(str(directory), foreground=False)
    logging.getLogger("main").info("before")
    if gone == "its file":
        (directory / "pdagentd.log").unlink()
    elif gone == "its directory":
        shutil.rmtree(directory)
    else:
        directory.rename(tmp_path / "old")
    logging.getLogger("main").info("after")
    text = (directory / "pdagentd.log").read_text()
    assert text.endswith("after\n")
    assert "before" not in text


def test_a_log_that_is_a_link_stays_one(tmp_path: Path) -> None:
    """To a larger disk, say."""
    (tmp_path / "pdagentd.log").symlink_to(tmp_path / "elsewhere")
    set_up(str(tmp_path), foreground=False)
    for n in range(3):
        logging.getLogger("main").info("line %d", n)
    assert (tmp_path / "elsewhere").read_text().count("\n") == 3
    assert len(os.listdir(tmp_path)) == 2


def test_a_log_that_could_not_be_opened_is_later(tmp_path: Path) -> None:
    """As soon as it can be, and without a restart."""
    (tmp_path / "log").touch()
    set_up(str(tmp_path / "log"), foreground=False)
    (tmp_path / "log").unlink()
    logging.getLogger("main").info("x")
    assert (tmp_path / "log" / "pdagentd.log").read_text().endswith("x\n")


def test_a_missing_directory_is_made(tmp_path: Path) -> None:
    """A host's log directory may be on a disk that starts empty."""
    set_up(str(tmp_path / "log"), foreground=False)
    assert (tmp_path / "log" / "pdagentd.log").exists()


def test_setting_up_twice_does_not_write_twice(tmp_path: Path) -> None:
    """Each line once."""
    for _ in range(2):
        set_up(str(tmp_path), foreground=False)
    logging.getLogger("main").info("x")
    assert (tmp_path / "pdagentd.log").read_text().count("\n") == 1


def test_a_log_that_cannot_be_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Then it is stderr alone, and said."""
    (tmp_path / "log").touch()
    set_up(str(tmp_path / "log"), foreground=False)
    logging.getLogger("main").info("x")
    said = capfd.readouterr().err
    assert f"cannot write {tmp_path}/log/pdagentd.log: File exists" in said
    assert "INFO x\n" in said


def test_the_foreground_logs_to_stderr_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Which is the journal, under systemd: without a time, it has its own."""
    set_up(str(tmp_path), foreground=True)
    logging.getLogger("main").warning("x")
    assert capfd.readouterr().err == "WARNING x\n"
    assert (tmp_path / "pdagentd.log").read_text().endswith("x\n")


def test_a_line_has_an_end(tmp_path: Path) -> None:
    """However long what it quotes is: a few such lines must not replace the whole log."""
    set_up(str(tmp_path), foreground=False)
    logging.getLogger("main").warning("%s", "x" * 4_000_000)
    assert len((tmp_path / "pdagentd.log").read_text()) < logs.LINE_CHARS + 10
