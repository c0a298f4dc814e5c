"""The heartbeat's own clock: how often it beats, and what it says each time."""

import json
import time
from collections.abc import Iterator

import pytest

from pdagent.config import Config
from pdagent.serve import heartbeat
from pdagent.serve.heartbeat import Heartbeat
from tests.support.agent import wait_until
from tests.support.events_api import Answer, EventsApi

PATH = "/beat"
SOON = {"heartbeat_interval_secs": 0}
FAR = 1e6


@pytest.fixture
def beating(api: EventsApi) -> Iterator[Heartbeat]:
    config = Config({"heartbeat_url": api.url + PATH})
    beating = Heartbeat(config, "agent", "2026-01-01T00:00:00Z", lambda: {"count": 3})
    yield beating
    beating.stop()


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """All times are far off, but for those that a test brings near."""
    for name in ("INTERVAL_SECONDS", "_LEAST_SECONDS", "_AGAIN_SECONDS"):
        monkeypatch.setattr(heartbeat, name, FAR)
    return monkeypatch


def test_introduces_itself_once(
    beating: Heartbeat, api: EventsApi, times: pytest.MonkeyPatch
) -> None:
    """The host is described until somebody has taken it, and not any more then."""
    times.setattr(heartbeat, "_AGAIN_SECONDS", 0.01)
    times.setattr(heartbeat, "_LEAST_SECONDS", 0.01)
    api.script(PATH, Answer(503), Answer(404, SOON), Answer(200, SOON), Answer(404, SOON))
    beating.tend()
    beats = [json.loads(request.body) for request in api.wait_for(5)[:5]]
    assert ["system_info" in beat for beat in beats] == [True, True, True, False, False]
    assert beats[0]["agent_stats"]["snapshot"] == {"pending_events": {"count": 3}}


def test_a_failure_is_tried_again_soon(
    beating: Heartbeat, api: EventsApi, times: pytest.MonkeyPatch
) -> None:
    """Not only after an interval."""
    times.setattr(heartbeat, "_AGAIN_SECONDS", 0.01)
    api.script(PATH, Answer(503), Answer(reset="before"))
    beating.tend()
    api.wait_for(3)


def test_failures_are_said_once(
    beating: Heartbeat,
    api: EventsApi,
    times: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Until a beat is taken: whoever wants the heartbeat learns that there is none."""
    caplog.set_level("INFO", "pdagent.heartbeat")
    times.setattr(heartbeat, "_AGAIN_SECONDS", 0.01)
    times.setattr(heartbeat, "_LEAST_SECONDS", 0.01)
    api.script(PATH, Answer(503), Answer(reset="before"), Answer(404, SOON), Answer(200, SOON))
    beating.tend()
    wait_until(lambda: len(caplog.messages) == 2)
    assert caplog.messages == [
        "no heartbeat is taken: answered 503",
        "the heartbeat is taken again",
    ]


def test_an_address_that_is_none(caplog: pytest.LogCaptureFixture) -> None:
    """It is named by its own setting."""
    config = Config({"heartbeat_url": ""})
    assert Heartbeat(config, "agent", "", dict)._beat() is None
    assert caplog.messages == [
        "no heartbeat is taken: heartbeat_url is not an address that can be used"
    ]


def test_beats_as_often_as_it_is_asked_to(
    beating: Heartbeat, api: EventsApi, times: pytest.MonkeyPatch
) -> None:
    """But never more often than the least there is."""
    times.setattr(heartbeat, "_LEAST_SECONDS", 0.05)
    api.always(PATH, Answer(200, SOON))
    began = time.monotonic()
    beating.tend()
    api.wait_for(4)
    assert time.monotonic() - began >= 0.15


def test_stops_in_the_middle_of_a_wait(
    beating: Heartbeat, api: EventsApi, times: pytest.MonkeyPatch
) -> None:
    """Its thread ends at once, and a thread that died is replaced."""
    beating.tend()
    api.wait_for(1)
    thread = beating._thread
    assert thread is not None
    beating.tend()
    assert beating._thread is thread
    beating.stop()
    wait_until(lambda: not thread.is_alive())
    beating.tend()
    assert beating._thread is not thread


@pytest.mark.parametrize("wanted", ["NaN", "9" * 400, "[]", '"soon"'])
def test_an_interval_that_is_no_number_is_the_usual_one(wanted: str) -> None:
    """A beat that waits for NaN seconds waits for none, and one that raises ends its thread."""
    answer = b'{"heartbeat_interval_secs": %s}' % wanted.encode()
    assert heartbeat._interval(answer) == heartbeat.INTERVAL_SECONDS
