"""The daemon, as anybody can ask for it: by the FIFO that it is woken by."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pdagent.check.finding import Finding, Level
from pdagent.check.host import ANSWER_SECONDS, Host
from pdagent.check.service import boot, daemon
from pdagent.config import Config
from pdagent.spool import wake_fifo


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    (tmp_path / "outqueue").mkdir()
    (tmp_path / "db").mkdir()
    return Config({"data_dir": str(tmp_path)})


@pytest.fixture
def wake(settings: Config) -> Iterator[int]:
    """The FIFO as a daemon holds it."""
    path = wake_fifo(settings.spool_dir)
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    yield fd
    os.close(fd)


class Clock:
    """Time that goes by only while somebody sleeps; then `meanwhile` happens."""

    def __init__(self) -> None:
        self.now = 100.0
        self.meanwhile: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()


def only(findings: Iterator[Finding]) -> Finding:
    [finding] = findings
    return finding


def host(clock: Clock) -> Host:
    return Host(monotonic=clock.monotonic, sleep=clock.sleep)


def test_it_answers(settings: Config, wake: int) -> None:
    """Who reads what is written there runs; nothing stays in the FIFO."""
    clock = Clock()
    clock.meanwhile = lambda: os.read(wake, 4096)
    assert only(daemon(settings, host(clock))).text == "runs, and answers"


def test_it_is_stuck(settings: Config, wake: int) -> None:
    """Who does not read while a busy host would have is stuck, whether or not the FIFO has room."""
    for filling in (b"", b"x" * 65_536):
        os.write(wake, filling)
        clock = Clock()
        finding = only(daemon(settings, host(clock)))
        assert finding.level is Level.FAILED
        assert "has not answered" in finding.text
        assert clock.now >= 100.0 + ANSWER_SECONDS


def test_it_does_not_run(settings: Config) -> None:
    """No FIFO, one that nobody reads, a file, a link or a directory in its place."""
    path = Path(wake_fifo(settings.spool_dir))
    assert "does not run" in only(daemon(settings, Host())).text
    os.mkfifo(path)
    assert "does not run" in only(daemon(settings, Host())).text
    path.unlink()
    path.symlink_to("/dev/null")
    assert "does not run" in only(daemon(settings, Host())).text
    path.unlink()
    path.touch()
    assert "is not a FIFO" in only(daemon(settings, Host())).text
    assert path.read_bytes() == b""
    path.unlink()
    path.mkdir()
    found = only(daemon(settings, Host()))
    assert "is not a FIFO" in found.text
    assert found.remedy.startswith(f"mv {path} ")


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("enabled", Level.OK),
        ("disabled", Level.WARNING),
        ("masked", Level.WARNING),
        (None, Level.UNKNOWN),
    ],
)
def test_boot(tmp_path: Path, said: str | None, level: Level) -> None:
    """Whether systemd starts it with the host; other inits are not asked."""
    other = Host(str(tmp_path), ask=lambda _: said)
    assert list(boot(other)) == []
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert only(boot(other)).level is level
