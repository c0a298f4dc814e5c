"""The repair after an accident with chown or chmod: it mends, and follows nobody."""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pdagent.check.finding import Level
from pdagent.check.inside import Service
from pdagent.check.repair import repaired
from pdagent.config import Config
from tests.support.agent import Agent, directory
from tests.support.users import AGENT, ROOT, SENDER, STRANGER

pytestmark = pytest.mark.skipif(not ROOT, reason="needs root: several users")

SERVICE = Service(AGENT.uid, AGENT.gid)
Modes = dict[str, tuple[int, int, int]]


@pytest.fixture
def place() -> Iterator["Place"]:
    with directory() as root:
        yield Place(root)


class Place:
    """An agent's directories with a file of each kind, and an event of a sender's."""

    def __init__(self, root: Path) -> None:
        self.agent = Agent(root, "http://127.0.0.1:1")
        self.root = root
        self.data_dir = self.agent.data_dir
        self.settings = Config({"data_dir": str(self.data_dir), "log_dir": str(root / "log")})
        self.agent.own(self.data_dir / "db")
        for above in (self.data_dir, self.data_dir / "outqueue"):  # as the package has it
            os.chown(above, 0, 0)
        for name, mode in {
            "lib/db/aggregates": 0o640,
            "lib/db/daemon.lock": 0o640,
            "lib/db/agent_id.txt": 0o644,
            "lib/outqueue/suc/1_KEY.txt": 0o640,
            "log/pdagentd.log": 0o640,
        }.items():
            (root / name).touch()
            (root / name).chmod(mode)
            os.chown(root / name, AGENT.uid, AGENT.gid)
        os.mkfifo(self.data_dir / "db/wake")
        (self.data_dir / "db/wake").chmod(0o622)
        os.chown(self.data_dir / "db/wake", AGENT.uid, AGENT.gid)
        self.event = self.agent.drop("2_KEY.txt", b"{}")
        self.event.chmod(0o640)
        self.agent.conf.chmod(0o644)

    def repair(self) -> list[str]:
        """What was refused; all else must be said to be changed."""
        found = list(repaired(str(self.agent.conf), self.settings, SERVICE))
        return [each.text for each in found if each.level is not Level.OK]

    def modes(self) -> Modes:
        found = {}
        for path in [self.data_dir, self.root / "log", *self.root.rglob("*")]:
            status = path.lstat()
            mode = stat.S_IMODE(status.st_mode)
            found[str(path)] = (mode, status.st_uid, status.st_gid)
        return found


def chown_to_root(place: Place) -> None:
    for path in [*place.data_dir.rglob("*"), place.root / "log", *(place.root / "log").iterdir()]:
        os.chown(path, 0, 0)


def chmod_all(mode: int) -> Callable[[Place], None]:
    def accident(place: Place) -> None:
        for path in [*place.data_dir.rglob("*"), place.root / "log"]:
            path.chmod(mode)

    return accident


def close_data(place: Place) -> None:
    for path in place.data_dir.rglob("*"):
        path.chmod(0o700)


def locked_out(place: Place) -> None:
    place.agent.conf.chmod(0o600)


@pytest.mark.parametrize(
    "accident",
    [chown_to_root, chmod_all(0o777), chmod_all(0o755), chmod_all(0), close_data, locked_out],
    ids=[
        "chown -R root",
        "chmod -R 777",
        "chmod -R 755",
        "chmod -R 0",
        "chmod -R 700",
        "conf 0600",
    ],
)
def test_accidents(place: Place, accident: Callable[[Place], None]) -> None:
    """All owners and modes are right again after one repair, and a second one changes nothing."""
    before = place.modes()
    accident(place)
    assert place.modes() != before
    assert place.repair() == []
    after = place.modes()
    for path, (mode, uid, gid) in before.items():
        if path.endswith("_KEY.txt"):  # may be its sender's or root's: the agent reads it by group
            assert after[path][0] & 0o440 == 0o440
            assert after[path][2] == AGENT.gid
        else:
            assert after[path] == (mode, uid, gid), path
    assert place.repair() == []
    assert place.modes() == after


def test_secrets_stay_secrets(place: Place) -> None:
    """A configuration with keys in it is opened to the service alone."""
    place.settings.keys = {"db": "KEY"}
    place.agent.conf.chmod(0o600)
    assert place.repair() == []
    assert place.modes()[str(place.agent.conf)] == (0o640, 0, AGENT.gid)


def test_what_is_missing_is_made(place: Place) -> None:
    before = place.modes()
    (place.data_dir / "outqueue/err").rmdir()
    (place.data_dir / "outqueue/tmp").rmdir()
    assert place.repair() == []
    assert place.modes() == before


