"""Power cuts on real file systems: their disk is a file, copied at the moment `pd-send` returns, or
while the daemon works. On the copy is every event that was acknowledged by then."""

import contextlib
import random
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.agent import Agent
from tests.support.events import KEY, OTHER
from tests.support.events_api import Answer, EventsApi
from tests.support.faults import tracing
from tests.support.mounts import private_mounts
from tests.support.power import kill
from tests.support.power.image import SIZES, Image
from tests.support.trial import Trial
from tests.support.users import AGENT, SENDER

pytestmark = [pytest.mark.needs_root, pytest.mark.parametrize("image", SIZES, indirect=True)]


@pytest.fixture
def image(request: pytest.FixtureRequest, agent: Agent) -> Iterator[Image]:
    """The agent's data on a file system of its own."""
    with private_mounts():
        image = Image(request.param, agent.root / "image", agent.data_dir)
        agent.own(agent.data_dir)
        agent.create_spool()
        subprocess.run(["sync", "-f", agent.data_dir], check=True)  # it has long been there
        yield image
        kill(agent)


@pytest.mark.fault("real power cut, ext4 + xfs + btrfs")
def test_accepted_is_there(trial: Trial, image: Image) -> None:
    """At whatever moment `pd-send` returns, to anyone or to the agent's own user, its event is on
    the disk."""
    for number in trial.injections(range(4), range(150)):
        user = AGENT if number % 2 else SENDER
        assert trial.send(f"{number}", user=user).returncode == 0
        image.cut()
        trial.check()


@pytest.mark.fault("real power cut, ext4 + xfs + btrfs")
def test_the_daemon_goes_on(trial: Trial, api: EventsApi, image: Image) -> None:
    """Cut while events are sent, delivered, refused and pending: a daemon that finds what is left
    delivers it, in order."""
    choice = random.Random(7)
    for number in trial.injections(range(1), range(20)):
        api.script(KEY, *choice.choices((Answer(), Answer(503), Answer(400)), k=3))
        api.always(OTHER, Answer(429, retry_after=60))
        trial.agent.start()
        for action in ("trigger", "trigger", "resolve"):
            for key in (KEY, OTHER):
                trial.send(f"{number}", action, key=key)
        with contextlib.suppress(TimeoutError):  # all may have been delivered or held by now
            api.wait_for(len(api.requests) + choice.randint(0, 1), timeout=1)
        kill(trial.agent)
        image.cut()
        api.clear_scripts()
        trial.recovers()
        assert "is damaged" not in trial.agent.log
        kill(trial.agent)


def test_a_missing_sync_is_found(agent: Agent, image: Image) -> None:
    """A `pd-send` whose fsync does nothing loses its event: so these tests would see it if one were
    forgotten."""
    fsync = tracing("fsync,fdatasync:retval=0")
    result = agent.run("pd-send", "-k", KEY, "-t", "trigger", "-d", "x", user=SENDER, under=fsync)
    assert result.returncode == 0
    assert len(agent.names("pdq")) == 1
    image.cut()
    assert agent.names("pdq") == []
