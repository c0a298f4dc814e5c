"""Directories, their modes, and the room on their disk."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdagent.check.directories import directories, disk
from pdagent.check.finding import Finding, Level
from pdagent.check.inside import Service
from pdagent.check.repair import repaired
from pdagent.config import Config
from pdagent.queue.budget import Disk
from tests.support.agent import directory
from tests.support.mounts import mount, private_mounts
from tests.support.users import ROOT, SENDER

GB = 10**9
SELF = Service(os.geteuid(), os.getegid())


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Every user may pass through what is above it."""
    with directory() as path:
        yield path


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    """Those of an agent that is laid out as it should be."""
    settings = Config({"data_dir": str(tmp_path / "lib"), "log_dir": str(tmp_path / "log")})
    for name, mode in (
        ("lib", 0o755),
        ("lib/outqueue", 0o755),
        ("lib/outqueue/tmp", 0o3733),
        ("lib/outqueue/pdq", 0o3733),
        ("lib/outqueue/jobs", 0o3733),
        ("lib/outqueue/suc", 0o2750),
        ("lib/outqueue/err", 0o2750),
        ("lib/outqueue/expect", 0o3733),
        ("lib/outqueue/expected", 0o2750),
        ("lib/db", 0o755),
        ("log", 0o755),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    return settings


def only(settings: Config) -> Finding:
    [finding] = directories(settings, SELF)
    return finding


def test_as_installed(settings: Config) -> None:
    """Directories with the modes that the package gives them are fine. Nothing stays of what was
    tried."""
    assert only(settings).level is Level.OK
    assert os.listdir(f"{settings.spool_dir}/tmp") == []


@pytest.mark.parametrize(
    ("name", "mode", "level", "says"),
    [
        ("pdq", 0o2755, Level.FAILED, "not every user can send"),
        ("tmp", 0o1733, Level.FAILED, "can't read what users add"),
        ("pdq", 0o2733, Level.WARNING, "remove each other's"),
        ("tmp", 0o3777, Level.WARNING, "whose events are there"),
        ("err", 0o2755, Level.WARNING, "others can look"),
    ],
)
def test_modes(settings: Config, name: str, mode: int, level: Level, says: str) -> None:
    """A wrong mode is named with what it allows or forbids, and the repair puts it right."""
    path = Path(settings.spool_dir) / name
    path.chmod(mode)
    bad = only(settings)
    assert (bad.level, says in bad.text) == (level, True)
    assert bad.remedy == "sudo pdagent check --repair"
    assert [found.level for found in repaired("/none", settings, SELF)] == [Level.OK]
    assert only(settings).level is Level.OK


@pytest.mark.parametrize("name", ["jobs", "expect", "expected"])
def test_without_what_events_do_not_need(settings: Config, name: str) -> None:
    """A warning: pages go out. The repair makes it."""
    path = Path(settings.spool_dir) / name
    path.rmdir()
    missing = only(settings)
    assert (missing.level, missing.text) == (Level.WARNING, f"{path} does not exist")
    [made] = repaired("/none", settings, SELF)
    assert made.level is Level.OK
    assert only(settings).level is Level.OK


def test_groups(settings: Config) -> None:
    """Of another group the daemon can't read what users add; the remedy named puts it right."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    path = Path(settings.spool_dir) / "pdq"
    os.chown(path, -1, 12345)
    bad = only(settings)
    assert (bad.level, "can't read what users add" in bad.text) == (Level.FAILED, True)
    assert bad.remedy == "sudo pdagent check --repair"
    list(repaired("/none", settings, SELF))
    assert only(settings).level is Level.OK


def test_through_a_link(settings: Config, tmp_path: Path) -> None:
    """Directories that were moved to a larger disk are as good."""
    (tmp_path / "log").rmdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "log").symlink_to("disk")
    assert only(settings).level is Level.OK


def test_what_is_above(settings: Config, tmp_path: Path) -> None:
    """Where users can't pass through a directory above the agent's, or above what a link leads to,
    they can't send through the queue."""
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o750)
    (tmp_path / "lib").rename(hidden / "lib")
    (tmp_path / "lib").symlink_to(hidden / "lib")
    finding = only(settings)
    assert finding.level is Level.WARNING
    assert finding.text.startswith(f"{hidden} has mode 750: not every user can send")
    assert finding.remedy == f"chmod a+x {hidden}"
    hidden.chmod(0o711)
    assert only(settings).level is Level.OK
    tmp_path.chmod(0o700)
    assert only(settings).remedy == f"chmod a+x {tmp_path}"


