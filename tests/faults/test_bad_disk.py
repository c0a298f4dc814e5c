"""A disk that fails for a while, or for good: no event is given up too early, nobody waits for
ever."""

import pytest

from tests.support.agent import wait_until
from tests.support.events import OTHER
from tests.support.faults import tracing
from tests.support.trial import Trial


@pytest.mark.fault("pending file can't be read for a while")
@pytest.mark.parametrize("call", ["read", "openat"])
def test_a_read_error_that_passes(trial: Trial, call: str) -> None:
    """EIO for an accepted event's file, the first time: it is tried again, and delivered."""
    agent = trial.agent
    assert trial.send("a").returncode == 0
    [name] = agent.names("pdq")
    # -D: the daemon is our child, not strace's
    only = ["-D", "-e", f"trace={call}", "-P", str(agent.spool / "pdq" / name)]
    trial.injected()
    agent.start(under=tracing(f"{call}:error=EIO:when=1", *only))
    assert trial.send("b", key=OTHER).returncode == 0
    wait_until(lambda: "cannot read" in agent.log)
    trial.recovers()
    assert agent.names("err") == []
