"""pd-queue beside a real daemon: what is held and why, looking, retrying, removing."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from pdagent.commands.pd_queue.view import View
from pdagent.config import load
from pdagent.daemon import handling
from pdagent.event import Event
from pdagent.spool import Spool, file_name
from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, OTHER, enqueue, sent, summaries
from tests.support.events_api import Answer, EventsApi

REPOSITORY = Path(__file__).parents[2]
check_schema = fastjsonschema.compile(
    json.loads((REPOSITORY / "docs" / "pd-queue-1.schema.json").read_text())
)

Queue = Callable[..., str]


@pytest.fixture
def queue(agent: Agent) -> Queue:
    """Runs pd-queue; gives stdout, and stderr behind it."""

    def run(*arguments: str, code: int = 0) -> str:
        result = agent.run("pd-queue", *arguments)
        said = (result.stdout + result.stderr).decode()
        assert result.returncode == code, said
        assert KEY not in said or arguments[0] == "status"
        return said

    return run


def document(queue: Queue, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The JSON that pd-queue prints: as the schema has it."""
    said = queue(*arguments, "--json", code=code)
    found = json.loads(said.partition("\npd-queue: ")[0])
    check_schema(found)
    assert isinstance(found, dict)
    return found


def refuse(api: EventsApi, agent: Agent, dedup_key: str, text: str, action: str = "trigger") -> str:
    """Has PagerDuty refuse an event; its name."""
    before = set(agent.names("err"))
    api.script(KEY, Answer(400))
    enqueue(agent, KEY, dedup_key, text, action)
    wait_until(lambda: set(agent.names("err")) > before)
    [name] = set(agent.names("err")) - before
    return name


# holds


def test_what_is_held_and_why(api: EventsApi, agent: Agent, queue: Queue) -> None:
    """A throttled key, an incident in trouble; with -k, of that key only, also by its name. Without
    a terminal stdout has the table alone, and stderr the rest. When it is over, there is no rest.
    """
    keys = agent.root / "keys"
    keys.write_text(f"[Keys]\ndb = {KEY}\n")
    agent.configure(events_url=api.url, backoff_interval_secs=3600, keys_file=keys)
    api.always(KEY, Answer(429, retry_after=110))
    api.script(OTHER, *[Answer(500)] * 2)
    agent.start()
    enqueue(agent, KEY, "hot", "hot")
    wait_until(lambda: "Held:\n" in queue("status"))
    said = agent.run("pd-queue", "status").stderr.decode()
    hold = re.fullmatch(
        r"Held:\n  key \*0617: throttled: PagerDuty answered 429, "
        r"since (?:\d{4}-\d\d-\d\d )?\d\d:\d\d, "  # with its date once midnight has passed
        r"next try in (\d+) s\n",
        said,
    )
    assert hold, said
    assert 20 < int(hold[1]) <= 110
    assert "Held" not in queue("status", "-k", OTHER)
    enqueue(agent, "@db", "by name", "by name")
    assert "Held:\n  key *0617: throttled" in queue("status", "-k", "@db")
    by_name, by_key = document(queue, "list", "-k", "@db")["events"][::-1]
    assert (by_name["key"], by_key["key"]) == ("@db", "*0617")
    assert by_name["next_try"] == by_key["next_try"]
    enqueue(agent, OTHER, "disk", "disk")
    wait_until(lambda: len(agent.names("suc")) == 1)
    # holds are told once a second at most: one that has just ended may still be told of
    wait_until(lambda: [h["scope"] for h in document(queue, "status")["holds"]] == ["key"])
    status = document(queue, "status")
    assert status["running"]
    assert [key["pending"] for key in status["keys"]] == [0, 1, 1]
    event = document(queue, "list", "-k", "*0617")["events"][0]
    assert (event["attempts"], event["reason"]) == (1, "throttled: PagerDuty answered 429")
    assert event["next_try"] > status["time"]


