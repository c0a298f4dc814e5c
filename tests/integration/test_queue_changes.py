"""pd-queue beside a real daemon: retrying and removing."""

import json
import threading
import time

import pytest

from pdagent.commands.pd_queue.view import View
from pdagent.config import load
from pdagent.daemon import handling
from pdagent.event import Event, encode
from pdagent.spool import Spool, file_name
from tests.integration.queues import Queue, document, refuse
from tests.support.agent import FULL, UNREAD, Agent, wait_until
from tests.support.events import KEY, OTHER, enqueue, sent, summaries
from tests.support.events_api import Answer, EventsApi


def test_retry_keeps_the_incidents_order(api: EventsApi, agent: Agent, queue: Queue) -> None:
    """A refused trigger, set up for retry while its resolve is pending, goes before it."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    agent.start()
    refuse(api, agent, "x", "trigger")
    api.stop()
    enqueue(agent, KEY, "x", "resolve", "resolve")
    enqueue(agent, KEY, "y", "other")
    assert queue("retry", "-i", "x") == "1 event(s) set up for retry.\n"
    assert list((agent.data_dir / "db" / "reasons").iterdir()) != []
    api.start()
    api.wait_accepted(3)
    order = summaries(api.accepted)
    assert order.index("trigger") < order.index("resolve")
    wait_until(lambda: len(agent.names("suc")) == 3)
    assert list((agent.data_dir / "db" / "reasons").iterdir()) == []


def test_retry_opens_no_incident_again(api: EventsApi, agent: Agent, queue: Queue) -> None:
    """Unless it is told to. Others are retried."""
    agent.start()
    refused = refuse(api, agent, "x", "trigger")
    refuse(api, agent, "y", "other")
    enqueue(agent, KEY, "x", "resolve", "resolve")
    wait_until(lambda: len(agent.names("suc")) == 1)
    said = queue("retry", "-a", "--dry-run", code=65)
    assert "1 event(s) would be set up for retry.\n" in said
    said = queue("retry", "-a", code=65)
    assert said.startswith("1 event(s) set up for retry.\n")
    assert "trigger of x: a later resolve of it was delivered" in said
    assert agent.names("err") == [refused]
    [overtaken] = document(queue, "retry", refused, code=65)["overtaken"]
    assert overtaken["by"].endswith("_*0617")
    assert queue("retry", refused, "--force") == "1 event(s) set up for retry.\n"
    wait_until(lambda: len(agent.names("suc")) == 3)
    assert summaries(api.accepted)[-1] == "trigger"


def test_retry_by_reason(api: EventsApi, agent: Agent, queue: Queue) -> None:
    """Its text or status."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    agent.start()
    refuse(api, agent, "x", "x")
    agent.drop("5_K.txt", b"not JSON")
    wait_until(lambda: len(agent.names("err")) == 2)
    assert queue("retry", "--reason", "500") == "0 event(s) set up for retry.\n"
    assert queue("retry", "--reason", "400", "--dry-run").endswith("1 event(s) would be set up for "
                                                                   "retry.\n")  # fmt: skip
    assert queue("retry", "--reason", "OBJECT is invalid") == "1 event(s) set up for retry.\n"
    wait_until(lambda: agent.names("err") == ["5_K.txt"])


def test_a_resolve_is_delivered_while_pd_queue_looks(
    api: EventsApi, agent: Agent, queue: Queue
) -> None:
    """pd-queue has looked through suc/, and then stands still at a gate. The resolve is delivered,
    others of the key after it, and the daemon is another one: it remembers nothing. The trigger is
    retried now, and must not open the incident again. By a key's name it is the same incident."""
    agent.configure(events_url=api.url)
    with agent.conf.open("a") as conf:
        conf.write(f"[Keys]\ndb = {KEY}\n")
    agent.start()
    refused = refuse(api, agent, "x", "trigger")
    settings, _ = load(str(agent.conf))
    view = View(settings)
    intervention = view.intervention()
    assert intervention.overtaken_by(refused, KEY, "=x") is None
    # the gate
    enqueue(agent, "@db", "x", "resolve", "resolve")
    enqueue(agent, KEY, "y", "after it")
    wait_until(lambda: len(agent.names("suc")) == 2)
    agent.stop()
    agent.start()
    # and on
    intervention.retry(refused)
    intervention.finish()
    wait_until(lambda: agent.names("err") == [refused])
    [event] = document(queue, "list", "--state", "in-error")["events"]
    assert event["reason"] == handling.OVERTAKEN
    assert summaries(api.accepted) == ["resolve", "after it"]
    assert "a later resolve of it was delivered" in queue("retry", refused, code=65)


