"""What the daemon tells, as lines of the check: each fault with the remedy that ends it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pdagent.check.finding import Finding, Level
from pdagent.check.host import Host
from pdagent.check.told import delivery
from pdagent.config import Config
from pdagent.daemon.loading import load
from pdagent.queue.condition import Condition, Trouble, path_of
from pdagent.spool import wake_fifo
from pdagent.wire.question import Answer

NOW = 1_795_420_800.0


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Config]:
    """Those of a spool whose FIFO somebody reads."""
    for name in ("lib/outqueue", "lib/db", "run"):
        (tmp_path / name).mkdir(parents=True)
    os.mkfifo(tmp_path / "lib/db/wake")
    fd = os.open(tmp_path / "lib/db/wake", os.O_RDWR | os.O_NONBLOCK)
    yield Config({"data_dir": str(tmp_path / "lib"), "run_dir": str(tmp_path / "run")})
    os.close(fd)


def host(root: Path, systemd: bool = True) -> Host:
    """A clock that stands, so that any condition is fresh."""
    if systemd:
        (root / "run/systemd/system").mkdir(parents=True, exist_ok=True)
    return Host(str(root), now=lambda: NOW, monotonic=lambda: 100.0)


def found(
    settings: Config, root: Path, condition: Condition, answer: Answer | None = None
) -> list[Finding]:
    Path(path_of(settings)).write_text(replace(condition, told=100.0).dumps())
    return list(delivery("/conf", settings, host(root), lambda: answer or Answer(400)))


FINE = Condition(1, 0.0)


def trouble(kind: str, path: str, why: str = "Permission denied") -> Condition:
    return replace(FINE, pending=2, troubles=(Trouble(kind, path, why, NOW),))


@pytest.mark.parametrize(
    ("condition", "level", "says", "remedy"),
    [
        (FINE, Level.OK, "nothing was to be delivered", ""),
        (replace(FINE, delivered=NOW), Level.OK, "the last event was delivered at ", ""),
        (
            trouble("authorities", "/home/a/ca.pem"),
            Level.FAILED,
            "the service cannot read /home/a/ca.pem: Permission denied, since ",
            "Copy it to /etc/ssl, since the service's sandbox hides /home/a/ca.pem; "
            "name it in ca_file; then: systemctl reload pdagent",
        ),
        (trouble("authorities", "/etc/ca.pem"), Level.FAILED, "", "chmod a+r /etc/ca.pem"),
        (
            trouble("keys", "/root/keys"),
            Level.FAILED,
            "2 events wait",
            "Move it to /etc, name it in keys_file, then: systemctl reload pdagent",
        ),
        (trouble("configuration", "/conf"), Level.FAILED, "", "sudo pdagent check --repair"),
        (
            trouble("configuration", "/conf", "No such file or directory"),
            Level.FAILED,
            "",
            "Put /conf there again, then: systemctl reload pdagent",
        ),
        (trouble("log", "/l"), Level.FAILED, "cannot write /l", "sudo pdagent check --repair"),
        (
            trouble("log", "/home/l", "No such file or directory"),
            Level.FAILED,
            "cannot write /home/l",
            "The sandbox of the service's unit hides /home/l.",
        ),
        (
            trouble("queue", "/q", "Read-only file system"),
            Level.FAILED,
            "cannot write /q: Read-only file system",
            "Mount the file system of /q writable",
        ),
        (trouble("queue", "/q", "Input/output error"), Level.FAILED, "", "See dmesg"),
        (trouble("queue", "/q/suc", "Operation not permitted"), Level.FAILED, "", "lsattr -d /q/*"),
        (
            trouble("queue", "/q/suc", "Invalid cross-device link"),
            Level.FAILED,
            "",
            "Let all of /q",
        ),
        (
            trouble("metrics", "/conf", "cannot listen on :9110: Address already in use"),
            Level.WARNING,
            "metrics are not shown: cannot listen on :9110: Address already in use, since ",
            "Free that address, or name another as metrics_listen in /conf; then: systemctl "
            "restart pdagent",
        ),
        (
            trouble("metrics", "/conf", "cannot write /f: Permission denied"),
            Level.WARNING,
            "cannot write /f",
            "Let metrics_file be in a directory where the user pdagent may write.",
        ),
        (trouble("disk", "/d"), Level.FAILED, "disk of /d is full", "Free some space where /d is."),
        (
            replace(FINE, pending=1, holds={"throttled": 2}),
            Level.WARNING,
            "PagerDuty throttles 2 keys; 1 event waits",
            "Nothing is lost.",
        ),
        (
            replace(FINE, pending=1, holds={"unnamed": 1}),
            Level.FAILED,
            "names of keys that nobody has",
            "Add the name to [Keys] in /conf, or to keys_file, then: systemctl reload pdagent",
        ),
        (
            replace(FINE, pending=1, oldest=NOW - 300),
            Level.FAILED,
            "nothing is known to hold them",
            "systemctl restart pdagent",
        ),
        (replace(FINE, pending=1, oldest=NOW - 5), Level.OK, "", ""),
    ],
)
def test_lines(
    settings: Config, tmp_path: Path, condition: Condition, level: Level, says: str, remedy: str
) -> None:
    """Each trouble that the daemon tells has its level, its line and its remedy."""
    [finding] = found(settings, tmp_path, condition)
    assert finding.level is level
    assert says in finding.text
    assert finding.remedy.startswith(remedy)


def test_files_that_have_changed(settings: Config, tmp_path: Path) -> None:
    """A reload is due for each file that is not as the daemon has read it, and for one that is
    gone. A daemon that tells of no files says nothing of them."""
    conf, piece = tmp_path / "conf", tmp_path / "conf.d/p.conf"
    piece.parent.mkdir()

    def lines(condition: Condition) -> list[str]:
        Path(path_of(settings)).write_text(replace(condition, told=100.0).dumps())
        found = delivery(str(conf), settings, host(tmp_path), lambda: Answer(400))
        return [each.text for each in found if each.remedy == "systemctl reload pdagent"]

    conf.write_text("[Main]\n")
    piece.write_text("[Main]\n")
    read = replace(FINE, read=load(str(conf)).versions)
    assert lines(read) == lines(FINE) == []
    piece.write_text("[Main]\nheartbeat = off\n")
    (tmp_path / "conf.d/q.conf").touch()
    assert lines(read) == [
        f"{file} has changed since the service has read it"
        for file in (piece, tmp_path / "conf.d/q.conf")
    ]
    read = replace(FINE, read=load(str(conf)).versions)
    piece.unlink()
    assert lines(read) == ["a file of the configuration was removed since the service has read it"]


def test_a_restart_is_due(settings: Config, tmp_path: Path) -> None:
    """Beside how delivery fares."""
    due = replace(FINE, outdated=("listen", "data_dir"))
    [line, other] = found(settings, tmp_path, due)
    assert (line.subject, line.level) == ("configuration", Level.WARNING)
    assert line.text == "a new listen, data_dir is not in use until a restart"
    assert line.remedy == "systemctl restart pdagent"
    assert other.level is Level.OK


def test_metrics_are_no_reason_to_wait(settings: Config, tmp_path: Path) -> None:
    """Events that wait beside a trouble that holds none are stuck all the same."""
    told = replace(trouble("metrics", "/conf", "cannot write /f"), oldest=NOW - 300)
    lesser, stuck = found(settings, tmp_path, told)
    assert (lesser.level, stuck.level) == (Level.WARNING, Level.FAILED)
    assert "nothing is known to hold them" in stuck.text


def test_a_relay_is_lost(settings: Config, tmp_path: Path) -> None:
    """By its name and since when. An outage of all says more."""
    lost = replace(FINE, lost={"https://relay1": NOW - 600})
    [line] = found(settings, tmp_path, lost)
    assert line.level is Level.WARNING
    assert line.text.startswith("https://relay1 is not reached since ")
    [line] = found(settings, tmp_path, replace(lost, unreachable="refused", since=NOW))
    assert "relay1" not in line.text


def test_unreachable(settings: Config, tmp_path: Path) -> None:
    """The remedy is that of what stands in the way now; where nothing does, it is a wait."""
    away = replace(FINE, unreachable="refused", since=NOW - 60, next_try=NOW + 12, pending=3)
    [finding] = found(settings, tmp_path, away, Answer(stage="name", why="unknown"))
    assert finding.level is Level.FAILED
    assert "refused; 3 events wait" in finding.text
    assert finding.remedy.startswith("See /etc/resolv.conf")
    [finding] = found(settings, tmp_path, away, Answer(400))
    assert finding.level is Level.WARNING
    assert finding.remedy == (
        "Wait: the next try is in 12 s. Or at once: systemctl restart pdagent"
    )


def test_it_answers_at_once(settings: Config, tmp_path: Path) -> None:
    """Before whoever has asked goes on: that is an answer too, and the only one that comes."""
    now = 100.0
    fd = os.open(wake_fifo(settings.spool_dir), os.O_RDONLY | os.O_NONBLOCK)

    def clock() -> float:
        """The daemon has its turn first, whenever this process looks at the clock."""
        nonlocal now
        with contextlib.suppress(BlockingIOError):
            if os.read(fd, 4096):
                Path(path_of(settings)).write_text(replace(FINE, told=now).dumps())
        now += 0.1
        return now

    host = Host(str(tmp_path), now=lambda: NOW, monotonic=clock, sleep=lambda _: None)
    [finding] = delivery("/conf", settings, host, lambda: Answer(400))
    os.close(fd)
    assert finding.level is Level.OK


def test_it_tells_nothing(settings: Config, tmp_path: Path) -> None:
    """No file, or an old one, is no good news; without a daemon another line says so."""
    ticks = iter(range(100, 10_000))
    clock = Host(
        str(tmp_path), now=lambda: NOW, monotonic=lambda: next(ticks), sleep=lambda _: None
    )
    for _ in range(2):
        [finding] = delivery("/conf", settings, clock, lambda: Answer(400))
        assert finding.level is Level.WARNING
        assert "does not tell how it fares" in finding.text
        Path(path_of(settings)).write_text(FINE.dumps())
    Path(path_of(settings)).write_text(replace(FINE, told=1e9).dumps())  # before a reboot
    [finding] = delivery("/conf", settings, clock, lambda: Answer(400))
    assert finding.level is Level.WARNING
    waits = Path(settings.spool_dir, "pdq", f"{round((NOW - 61) * 1e6):016}_K.txt")
    waits.parent.mkdir()
    waits.touch()
    [finding] = delivery("/conf", settings, clock, lambda: Answer(400))
    assert finding.level is Level.FAILED
    assert "and events have waited since" in finding.text
    os.unlink(f"{settings.data_dir}/db/wake")
    assert list(delivery("/conf", settings, clock, lambda: Answer(400))) == []