@pytest.mark.skipif(not ROOT, reason="another owner takes root")
def test_data_of_another_number(settings: Config) -> None:
    """The user was removed and made anew, say, and the daemon may not lock what was the agent's."""
    lock = f"{settings.data_dir}/db/daemon.lock"
    Path(lock).touch()
    assert only(settings).level is Level.OK
    os.chown(lock, SENDER.uid, -1)
    finding = only(settings)
    assert finding.level is Level.FAILED
    assert finding.text.startswith(f"{lock} is not the agent's: its owner is user {SENDER.uid}")
    list(repaired("/none", settings, SELF))
    assert only(settings).level is Level.OK


def test_who_may_wake_the_daemon(settings: Config) -> None:
    """Where users can't write to its FIFO, their events wait for its next look at the queue."""
    fifo = f"{settings.data_dir}/db/wake"
    os.mkfifo(fifo)
    os.chmod(fifo, 0o620)
    finding = only(settings)
    assert finding.level is Level.WARNING
    assert finding.text.startswith(f"{fifo} has mode 620: not every user wakes the daemon")
    assert finding.text.endswith("up to 10 s late")
    os.chmod(fifo, 0o622)
    assert only(settings).level is Level.OK


@pytest.mark.skipif(not ROOT, reason="mounts a disk")
@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("name", "says"), [("tmp", "tmp and {}/pdq"), ("suc", "pdq and {}/suc"), ("err", "and {}/err")]
)
def test_a_mount_within_the_queue(settings: Config, name: str, says: str) -> None:
    """Also one of the same file system: no event gets in, or is sent again at each start."""
    path = f"{settings.spool_dir}/{name}"
    with private_mounts():
        mount("--bind", path, path)
        bad = only(settings)
    assert bad.level is Level.FAILED
    assert f"{says} are two mounts".format(settings.spool_dir) in bad.text
    assert os.listdir(path) == []


def test_a_queue_in_memory(settings: Config) -> None:
    """What `pd-send` writes there lasts as long as the host is up."""
    with private_mounts():
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", settings.spool_dir)
        list(repaired("/none", settings, SELF))
        bad = only(settings)
    assert bad.level is Level.WARNING
    assert bad.text.startswith(f"{settings.spool_dir} is in memory (tmpfs): events that wait ")


def test_missing(settings: Config) -> None:
    """What is not there is named; a file in a directory's place as well."""
    os.rmdir(f"{settings.spool_dir}/suc")
    assert f"{settings.spool_dir}/suc does not exist" in only(settings).text
    Path(f"{settings.spool_dir}/suc").touch()
    assert "is not a directory" in only(settings).text


def test_a_device_is_never_to_be_removed(settings: Config) -> None:
    """`log_dir = /dev/null` is a way to have no log, and the host needs its /dev/null."""
    settings.log_dir = "/dev/null"
    found = only(settings)
    assert found.text == "/dev/null is not a directory"
    assert "rm " not in found.remedy


def test_nothing_at_all(tmp_path: Path) -> None:
    """An agent that was never installed is one finding, not seven."""
    assert only(Config({"data_dir": str(tmp_path / "none")})).level is Level.FAILED


@pytest.mark.parametrize(
    ("space", "level", "says"),
    [
        (Disk(50 * GB, 100 * GB, 10**6, 10**7), Level.OK, "50.0 GB free of 100.0 GB"),
        (Disk(50 * GB, 100 * GB, 0, 0), Level.OK, "50.0 GB free of 100.0 GB"),
        (Disk(10**7, 100 * GB, 10**6, 10**7), Level.WARNING, "nearly full: 10 MB"),
        (Disk(50 * GB, 100 * GB, 10**5, 10**7), Level.WARNING, "100,000 inodes of 10,000,000"),
        (Disk(1000, 100 * GB, 10**6, 10**7), Level.FAILED, "full: 1 kB free"),
        (Disk(50 * GB, 100 * GB, 7, 10**7), Level.FAILED, "7 inodes"),
    ],
)
def test_disk(settings: Config, space: Disk, level: Level, says: str) -> None:
    """Bytes and inodes, either of which can run out. btrfs has no fixed number of inodes."""
    [finding] = disk(settings, lambda _: space)
    assert finding.level is level
    assert says in finding.text