def test_retry_before_the_pending_ones_without_a_reason(
    api: EventsApi, agent: Agent, queue: Queue
) -> None:
    """Nobody has kept a reason, as old agents did not, and the microsecond is another event's by
    now: the event takes its place all the same."""
    agent.start()
    refused = refuse(api, agent, "x", "trigger")
    (agent.data_dir / "db" / "reasons" / refused).unlink()
    agent.stop()
    taken = enqueue(agent, KEY, "other", "other")
    (agent.spool / "pdq" / taken).rename(agent.spool / "pdq" / refused)
    resolve = enqueue(agent, KEY, "x", "resolve", "resolve")
    number = int(refused.partition("_")[0]) + 1
    (agent.spool / "pdq" / resolve).rename(agent.spool / "pdq" / file_name(number, KEY))
    assert queue("retry", "-i", "x") == "1 event(s) set up for retry.\n"
    assert agent.names("pdq")[0] == f"0{refused}"
    agent.start()
    api.wait_accepted(3)
    order = summaries(api.accepted)
    assert order.index("trigger") < order.index("resolve")


@pytest.mark.parametrize("version", ["v2", "v1"])
@pytest.mark.parametrize("to", [OTHER, "@web"])
def test_retry_with_another_key(
    api: EventsApi, agent: Agent, queue: Queue, version: str, to: str
) -> None:
    """Body and name get it, the order of the incident is kept, and so is the reason until the
    event is delivered. The message of a wrong key says how."""
    agent.configure(events_url=api.url)
    with agent.conf.open("a") as conf:
        conf.write(f"[Keys]\nweb = {OTHER}\n")
    answer = Answer(400, body=b'{"status": "invalid event", "message": "Invalid routing key"}')
    api.always(KEY, answer)
    agent.start()
    for action in ("trigger", "resolve"):
        event = Event(KEY, action, description=action, dedup_key="x", source="test")
        Spool(str(agent.spool)).enqueue(KEY, event.body(version, time.time_ns()))
    wait_until(lambda: len(agent.names("err")) == 2)
    name, second = agent.names("err")
    digits = name.partition("_")[0]
    remedy = f"To send the event with another one: sudo pd-queue retry {digits} --to-key KEY\n"
    assert remedy in queue("show", name)
    assert "no integration key is named @wbe: did you mean @web?\n" in queue(
        "retry", name, "--to-key", "@wbe", code=65
    )
    agent.stop()
    assert queue("retry", name, "--to-key", to) == "1 event(s) set up for retry.\n"
    assert agent.names("err") == [second]
    [moved] = agent.names("pdq")
    assert moved == f"{digits}_{to}.txt"
    body = json.loads((agent.spool / "pdq" / moved).read_bytes())
    assert body["service_key" if version == "v1" else "routing_key"] == to
    assert (agent.spool / "pdq" / moved).stat().st_mode & 0o777 == 0o640
    assert "in error: Invalid routing key" in queue("show", moved)
    found = document(queue, "retry", "-i", "x", "--to-key", to)
    assert found["to_key"] == ("@web" if to == "@web" else "*6342")
    assert [each["state"] for each in found["events"]] == ["in_error"]
    agent.start()
    api.wait_accepted(2)
    assert [request.key for request in api.accepted] == [OTHER, OTHER]
    kinds = [sent(r).get("event_type") or sent(r)["event_action"] for r in api.accepted]
    assert kinds == ["trigger", "resolve"]
    wait_until(lambda: not list((agent.data_dir / "db" / "reasons").iterdir()))


@pytest.mark.parametrize("selection", ["number", "all"])
def test_a_retry_with_another_key_that_died_is_done_again(
    agent: Agent, queue: Queue, selection: str
) -> None:
    """By the same command. The copy that it left is the event, and no second one."""
    for directory in ("db", "db/reasons"):
        agent.own(agent.data_dir / directory)
    enqueue(agent, KEY, "x", "first")
    [name] = agent.names("pdq")
    number, err = name.partition("_")[0], agent.spool / "err"
    (agent.spool / "pdq" / name).rename(err / name)
    body = json.loads((err / name).read_bytes())
    copy = f"{number}_{OTHER}.txt"
    (err / copy).write_bytes(encode({**body, "routing_key": OTHER}))
    assert copy < name
    assert f"2 events are called {number}" in queue("show", number, code=2)
    selected = number if selection == "number" else "-a"
    assert queue("retry", selected, "--to-key", OTHER) == "1 event(s) set up for retry.\n"
    assert (agent.names("err"), agent.names("pdq")) == ([], [copy])


