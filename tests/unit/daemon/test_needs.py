"""What the service needs and can't have is named, by kind, path and cause."""

from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.daemon.needs import KINDS, Need, unmet
from pdagent.queue.layout import lock_file, make_directories
from pdagent.serve.health import spool_problem
from tests.support.faults import mounted
from tests.support.mounts import private_mounts
from tests.support.users import ROOT
from tests.support.volume import Volume

MISSING = "No such file or directory"


class Host:
    """A configuration, a spool and a log."""

    def __init__(self, root: Path) -> None:
        self.root = root.parent
        self.conf = self.root / "pdagent.conf"
        self.conf.write_text("[Main]\n")
        (self.root / "db").mkdir()
        (self.root / "log").mkdir()

    def unmet(self, environment: dict[str, str] | None = None, **settings: str) -> list[Need]:
        config = Config({"data_dir": str(self.root), "log_dir": f"{self.root}/log", **settings})
        found = list(unmet(str(self.conf), config, environment or {}))
        assert {kind for kind, _, _ in found} <= {*KINDS}
        return found


@pytest.fixture
def host(root: Path) -> Host:
    return Host(root)


def test_nothing_is_amiss(host: Host) -> None:
    """Where all is there, nothing is said; what is not set is not needed."""
    assert host.unmet() == []


def test_files_that_are_not_there(host: Host) -> None:
    """The configuration, the file of keys, the authorities, wherever these are named."""
    host.conf.unlink()
    assert host.unmet(keys_file="/none/keys", ca_file="/none/ca") == [
        ("configuration", str(host.conf), MISSING),
        ("keys", "/none/keys", MISSING),
        ("authorities", "/none/ca", MISSING),
    ]
    host.conf.write_text("[Main]\n")
    assert host.unmet({"SSL_CERT_FILE": "/none/env"}) == [("authorities", "/none/env", MISSING)]


@pytest.mark.parametrize("place", ["outqueue/tmp", "outqueue/pdq", "outqueue/suc", "db"])
def test_a_directory_that_is_not_there(host: Host, place: str) -> None:
    """Each that an event passes through, and db/."""
    (host.root / place).rmdir()
    assert host.unmet() == [("queue", f"{host.root}/{place}", "No such directory")]


def test_the_reasons_of_events_in_error(host: Host) -> None:
    """Need not be there. What is in their place, and is no directory, takes none."""
    (host.root / "db/reasons").touch()
    assert host.unmet() == [("queue", f"{host.root}/db/reasons", "No such directory")]
    (host.root / "db/reasons").unlink()
    (host.root / "db/reasons").mkdir()
    assert host.unmet() == []


def test_the_directory_of_the_log(host: Host) -> None:
    """Only before there is a log."""
    (host.root / "log").rmdir()
    log = f"{host.root}/log/pdagentd.log"
    assert host.unmet() == [("log", log, "No such directory")]


@pytest.mark.skipif(not ROOT, reason="mounts a disk")
@pytest.mark.needs_root
def test_a_full_disk_is_named_once(root: Path, tmp_path: Path) -> None:
    """However many directories are on it."""
    spool = tmp_path / "disk"
    spool.mkdir()
    with mounted(spool, "size=512k"):
        data = spool / "data"
        config = Config({"data_dir": str(data), "log_dir": f"{data}/log"})
        make_directories(config)
        (data / "log").mkdir()
        conf = tmp_path / "pdagent.conf"
        conf.write_text("[Main]\n")
        assert list(unmet(str(conf), config, {})) == [("disk", f"{data}/outqueue", "no space left")]


@pytest.mark.skipif(not ROOT, reason="mounts a disk")
@pytest.mark.needs_root
def test_a_disk_that_takes_no_changes(tmp_path: Path) -> None:
    """An ext4 that is read-only since an error, though access(2) may still say that it is not:
    `Read-only file system`, once, and the same for the log on it. So says the endpoint of health.
    """
    data = tmp_path / "disk"
    data.mkdir()
    with private_mounts():
        volume = Volume("ext4", tmp_path / "image", data)
        config = Config({"data_dir": str(data), "log_dir": str(data)})
        make_directories(config)
        Path(lock_file(config.spool_dir)).touch()
        log = data / "pdagentd.log"
        log.touch()
        conf = tmp_path / "pdagent.conf"
        conf.write_text("[Main]\n")
        assert list(unmet(str(conf), config, {})) == []
        volume.fail()
        why = "Read-only file system"
        expected = [("queue", config.spool_dir, why), ("log", str(log), why)]
        assert list(unmet(str(conf), config, {})) == expected
        assert spool_problem(config.spool_dir) == f"{config.spool_dir}: {why}"
