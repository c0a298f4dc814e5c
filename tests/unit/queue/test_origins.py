"""How many events of each sender are pending, also after a restart, and whoever removes them."""

import errno
import os
from pathlib import Path

import pytest

from pdagent.queue import origins as module
from pdagent.queue.origins import ATTRIBUTE, RECOUNT_SECONDS, Origins, SenderSpool
from pdagent.spool import Spool, SpoolError
from tests.support.events import KEY

US = os.geteuid()


class Clock:
    """A time that only the test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def put(root: Path, origins: Origins, sender: str) -> str:
    return SenderSpool(str(root), origins, sender).enqueue(KEY, b"{}")


def test_events_of_each_sender(root: Path) -> None:
    """They count from their acceptance until they are pending no more; one that nobody knows, or
    that is removed twice, changes nothing."""
    origins = Origins(str(root))
    first, second = put(root, origins, "web1"), put(root, origins, "web1")
    put(root, origins, "db1")
    assert origins.numbers() == {"web1": 2, "db1": 1}
    for name in (first, first, "1_K.txt"):
        origins.remove(name)
    origins.remove(second)
    assert origins.numbers() == {"db1": 1}


def test_one_name_for_one_event(root: Path) -> None:
    """Two senders in the same microsecond, to the same key, and a file that nobody has counted."""
    origins = Origins(str(root))
    Spool(str(root), lambda: 5_000_000).enqueue(KEY, b"{}")
    names = []
    for sender in ("web1", "db1"):
        spool = SenderSpool(str(root), origins, sender)
        spool.clock_ns = lambda: 5_000_000
        names.append(spool.enqueue(KEY, b"{}").partition("_")[0])
    assert names == [f"{5001:016}", f"{5002:016}"]
    assert origins.numbers() == {"web1": 1, "db1": 1}


def test_after_a_restart(root: Path) -> None:
    """They count as before. What others have written counts for nobody, whatever they wrote."""
    before = Origins(str(root))
    names = [put(root, before, sender) for sender in ("web1", "web1", "é")]
    names.append(Spool(str(root)).enqueue(KEY, b"{}"))
    after = Origins(str(root))
    owners = [owner for _, owner in after.owned([(name, US) for name in [*names, "1_gone.txt"]])]
    assert after.numbers() == {"web1": 2, "é": 1}
    assert owners[0] == owners[1] < 0
    assert owners[2] < 0
    assert owners[3:] == [US, US]
    stranger = Origins(str(root))
    assert stranger.owned([(name, US + 1) for name in names]) == [(name, US + 1) for name in names]
    assert stranger.numbers() == {}


def test_where_there_are_no_attributes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event is accepted, and counts until the restart."""

    def none(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(os, "setxattr", none)
    origins = Origins(str(root))
    name = put(root, origins, "web1")
    assert origins.numbers() == {"web1": 1}
    assert ATTRIBUTE not in os.listxattr(root / "pdq" / name)


def test_one_that_is_not_accepted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts for nobody, wherever it failed."""
    origins = Origins(str(root))

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(SenderSpool, "_sync_link", fails)
        with pytest.raises(SpoolError):
            put(root, origins, "web1")
    (root / "pdq").rmdir()
    with pytest.raises(SpoolError):
        put(root, origins, "web1")
    assert origins.numbers() == {}


def test_the_bound(root: Path) -> None:
    """Is told from what is really there: files may be gone without a word. They are looked for
    when it matters, and not at each request."""
    clock = Clock()
    origins = Origins(str(root), clock)
    names = [put(root, origins, "web1") for _ in range(3)]
    assert not origins.is_full("web1", 4)
    assert origins.is_full("web1", 3)
    os.unlink(root / "pdq" / names[0])
    assert origins.is_full("web1", 3)
    clock.now += RECOUNT_SECONDS
    assert not origins.is_full("web1", 3)
    assert origins.number("web1") == 2


def test_a_name_without_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is cut."""
    monkeypatch.setattr(module, "SENDER_BYTES", 8)
    name = put(root, Origins(str(root)), "x" * 100)
    assert os.getxattr(root / "pdq" / name, ATTRIBUTE) == b"x" * 8
