"""Waiting for an event: how a sender who may neither list the spool nor look into `suc/` and `err/`
hears what became of its event.

The sender makes a FIFO in `tmp/`, beside the event and named after it, that the agent's group may
write to. The daemon, about to settle an event, writes one line to its FIFO if there is one. What
makes that safe, whoever dies when:

- The FIFO is there, and open, before link(2) shows the event to the daemon. So the daemon tells
  nothing before somebody can hear it.
- The daemon tells before it renames. So an event that is not in `pdq/` any more and was not told of
  did not leave through the daemon: a person removed it.
- The daemon dies between PagerDuty's answer and telling: the event is still in `pdq/`, the next
  daemon sends it again, which to PagerDuty is the same event, and tells then.
- It dies between telling and the rename: that was the truth already. Only of a refusal the next
  daemon may find that PagerDuty has changed its mind.
- The sender dies: nobody has the FIFO open, so opening it to write fails at once, and clean-up
  removes it with all that died in `tmp/`.
"""

import contextlib
import os
import select
import time

from pdagent.spool import TEMPORARY, Spool, poke

# How often to look whether a person removed the event. An answer of the daemon wakes us at once.
LOOK_SECONDS = 10.0
_LINE_BYTES = 4096  # PIPE_BUF: written whole or not at all
_DELIVERED = "delivered"
_IN_ERROR = "in error: "


class Removed(Exception):
    """The event is not in the queue any more, and the daemon did not settle it."""


def tell(root: str, name: str, problem: str = "") -> None:
    """Tells the sender of an event, if it waits: delivered, or in error because of `problem`."""
    line = _IN_ERROR + problem if problem else _DELIVERED
    poke(_fifo(root, name), line.encode("utf-8", "replace")[: _LINE_BYTES - 1] + b"\n")


def _fifo(root: str, name: str) -> str:
    return f"{root}/{TEMPORARY}/{name}.wait"


class WaitingSpool(Spool):
    """A spool for a sender who enqueues one event and then waits for it."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._pending = self._path = ""
        self._fd = -1
        self.heard = False  # whether a daemon runs

    @property
    def waits(self) -> bool:
        """Whether an event is in the queue and can be waited for."""
        return bool(self._path)

    def enqueue(self, key: str, body: bytes) -> str:
        try:
            return super().enqueue(key, body)
        except BaseException:
            self.close()  # the event is not in the queue
            raise

    def wake(self, name: str) -> bool:
        self.heard = super().wake(name)
        return self.heard

    def _name(self, temporary: str, pending: str) -> None:
        path = _fifo(self.root, os.path.basename(pending))
        os.mkfifo(path, 0o620)  # FileExistsError: a stranger's; the next microsecond will do
        self._pending, self._path = pending, path
        os.chmod(path, 0o620)  # whatever the umask took away
        # It is opened for writing too. Otherwise poll would report a hang-up for ever once the
        # daemon has written its line and closed the FIFO.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            super()._name(temporary, pending)
        except FileExistsError:
            self.close()  # the next name has a FIFO of its own
            raise

    def wait(self, seconds: float) -> str | None:
        """Waits for the event, `seconds` at most. Returns "" once PagerDuty has it, the reason
        once it is in error, None if neither happened. Raises Removed."""
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while True:
            # The order matters: the daemon tells of the event before it moves it.
            is_pending = os.path.lexists(self._pending)
            line = self._read()
            if line is not None:
                return "" if line == _DELIVERED else line.removeprefix(_IN_ERROR)
            if not is_pending:
                raise Removed
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            poll.poll(min(left, LOOK_SECONDS) * 1000 + 1)
            with contextlib.suppress(OSError):
                os.utime(self._fd)  # clean-up removes what has not changed in tmp/ for long

    def _read(self) -> str | None:
        try:
            data = os.read(self._fd, _LINE_BYTES)
        except BlockingIOError:
            return None
        return data.decode("utf-8", "replace").partition("\n")[0]

    def close(self) -> None:
        """Ends the waiting. The event goes its way all the same."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._path:
            with contextlib.suppress(FileNotFoundError):  # somebody has emptied tmp/
                os.unlink(self._path)
            self._path = ""

    def __enter__(self) -> "WaitingSpool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
