"""Whose the events are that expectations send. What becomes of expectations: tests/integration."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.daemon.expecting import Expecting
from pdagent.event import Event
from pdagent.queue.elapsed import present
from pdagent.queue.expectation import written
from pdagent.queue.origins import Origins
from pdagent.queue.renewal import ExpectationSpool
from pdagent.queue.state import State
from pdagent.serve.tally import Tally
from tests.support.agent import wait_until
from tests.support.events import KEY
from tests.support.users import ROOT, SENDER, STRANGER


def test_a_page_is_the_senders(root: Path) -> None:
    """It counts among the sender's pending events, and so does the resolve. Otherwise a sender
    could fill the relay by what it expects."""
    (root.parent / "db").mkdir()
    origins = Origins(str(root))
    data_dir = str(root.parent)
    now = present()
    ago = replace(now, wall=now.wall - 60, running=now.running - 60)

    def expect(term: float, by: str) -> None:
        trigger = Event(KEY, "trigger", "no backup", "backup").body("v2", 0)
        ExpectationSpool(str(root)).enqueue(KEY, written(trigger, term, ago, by))

    config = Config({"data_dir": data_dir})
    expecting = Expecting(config, State(data_dir), Tally(), origins, lambda: None)

    def paged(number: int) -> bool:
        expecting._run()
        return len(os.listdir(root / "pdq")) == number

    expect(1.0, "web1")
    expect(1.0, "")
    wait_until(lambda: paged(2))
    assert origins.numbers() == {"web1": 1}
    expect(1000.0, "web1")
    wait_until(lambda: paged(3))
    assert origins.numbers() == {"web1": 2}


@pytest.mark.skipif(not ROOT, reason="needs several users")
def test_a_page_goes_in_its_users_turn(root: Path) -> None:
    """All are files of the agent's. Otherwise one user's thousands would go before another's."""
    origins = Origins(str(root))
    now = time.time_ns()
    names = [
        origins.spool("", user, lambda: now).enqueue(KEY, b"{}")
        for user in (os.geteuid(), SENDER.uid, STRANGER.uid, SENDER.uid)
    ]
    # as the next daemon finds them, too
    for found in (origins, Origins(str(root))):
        own, *others = [owner for _, owner in found.owned([(n, os.geteuid()) for n in names])]
        assert own == os.geteuid()
        assert others == [SENDER.uid, STRANGER.uid, SENDER.uid]
        assert found.numbers() == {}
