"""Direct delivery: where the spool can't take an event, the page still goes out."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pdagent.wire import direct
from tests.support import syslog
from tests.support.agent import Agent, beginning_with
from tests.support.events import KEY, OTHER, enqueue, sent
from tests.support.events_api import Answer, EventsApi
from tests.support.users import SENDER

TRIGGER = ["-k", KEY, "-t", "trigger", "-d", "x", "-i", "i"]
RESOLVE = ["-k", KEY, "-t", "resolve", "-i", "i"]
CAUSE = "cannot write to /nonexistent/outqueue/tmp: No such file or directory"

REMEDY = "Is the agent installed, and has pdagentd been started once?"

Said = tuple[int, str, str]
Sender = Callable[..., Said]


@pytest.fixture
def pd_send(api: EventsApi, agent: Agent) -> Sender:
    """Runs pd-send, by default without a spool; gives its exit code, stdout and stderr."""
    agent.configure(events_url=api.url, data_dir="/nonexistent")

    def run(*arguments: str) -> Said:
        result = agent.run("pd-send", *arguments, user=SENDER)
        return result.returncode, result.stdout.decode(), result.stderr.decode()

    return run


@pytest.fixture
def half_a_spool(api: EventsApi, agent: Agent) -> Path:
    """tmp/ of a spool that lacks it: nothing can be added, what is pending is there."""
    agent.configure(events_url=api.url)
    enqueue(agent, KEY, "i", "the trigger")
    enqueue(agent, KEY, "j", "somebody else's")
    enqueue(agent, OTHER, "i", "somebody else's")
    shutil.rmtree(agent.spool / "tmp")
    return agent.spool / "tmp"


def test_it_goes_out_and_says_so(api: EventsApi, pd_send: Sender) -> None:
    """Without a word in the configuration: PagerDuty has it, exit 0, the usual line for scripts and
    one of warning for people."""
    warning = (
        f"pd-send: warning: {CAUSE}. {REMEDY} The event was delivered directly to PagerDuty.\n"
    )
    assert pd_send(*TRIGGER) == (0, "Event processed. Incident Key: i\n", warning)
    assert sent(api.accepted[0])["payload"]["summary"] == "x"


@pytest.mark.parametrize("reachable", [True, False])
def test_it_leaves_a_trace(api: EventsApi, agent: Agent, reachable: bool) -> None:
    """In the system's log: neither the queue nor the agent's log has one."""
    url = api.url if reachable else "http://127.0.0.1:1"
    agent.configure(events_url=url, data_dir="/nonexistent")
    done, line = syslog.run(agent, "pd-send", TRIGGER, {})
    assert done.returncode == (0 if reachable else 75)
    assert line.startswith(b"<11>pd-send[")
    assert CAUSE.encode() in line
    assert (
        b"delivered directly to PagerDuty. Event processed. Incident Key: i" in line
    ) == reachable
    assert KEY.encode() not in line


def test_quiet(api: EventsApi, pd_send: Sender) -> None:
    """-q says nothing."""
    assert pd_send(*TRIGGER, "-q") == (0, "", "")
    assert len(api.accepted) == 1


def test_the_key_that_is_printed_is_the_one_that_was_sent(api: EventsApi, pd_send: Sender) -> None:
    """A trigger without an incident key gets one, and keeps it on the way from queue to direct."""
    code, out, _ = pd_send("-k", KEY, "-t", "trigger", "-d", "x")
    assert code == 0
    assert out == f"Event processed. Incident Key: {api.accepted[0].dedup_key}\n"


def test_it_is_tried_twice(api: EventsApi, pd_send: Sender) -> None:
    """One failure is not the last word, two are; each time the same bytes."""
    api.script(KEY, Answer(503))
    assert pd_send(*TRIGGER)[0] == 0
    assert len({request.body for request in api.requests}) == 1
    api.script(KEY, Answer(503), Answer(503))
    assert pd_send(*TRIGGER)[0] == 75
    assert len(api.requests) == 4


def test_in_vain(api: EventsApi, pd_send: Sender) -> None:
    """If PagerDuty does not take it either, it is exit 75, and both reasons are said."""
    api.stop()
    code, out, problem = pd_send(*TRIGGER)
    assert (code, out) == (75, "")
    [line] = problem.splitlines()
    assert line.startswith(f"pd-send: {CAUSE}. The event was not queued. ")
    assert "Direct delivery failed too: " in line
    assert "Connection refused" in line


def test_the_key_that_is_quoted_is_masked(api: EventsApi, agent: Agent) -> None:
    """Whoever answers may quote it, also where the sender gave its name only."""
    agent.configure(events_url=api.url, data_dir="/nonexistent")
    agent.conf.write_text(f"{agent.conf.read_text()}[Keys]\ndb = {KEY}\n")
    api.script(KEY, *[Answer(400, {"status": "invalid event", "message": f"no {KEY}"})] * 4)
    for key in (KEY, "@db"):
        for words in (["-t", "trigger", "-d", "x"], ["run", "--", "false"]):
            done = agent.run("pd-send", *words, environment={"PD_SERVICE_KEY": key})
            assert f"refused the event: no *{KEY[-4:]}\n" in done.stderr.decode()


def test_refused(api: EventsApi, pd_send: Sender) -> None:
    """PagerDuty's refusal ends it, in its words, at the first try."""
    api.always(KEY, Answer(400))
    code, _, problem = pd_send(*TRIGGER)
    assert code == 75
    assert "PagerDuty refused the event: " in problem
    assert len(api.requests) == 1


