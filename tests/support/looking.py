"""What a look at pdq/ finds, for tests."""

from unittest import mock

from pdagent.queue.backlog import Backlog
from pdagent.queue.names import key_of, order


def looked(backlog: Backlog) -> tuple[list[str], list[str]]:
    """Names in pdq/: those of events, in queue order, and all others."""
    with mock.patch("pdagent.queue.beginning.STAMP_SECONDS", 0):  # nobody else adds files
        names = [seen.name for seen in backlog.look(lambda _: False)]
    events = [name for name in names if key_of(name) is not None]
    return sorted(events, key=order), sorted(set(names) - set(events))