@pytest.mark.parametrize("name", ["db", "outqueue/suc", "outqueue/pdq"])
def test_links_are_not_followed(place: Place, name: str) -> None:
    """User pdagent puts a link to somebody else's directory in a directory's place."""
    victim = place.root / "victim"
    victim.mkdir(mode=0o700)
    (victim / "secret").touch(0o600)
    path = place.data_dir / name
    path.rename(place.root / "away")
    path.symlink_to(victim)
    os.lchown(path, AGENT.uid, AGENT.gid)
    os.chown(place.data_dir, AGENT.uid, AGENT.gid)
    before = {path: path.lstat() for path in (victim, victim / "secret")}
    assert any(str(path) in text and "left alone" in text for text in place.repair())
    assert {path: path.lstat() for path in before} == before


def test_roots_links_are_followed(place: Place) -> None:
    """An administrator moved the log to a larger disk."""
    (place.root / "disk").mkdir(mode=0o777)
    log = place.root / "log"
    (log / "pdagentd.log").unlink()
    log.rmdir()
    log.symlink_to("disk")
    place.root.chmod(0o755)
    os.chown(place.root, 0, 0)
    place.settings.log_dir = str(log)
    # below /tmp, which anybody writes into, only what root's own directory holds is trusted
    assert place.repair() == []
    assert (place.root / "disk").stat().st_uid == AGENT.uid


@pytest.mark.parametrize("name", ["db", "outqueue/suc", "outqueue/pdq"])
def test_other_names_are_left_alone(place: Place, name: str) -> None:
    """A file of somebody else's, hard-linked into the agent's directories, stays theirs."""
    secret = place.root / "secret"
    secret.touch(0o600)
    os.chown(secret, STRANGER.uid, STRANGER.gid)
    os.link(secret, place.data_dir / name / "3_KEY.txt")
    before = secret.stat()
    assert [text.partition(" was left alone")[0] for text in place.repair()] == [
        str(place.data_dir / name / "3_*")
    ]
    assert secret.stat() == before


def test_many_are_left_alone(place: Place) -> None:
    """Anyone may leave as many in the queue as there are inodes: some are named, the rest
    counted."""
    for number in range(30):
        file = place.agent.spool / "pdq" / f"{number}_K.txt"
        file.touch(mode=0o600)
        os.link(file, place.root / f"other{number}")
    *named, last = place.repair()
    assert len(named) == 20
    assert last == "10 more were left alone"


@pytest.mark.parametrize(
    "name", ["lib/outqueue/pdq", "lib/db/reasons", "lib/db/aggregates", "pdagent.conf"]
)
def test_what_cannot_be_changed(place: Place, name: str) -> None:
    """It is named, with what to do, and all else is put right."""
    (place.data_dir / "db/reasons").mkdir()
    path, other = place.root / name, place.root / "lib/outqueue/err"
    os.chown(path, 0, 0)
    path.chmod(0o600)
    other.chmod(0o700)
    if subprocess.run(["chattr", "+i", path], check=False).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        [refused] = place.repair()
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    assert refused == f"{path} was left alone: Operation not permitted"
    assert stat.S_IMODE(other.stat().st_mode) == 0o2750
    assert place.repair() == []


@pytest.mark.parametrize("seal", ["i", "a"])
def test_a_directory_that_is_sealed(place: Place, seal: str) -> None:
    """It is named, though its owner and mode are right: nothing gets out of it."""
    path = place.root / "lib/outqueue/suc"
    if subprocess.run(["chattr", f"+{seal}", path], check=False).returncode:
        pytest.skip("this file system has no such attributes")
    try:
        [refused] = place.repair()
    finally:
        subprocess.run(["chattr", f"-{seal}", path], check=True)
    assert refused == f"{path} was left alone: its attributes forbid changes"
    assert place.repair() == []


def test_what_others_share_stays_theirs(place: Place) -> None:
    """With log_dir = /var/log the directory and its files are not the agent's, and /tmp is nobody's
    own. Nothing there changes."""
    (place.root / "log/auth.log").touch(0o600)
    chown_to_root(place)
    place.data_dir.chmod(0o1777)
    before = place.modes()
    refused = place.repair()
    assert [each for each in refused if "/log was left alone: it holds other files" in each]
    assert [each for each in refused if "/lib was left alone: it is everybody's" in each]
    after = place.modes()
    for name in ("log", "log/auth.log", "log/pdagentd.log", "lib"):
        assert after[str(place.root / name)] == before[str(place.root / name)]


def test_what_lies_in_the_way(place: Place) -> None:
    """A FIFO in the place of the lock, a file in that of the FIFO: removed, without waiting."""
    db = place.data_dir / "db"
    (db / "daemon.lock").unlink()
    os.mkfifo(db / "daemon.lock")
    (db / "wake").unlink()
    (db / "wake").touch()
    assert place.repair() == []
    assert not (db / "daemon.lock").exists()
    assert not (db / "wake").exists()


def test_a_stranger_in_the_queue(place: Place) -> None:
    """What others put there, a directory or a FIFO, is theirs and stays as it is."""
    odd = place.data_dir / "outqueue/pdq/odd"
    odd.mkdir(mode=0o700)
    os.chown(odd, SENDER.uid, SENDER.gid)
    before = odd.stat().st_uid, odd.stat().st_mode
    assert place.repair() == []
    assert (odd.stat().st_uid, odd.stat().st_mode) == before