def test_what_is_no_event_gets_no_other_key(agent: Agent, queue: Queue) -> None:
    """It is named, and stays."""
    agent.drop("5_K.txt", b"not JSON").rename(agent.spool / "err" / "5_K.txt")
    said = queue("retry", "5_K.txt", "--to-key", OTHER, code=65)
    assert "pd-queue: not retried: 5_*: it can't get another key: it is not JSON" in said
    [unfit] = document(queue, "retry", "-a", "--to-key", OTHER, code=65)["unfit"]
    assert unfit["why"] in said
    assert agent.names("err") == ["5_K.txt"]


def test_retry_what_an_old_agent_refused(api: EventsApi, agent: Agent, queue: Queue) -> None:
    """Its daemon, which knows Events API v1 alone, served what pd-send queued during an upgrade."""
    enqueue(agent, KEY, "x", "first")
    enqueue(agent, KEY, "x", "second", "resolve")
    for name in agent.names("pdq"):
        (agent.spool / "pdq" / name).rename(agent.spool / "err" / name)
    agent.start()
    refused = refuse(api, agent, "y", "ours")
    assert queue("retry", "--refused-by-old-agent") == "2 event(s) set up for retry.\n"
    wait_until(lambda: len(agent.names("suc")) == 2)
    assert summaries(api.accepted) == ["first", "second"]
    assert agent.names("err") == [refused]


def test_purge(api: EventsApi, agent: Agent, queue: Queue) -> None:
    """Nothing without a yes; then what list shows for the same filters, and nothing else."""
    agent.start()
    refused = refuse(api, agent, "x", "x")
    agent.stop()
    keep = enqueue(agent, KEY, "keep", "keep")
    enqueue(agent, KEY, "x", "go")
    said = queue("purge", "-i", "x", code=2)
    problem = "purge needs --yes where there is no terminal to ask on, or --dry-run"
    assert said.splitlines()[0] == f"pd-queue: error: {problem}"
    assert queue("purge", code=2).splitlines()[0].endswith("for all keys required")
    assert queue("purge", "-i", "x", "--dry-run").endswith("2 event(s) would be removed.\n")
    assert len(agent.names("pdq")) == 2
    gone = document(queue, "purge", "-i", "x", "--yes")["events"]
    assert [event["state"] for event in gone] == ["in_error", "pending"]
    assert agent.names("pdq") == [keep]
    assert agent.names("tmp") == agent.names("err") == []
    assert list((agent.data_dir / "db" / "reasons").iterdir()) == []
    assert queue("purge", refused, "--yes", code=66)
    assert queue("purge", "-i", "x", "--yes") == "0 event(s) removed.\n"


@pytest.mark.parametrize(("under", "code"), [(UNREAD, 0), (FULL, 74)], ids=["unread", "full"])
def test_an_output_that_takes_no_more(agent: Agent, under: tuple[str, ...], code: int) -> None:
    """What was asked for is done to all events, not only to those that could be told of."""
    agent.start()
    agent.stop()
    names = [f"{number}_{KEY}.txt" for number in range(500)]
    for name in names:
        (agent.root / f"lib/outqueue/err/{name}").touch()
    assert agent.run("pd-queue", "retry", "-a", "--json", under=under).returncode == code
    assert sorted(agent.names("pdq")) == sorted(names)
    done = agent.run("pd-queue", "purge", "-a", "--yes", "--json", under=under)
    assert done.returncode == code
    assert agent.names("pdq") == agent.names("err") == []


@pytest.mark.parametrize("status", [202, 400, 503])
def test_purge_of_an_event_on_its_way(
    api: EventsApi, agent: Agent, queue: Queue, status: int
) -> None:
    """Whatever PagerDuty answers: it is gone, is not sent again, and the next one goes."""
    gate = threading.Event()
    api.script(KEY, Answer(status, gate=gate))
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    agent.start()
    name = enqueue(agent, KEY, "x", "purged")
    api.wait_for(lambda requests: len(requests) == 1)
    assert queue("purge", name, "--yes") == "1 event(s) removed.\n"
    enqueue(agent, KEY, "x", "next")
    gate.set()
    wait_until(lambda: len(agent.names("suc")) == 1)
    assert summaries(api.requests) == ["purged", "next"]
    assert [agent.names(place) for place in ("pdq", "err", "tmp")] == [[], [], []]
    reasons = agent.data_dir / "db" / "reasons"
    assert not reasons.exists() or list(reasons.iterdir()) == []
