"""Sabotage: faults put into the agent on purpose, each of which a seed has to find. A simulation
that finds none of them would find nobody else's either."""

import contextlib
import os
import posix
from collections.abc import Iterator
from typing import Any
from unittest import mock

from pdagent import spool
from pdagent.daemon import handling, path, services, workers
from pdagent.daemon.handling import Taken
from pdagent.event import encode
from pdagent.queue import backlog, expected, layout, marks, overtaking, pending, settlement, state
from pdagent.queue.backlog import Backlog
from pdagent.spool import DELIVERED
from pdagent.wire import adapter, answer, connections, delivery


def _do_nothing(self: object, *_: object) -> None:
    pass


def _write_unsynced(fd: int, body: bytes) -> None:
    rest = memoryview(body)
    while rest:
        rest = rest[posix.write(fd, rest) :]


def _write_once(fd: int, body: bytes) -> None:
    posix.write(fd, body)
    posix.fsync(fd)


def _write_in_hope(fd: int, body: bytes) -> None:
    _write_unsynced(fd, body)
    with contextlib.suppress(OSError):
        posix.fsync(fd)


def _unlink_then_link(self: Backlog, name: str, source: str, target: str) -> str:
    old, new = f"{self.root}/{source}/{name}", f"{self.root}/{target}/{name}"
    fd = os.open(old, os.O_RDONLY)
    data = os.read(fd, 1 << 20)
    os.close(fd)
    os.unlink(old)
    fd = os.open(new, os.O_CREAT | os.O_WRONLY)
    os.write(fd, data)
    os.close(fd)
    return name


def _move_then_tell(self: Any, name: str) -> None:
    self._move(name, DELIVERED)
    self._backlog.tell(name)


_send = handling.Handling._send


def _settle_then_send(self: Any, entry: Any, *rest: Any) -> None:
    self._settlement.delivered(entry.name)
    _send(self, entry, *rest)


_end = handling.Handling._end


def _forget_then_settle(self: Any, entry: Any, ending: Any) -> None:
    if not isinstance(ending, Taken):
        _end(self, entry, ending)
        return
    with self._lock:
        self._scheduler.forget(entry)
    self._settlement.delivered(entry.name)


def _share(self: Any) -> Any:
    return self._idle[-1] if self._idle else None


_understand = pending.understand


def _reworded(name: str, data: bytes, fitting: bool = False) -> Any:
    return _understand(name, data.replace(b'", "', b'","'), fitting)


def _again(found: Any) -> bytes:
    return encode(found.trigger)


_remark = expected.Expected._remark


def _mark_once_it_is_paged(self: Any, identity: str, mark: str) -> None:
    if not mark.startswith(marks.LAPSING):
        _remark(self, identity, mark)


class _Anything:
    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def _open_without_lock(_: layout.Lock, path: str, flags: int) -> int:
    return os.open(path, flags)


# What is broken, and how: pairs of a place and its new contents.
FAULTS: dict[str, list[Any]] = {
    "an event is not synced": [mock.patch.object(spool, "_write", _write_unsynced)],
    "a short write goes unnoticed": [mock.patch.object(spool, "_write", _write_once)],
    "a failed fsync goes unnoticed": [mock.patch.object(spool, "_write", _write_in_hope)],
    "a link is not synced": [mock.patch.object(spool.Spool, "_sync_link", _do_nothing)],
    "unlinked, then linked": [mock.patch.object(Backlog, "_move", _unlink_then_link)],
    "settled before the answer": [mock.patch.object(handling.Handling, "_send", _settle_then_send)],
    "forgotten before it is moved": [
        mock.patch.object(handling.Handling, "_end", _forget_then_settle)
    ],
    "told after the move": [mock.patch.object(settlement.Settlement, "delivered", _move_then_tell)],
    "overtaking is not looked for": [
        mock.patch.object(overtaking.Overtaking, "by", return_value=None)
    ],
    "a reason is not kept": [mock.patch.object(state.State, "keep_reason", return_value=True)],
    "a purge is not synced": [mock.patch.object(Backlog, "sync", _do_nothing)],
    "incidents are not told apart": [mock.patch.object(pending, "chain_of", lambda _, name: name)],
    "a body is written anew": [mock.patch.object(backlog, "understand", _reworded)],
    "two share a connection": [mock.patch.object(adapter.Adapter, "_kept", _share)],
    "an answer is read twice": [
        mock.patch.object(connections.Connection, "silent", return_value=True),
        mock.patch.object(answer.Reader, "has_more", False),
        mock.patch.object(delivery, "named", return_value=_Anything()),
    ],
    "nobody is called": [mock.patch.object(workers.Workers, "_call_worker", _do_nothing)],
    "a renewal resolves nothing": [mock.patch.object(expected, "resolve", _again)],
    "a lapse is not marked first": [
        mock.patch.object(expected.Expected, "_remark", _mark_once_it_is_paged)
    ],
    "threads import at once": [
        mock.patch.object(module, "importing", contextlib.nullcontext())
        for module in (path, services)
    ],
    "the spool's lock is not taken": [
        mock.patch.object(layout.Lock, "_locked", _open_without_lock)
    ],
}


@contextlib.contextmanager
def sabotaged(fault: str) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for patch in FAULTS[fault]:
            stack.enter_context(patch)
        yield