def test_an_outage_and_a_restart(api: EventsApi, agent: Agent, queue: Queue) -> None:
    """The destination is held; a stopped daemon is said to be that; a new one says what it finds,
    not what the one before did; and in the end nothing is held."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    api.stop()
    agent.start()
    name = enqueue(agent, KEY, "x", "x")
    wait_until(lambda: f":{api.port}: Connection refused, since" in queue("status"))
    assert "not sent" in queue("show", name)
    assert "Connection refused" in queue("list")
    agent.stop()
    stopped = agent.run("pd-queue", "status")
    assert stopped.stdout.endswith(b"            1         0         0\n")
    assert stopped.stderr == b""
    assert document(queue, "status") | {"time": "", "version": ""} == {
        "schema": "pd-queue.status/1", "version": "", "time": "", "running": False,
        "holds": [], "more_holds": 0, "lost_relays": [],
        "expectations": {"waiting": 0, "lapsed": 0},
        "keys": [{"key": "*0617", "pending": 1, "delivered": 0, "in_error": 0}],
    }  # fmt: skip
    assert "pdagentd is not running" in queue("show", name)
    api.start()
    api.always(KEY, Answer(429, retry_after=250))
    agent.start()
    wait_until(lambda: "throttled" in queue("status"))
    assert "Connection refused" not in queue("status")
    api.always(KEY, None)
    agent.stop()
    agent.start()
    wait_until(lambda: agent.names("suc") == [name])
    wait_until(lambda: "Held" not in queue("status"))


def test_no_writes_without_trouble(api: EventsApi, agent: Agent) -> None:
    """What is held is written when it changes, not for each event."""
    agent.start()
    holds = agent.data_dir / "db" / "holds"
    wait_until(holds.exists)
    before = holds.stat()
    for number in range(20):
        enqueue(agent, KEY, f"{number}", "x")
    api.wait_accepted(20)
    wait_until(lambda: len(agent.names("suc")) == 20)
    after = holds.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert after.st_mode & 0o777 == 0o640


# list and show


def test_list(api: EventsApi, agent: Agent, queue: Queue) -> None:
    """A line an event, oldest first, in what order and how many as asked; nothing from outside
    gets to the terminal as it is."""
    assert queue("list") == "Nothing to report.\n"
    enqueue(agent, KEY, "a", "\x1b]0;owned\x07first")
    enqueue(agent, KEY, "b\nc", "second " + KEY)
    heading, first, second = queue("list").splitlines()
    assert heading.split()[:3] == ["EVENT", "STATE", "AGE"]
    assert re.fullmatch(r"\d{16} pending +\d+s \*0617 +0 +- a +\\u001b]0;owned\\u0007first", first)
    assert second.endswith(" b\\nc                 second *0617")
    [_, newest] = queue("list", "-r", "-n", "1").splitlines()
    assert newest[:16] == second[:16]
    assert [event["dedup_key"] for event in document(queue, "list")["events"]] == ["a", "b\nc"]
    assert document(queue, "list", "--state", "in-error")["events"] == []
    assert "0 is not" not in queue("list", "-n", "0")


def test_show(api: EventsApi, agent: Agent, queue: Queue) -> None:
    """The body without the key, and what happened when."""
    api.script(KEY, Answer(503), Answer(400))
    agent.start()
    name = enqueue(agent, KEY, "x", "Straße " + KEY)
    wait_until(lambda: agent.names("err") == [name])
    said = queue("show", name[:16])
    assert '"summary": "Straße *0617"' in said
    assert '"routing_key": "*0617"' in said
    history = document(queue, "show", f"{name[:16]}_*0617")["event"]["history"]
    told = [entry["what"].split(":")[0] for entry in history]
    assert told == ["accepted", "failed", "refused"]
    assert queue("show", "nope", code=66) == "pd-queue: no event is called nope\n"


def test_an_event_that_is_none(agent: Agent, queue: Queue) -> None:
    """Whatever lies in pdq/ can be shown, and listed."""
    agent.drop("5_K.txt", b"\x1b[2J not JSON")
    assert "\\u001b[2J not JSON" in queue("show", "5_K.txt")
    [event] = document(queue, "list")["events"]
    assert event["reason"].startswith("it is not JSON")
    assert document(queue, "show", "5")["event"]["body"] is None


# retry


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


# purge


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


# what strangers may put there

BOUNDED = ["prlimit", "--as=209715200", "--cpu=10"]


@pytest.mark.parametrize("size", [900_000, 4_000_000])
def test_a_neighbours_files(agent: Agent, size: int) -> None:
    """A large file of nested lists under many names: nobody's memory or patience runs out, and
    root cleans up."""
    start = b'{"routing_key": "K", "event_action": "trigger", "dedup_key": "x", "details": ['
    data = start + b",".join([b"[]"] * (size // 3)) + b"]}"
    (agent.data_dir / "db").mkdir()
    first = agent.drop("1_K.txt", data)
    for number in range(2, 201):
        os.link(first, first.with_name(f"{number}_K.txt"))

    def run(*arguments: str) -> str:
        result = agent.run("pd-queue", *arguments, under=BOUNDED, check=True)
        return (result.stdout + result.stderr).decode()

    said = run("list")
    assert len(said.splitlines()) == 201
    assert said.endswith(f"(it has {len(data)} bytes, and was not looked into)\n")
    assert f"{len(data)} bytes)\n" in run("show", "1_K.txt") or size < 1_000_000
    left_out = re.search(r"(\d+) event\(s\) are too large", run("purge", "-i", "x", "--dry-run"))
    assert left_out
    assert 100 < int(left_out[1]) <= 200
    for number in range(1, 101):
        first.with_name(f"{number}_K.txt").rename(agent.spool / "err" / f"{number}_K.txt")
    assert run("retry", "-a", "--dry-run").endswith("100 event(s) would be set up for retry.\n")
    assert run("retry", "-a") == "100 event(s) set up for retry.\n"
    assert len(json.loads(run("purge", "-a", "--yes", "--json"))["events"]) == 200
    assert agent.names("pdq") == agent.names("err") == agent.names("tmp") == []


def test_a_body_nested_past_every_limit(agent: Agent, queue: Queue) -> None:
    """It is shown whole, as a body or as the text that it is."""
    depth = 900  # what the parser just takes
    data = b'{"routing_key": "K", "a": ' + b"[" * depth + b"]" * depth + b"}"
    agent.drop("1_K.txt", data)
    assert queue("show", "1_K.txt").count("[") == depth
    document(queue, "show", "1_K.txt")


# watch


def test_in_a_hurry(agent: Agent) -> None:
    """^C, again and again: the exit code is all that says so."""
    command = [*agent.command("pd-queue"), "--config", str(agent.conf), "watch"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=agent.environment
    ) as watch:
        assert watch.stdout
        watch.stdout.readline()
        while watch.poll() is None:
            watch.send_signal(signal.SIGINT)
        assert watch.returncode == 130
        assert watch.stderr
        assert watch.stderr.read() == b""


def test_watch_without_a_terminal(api: EventsApi, agent: Agent) -> None:
    """A line now, and one for each change."""
    command = [*agent.command("pd-queue"), "--config", str(agent.conf), "watch"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=agent.environment, text=True
    ) as watch:
        assert watch.stdout is not None
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d 0 pending, 0 in error, 0 delivered\n",
            watch.stdout.readline(),
        )
        enqueue(agent, KEY, "x", "x")
        assert watch.stdout.readline().endswith(
            " 1 pending, 0 in error, 0 delivered; "
            "1 pending, as pdagentd is not running. Use: sudo service pdagent start\n"
        )
        watch.terminate()
