"""One key, or one event, in every kind of trouble: it keeps its events and its order, and nobody
else notices."""

import signal
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.support.agent import wait_until
from tests.support.events import KEY, key
from tests.support.events_api import Answer
from tests.support.trial import Trial

CHANGE = "/v2/change/enqueue"
PAGE = "<html><body>Sorry</body></html>"


def date(seconds: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


ANSWERS = {
    "429 with seconds": Answer(429, retry_after=100),
    "429 with a date": Answer(429, retry_after=date(3600)),
    "429 with a date that is past": Answer(429, retry_after=date(-3600)),
    "429 for a century": Answer(429, retry_after=3_000_000_000),
    "429 with nonsense": Answer(429, retry_after="soon"),
    "v1's 403": Answer(403),
    "500": Answer(500),
    "500 and empty": Answer(500, b""),
    "500 and 10 MB": Answer(500, b"x" * 10_000_000),
    "400 without a reason": Answer(400, {"error": "bad"}),
    "a page": Answer(403, html=PAGE),
    "a page that says 200": Answer(200, html=PAGE),
    "a redirection": Answer(302, b"", headers={"Location": "http://127.0.0.1:1/"}),
    "no answer": Answer(hang=True),
    "a reset": Answer(reset="before"),
    "half an answer": Answer(500, reset="mid-body"),
}


@pytest.mark.fault("one key in trouble")
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_one_key(trial: Trial, answer: Answer) -> None:
    """All others' events arrive while that key has nothing but this answer; what is left of its own
    arrives when it is over, whatever was done to the daemon."""
    agent, api = trial.agent, trial.api
    if answer.status == 403 and answer.html is None:
        agent.configure(events_url=api.url, events_api="v1")
    api.always(KEY, answer)
    agent.start()
    for number in range(4):
        trial.send(f"bad {number % 2}")
        trial.injected()
    api.wait_for(lambda seen: any(request.key == KEY for request in seen))
    for number in range(4):
        for other in range(3):
            trial.send(f"good {number % 2}", key=key(other))
    api.wait_for(lambda _: len([r for r in api.accepted if r.key != KEY]) == 12)
    assert len(agent.names("pdq")) >= 4
    trial.check()
    # a hold of five minutes ends with the process, and a post that hangs does too
    agent.end(signal.SIGKILL)
    api.clear_scripts()
    trial.recovers()
    assert agent.names("pdq") == agent.names("err") == []


@pytest.mark.fault("one event in trouble")
@pytest.mark.parametrize(
    "answer", [Answer(403, html=PAGE), Answer(reset="before"), Answer(503)], ids=str
)
def test_one_event(trial: Trial, answer: Answer) -> None:
    """A proxy never lets one event pass, or PagerDuty always fails on it: those of its own key that
    come later arrive all the same, though at first there is nothing else that could."""
    agent, api = trial.agent, trial.api
    agent.configure(events_url=api.url, send_interval_secs=1, backoff_interval_secs=2)
    api.always(CHANGE, answer)
    agent.start()
    agent.run("pd-send", "--change", "-k", KEY, "-d", "stopped on the way", check=True)
    api.wait_for(3)
    trial.injected()
    for number in range(5):
        trial.send(f"{number % 2}")
    api.wait_accepted(5)
    wait_until(lambda: len(agent.names("pdq")) == 1)
    api.always(CHANGE, None)
    wait_until(lambda: agent.names("pdq") == [], seconds=180)
    trial.recovers()


@pytest.mark.fault("a yes that is not PagerDuty's")
@pytest.mark.parametrize(
    "answer",
    [
        Answer(202, b""),
        Answer(200, b"OK"),
        Answer(200, b"x" * 10_000_000),
        Answer(202, reset="mid-body"),
    ],
    ids=["empty", "greeting", "10 MB", "half"],
)
def test_odd_acceptance(trial: Trial, answer: Answer) -> None:
    """Somebody says yes, not as PagerDuty does: nothing counts as delivered, all is kept, and goes
    when PagerDuty itself answers."""
    trial.api.always(None, answer)
    trial.agent.configure(events_url=trial.api.url, send_interval_secs=1, backoff_interval_secs=1)
    trial.agent.start()
    for number in range(3):
        trial.send("same", key=key(number))
        trial.injected()
    wait_until(lambda: "cannot be reached" in trial.agent.log)
    assert trial.agent.names("suc") == []
    assert len(trial.agent.names("pdq")) == 3
    trial.api.always(None, None)
    trial.recovers()


@pytest.mark.fault("PagerDuty flapping")
def test_flapping(trial: Trial) -> None:
    """Every second answer is a failure of some kind, for everybody: all arrive, in order."""
    trial.agent.configure(events_url=trial.api.url, backoff_interval_secs=1)
    answers = [a for a in ANSWERS.values() if not a.hang and a.status not in (403, 429)]
    for number in trial.injections(range(30), range(200)):
        trial.api.script(None, answers[number % len(answers)], Answer())
    trial.agent.start()
    for number in range(60):
        trial.send(f"{number % 3}", key=key(number % 4))
    trial.recovers()
    assert trial.agent.names("err") == []
