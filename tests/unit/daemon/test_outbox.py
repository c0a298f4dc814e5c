"""In whose turn the events of expectations go."""

import os
from pathlib import Path

from pdagent.config import Config
from pdagent.daemon.outbox import Outbox
from pdagent.event import Event
from pdagent.queue.elapsed import Moment
from pdagent.queue.expectation import Expectation, identity_of, understood, written
from pdagent.queue.origins import Origins
from tests.support.events import KEY

PLACE = 1_795_402_356_000_000
SINCE = Moment(1000.0, 1000.0, 1000.0, "boot")


def expectation(by: str = "") -> Expectation:
    trigger = Event(KEY, "trigger", "no backup", "backup").body("v2", 0)
    return understood(written(trigger, 60.0, SINCE, by))


def test_each_goes_in_the_turn_of_whose_it_is(root: Path) -> None:
    """All are files of the agent's. Otherwise one user's thousands would go before another's."""
    origins = Origins(str(root))
    outbox = Outbox(Config({"data_dir": str(root.parent)}), origins)
    us = os.geteuid()
    for number, (owner, by) in enumerate([(us, ""), (us + 1, ""), (us + 2, ""), (us, "web1")]):
        found = expectation(by)
        outbox.enqueue(identity_of(owner, found), found, b"{}", PLACE + number)
    names = sorted(os.listdir(root / "pdq"))
    assert names[0] == f"{PLACE}_{KEY}.txt"
    for seen in (origins, Origins(str(root))):  # as the next daemon finds them, too
        owners = [owner for _, owner in seen.owned([(name, us) for name in names])]
        assert owners[:3] == [us, us + 1, us + 2]
        assert owners[3] < 0
        assert seen.numbers() == {"web1": 1}


def test_a_place_that_is_taken(root: Path) -> None:
    """The page gets the next one."""
    outbox = Outbox(Config({"data_dir": str(root.parent)}), Origins(str(root)))
    found = expectation()
    for _ in range(2):
        outbox.page(identity_of(os.geteuid() + 1, found), found, b"{}", PLACE)
    assert len(os.listdir(root / "pdq")) == 2
