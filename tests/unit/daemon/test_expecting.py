"""Whose the events are that expectations send. What becomes of expectations: tests/integration."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.daemon import expecting as module
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
from tests.support.users import ROOT, STRANGER


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
def test_what_is_due_waits_for_no_other_user(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what is renewed: there are looks while one user's thousands are taken."""
    monkeypatch.setattr(module, "ROUND_MOST", 1)
    monkeypatch.setattr(module, "SOON_SECONDS", 0.01)
    (root.parent / "db").mkdir()
    data_dir, origins = str(root.parent), Origins(str(root))
    config = Config({"data_dir": data_dir})
    expecting = Expecting(config, State(data_dir), Tally(), origins, lambda: None)
    for number in range(3000):
        path = root / "expect" / f"{number}"
        path.write_bytes(b"none")
        os.chown(path, STRANGER.uid, STRANGER.gid)
    wait_until(lambda: expecting._round() and len(os.listdir(root / "err")) > 0)
    trigger = Event(KEY, "trigger", "no backup", "backup").body("v2", 0)
    ago = replace(present(), running=present().running - 60)
    ExpectationSpool(str(root)).enqueue(KEY, written(trigger, 1.0, ago))
    wait_until(lambda: expecting._round() and os.listdir(root / "pdq") != [])
    assert os.listdir(root / "expect") != []
