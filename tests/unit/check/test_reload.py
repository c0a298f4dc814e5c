"""A reload is over when the daemon says so; whose answer is whose, and what if there is none."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pdagent import exits
from pdagent.check.host import ANSWER_SECONDS, Host
from pdagent.check.reload import NotReloaded, reload
from pdagent.config import Config
from pdagent.queue.condition import Condition, Trouble, path_of

PID = 4711
REFUSED = Trouble("rejected", "/conf", "/conf, line 2: Bad listen", 0.0)


class Place:
    """A daemon as `reload` sees it: its process, its lock and its condition; and a clock."""

    def __init__(self, root: Path) -> None:
        self.now = 100.0
        self.signals: list[tuple[int, int]] = []
        self.settings = Config({"data_dir": f"{root}/lib", "run_dir": f"{root}/run"})
        (root / f"proc/{PID}").mkdir(parents=True)
        (root / f"proc/{PID}/cmdline").write_bytes(b"pdagentd\0-f\0")
        for name in ("lib/db", "run"):
            (root / name).mkdir(parents=True)
        (root / "lib/db/daemon.lock").write_text(f"{PID}\n")
        self.condition = Condition(PID, 99.0)
        self.host = Host(str(root), monotonic=lambda: self.now, sleep=self._sleep)
        self.later: Callable[[], None] = lambda: None

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self.later()

    def tells(self, reloaded: float | None, *troubles: Trouble) -> None:
        told = replace(self.condition, told=self.now, reloaded=reloaded, troubles=troubles)
        Path(path_of(self.settings)).write_text(told.dumps())

    def reload(self) -> list[str]:
        return reload(
            self.settings, self.host, lambda pid, number: self.signals.append((pid, number))
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_answer_to_its_own_signal_counts(place: Place) -> None:
    """An earlier reload was refused, and the daemon tells that while it reads again."""
    place.tells(99.0, REFUSED)
    place.later = lambda: place.tells(*((100.5,) if place.now > 101 else (99.0, REFUSED)))
    place.reload()
    assert [pid for pid, _ in place.signals] == [PID]
    assert place.now > 101


def test_what_the_daemon_refuses(place: Place) -> None:
    """The reason names file and line, and what goes on."""
    place.tells(None)
    place.later = lambda: place.tells(100.0, REFUSED)
    with pytest.raises(NotReloaded) as caught:
        place.reload()
    assert caught.value.code == exits.BAD_CONFIG
    assert str(caught.value) == (
        "the new configuration was not taken up: /conf, line 2: Bad listen. pdagentd goes on with "
        "the old one."
    )


def test_other_troubles_are_none_of_a_reloads(place: Place) -> None:
    """A full disk says nothing of the configuration."""
    place.later = lambda: place.tells(100.0, Trouble("disk", "/", "no space left", 0.0))
    assert place.reload() == []


def test_what_is_not_in_use_all_the_same(place: Place) -> None:
    """A closed endpoint, and what needs a restart."""
    place.condition = replace(place.condition, outdated=("listen",))
    place.later = lambda: place.tells(100.0, Trouble("endpoint", "/conf", "no TLS", 0.0))
    assert place.reload() == [
        "the local Events API is closed: no TLS",
        "a new listen is not in use until a restart: service pdagent restart",
    ]


def test_no_answer(place: Place) -> None:
    """A daemon that hangs, or can't write: it fails in the end, and says where to look."""
    place.tells(None)
    with pytest.raises(NotReloaded, match="see its log in /var/log/pdagent") as caught:
        place.reload()
    assert caught.value.code == exits.TRY_AGAIN
    assert place.now >= 100 + ANSWER_SECONDS


def test_nobody_there(place: Place, tmp_path: Path) -> None:
    """Then nobody is signalled, whatever process has the number by now."""
    (tmp_path / f"proc/{PID}/cmdline").write_bytes(b"sleep\0")
    with pytest.raises(NotReloaded, match="does not run") as caught:
        place.reload()
    assert caught.value.code == exits.TRY_AGAIN
    assert place.signals == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a process of somebody else's")
def test_a_process_of_somebody_elses(place: Place, tmp_path: Path) -> None:
    """User pdagent writes the lock: root must not be led to signal others."""
    os.chown(tmp_path / f"proc/{PID}", 64_003, 64_003)
    with pytest.raises(NotReloaded) as caught:
        place.reload()
    assert caught.value.code == exits.NOT_PERMITTED
    assert place.signals == []