def test_no_answer(api: EventsApi, agent: Agent, pd_send: Sender) -> None:
    """A server that takes its time is not waited for as long as it likes: 10 s, here 3."""
    assert direct.TRY_SECONDS == 10
    less = "import pdagent.wire.direct as direct; direct.TRY_SECONDS = 3"
    agent.command = beginning_with(less, "pd-send")
    api.always(KEY, Answer(delay=60))
    code, _, problem = pd_send(*TRIGGER)
    assert code == 75
    assert "no answer within 3 s" in problem
    assert len(api.requests) == 2


def test_a_key_of_v1(api: EventsApi, pd_send: Sender) -> None:
    """What PagerDuty refuses for v2 goes as v1, as from the queue."""
    api.v1_only_keys.add(KEY)
    assert pd_send(*TRIGGER)[0] == 0
    assert api.incident(KEY, "i").state == "open"


def test_switched_off(api: EventsApi, agent: Agent, pd_send: Sender) -> None:
    """With direct_delivery = off nothing goes out: exit 75, and how that could be otherwise."""
    agent.configure(events_url=api.url, data_dir="/nonexistent", direct_delivery="off")
    code, _, problem = pd_send(*TRIGGER)
    assert code == 75
    assert "direct_delivery = on" in problem
    assert api.requests == ()


def test_not_where_the_spool_works(api: EventsApi, agent: Agent, pd_send: Sender) -> None:
    """It changes nothing while the spool can be written."""
    agent.configure(events_url=api.url)
    assert pd_send(*TRIGGER)[0] == 0
    assert api.requests == ()
    assert len(agent.names("pdq")) == 1


# --- order --------------------------------------------------------------------------------------


def test_a_resolve_without_any_spool(api: EventsApi, pd_send: Sender) -> None:
    """Where there is no queue, nothing can be in it: the resolve goes."""
    pd_send(*TRIGGER)
    assert pd_send(*RESOLVE)[0] == 0
    assert api.incident(KEY, "i").state == "resolved"


def test_a_resolve_does_not_overtake(api: EventsApi, agent: Agent, half_a_spool: Path) -> None:
    """A trigger that is known to be pending: its resolve is not sent, and that is said; a trigger
    is."""
    result = agent.run("pd-send", *RESOLVE)  # as root, who may look
    assert result.returncode == 75
    assert b"earlier events of its incident key are still pending" in result.stderr
    assert api.requests == ()
    assert agent.run("pd-send", *TRIGGER).returncode == 0
    assert len(api.accepted) == 1


@pytest.mark.parametrize("others", [("-k", KEY, "-i", "k"), ("-k", "K" * 32, "-i", "i")])
def test_a_resolve_of_something_else(
    api: EventsApi, agent: Agent, half_a_spool: Path, others: tuple[str, ...]
) -> None:
    """What is pending under other keys, or other incident keys, is nothing to wait for."""
    assert agent.run("pd-send", "-t", "resolve", *others).returncode == 0
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("wait", "code", "said"),
    [((), 0, b""), (("--wait=0.1",), 79, b"PagerDuty does not have the event after 0.1 s")],
    ids=["", "--wait"],
)
def test_a_resolve_is_queued_after_all(
    api: EventsApi, agent: Agent, half_a_spool: Path, wait: tuple[str, ...], code: int, said: bytes
) -> None:
    """While a resolve waits for its trigger, room in the queue is the best that can happen; and who
    waits for PagerDuty goes on waiting."""

    def make_room() -> None:
        agent.own(half_a_spool)
        half_a_spool.chmod(0o3733)

    timer = threading.Timer(1.5, make_room)
    timer.start()
    result = agent.run("pd-send", *RESOLVE, *wait, user=SENDER)
    timer.join()
    assert result.returncode == code, result
    assert said in result.stderr
    assert len(agent.names("pdq")) == 4
    assert api.requests == ()


@pytest.mark.needs_root
def test_a_resolve_by_someone_who_can_not_look(
    api: EventsApi, agent: Agent, half_a_spool: Path
) -> None:
    """Most users may not look into the queue: after a while nothing else is left but to send it."""
    assert agent.run("pd-send", *RESOLVE, user=SENDER).returncode == 0
    assert json.loads(api.requests[0].body)["event_action"] == "resolve"
