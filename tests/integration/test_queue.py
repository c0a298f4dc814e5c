"""pd-queue beside a real daemon: what is held and why, and looking."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.queues import Queue, document
from tests.support.agent import PATIENCE_SECONDS, UNREAD, Agent, wait_until
from tests.support.events import KEY, OTHER, enqueue
from tests.support.events_api import Answer, EventsApi


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
    for many in ("9" * 30, "9" * 5000):
        assert len(document(queue, "list", "-n", many)["events"]) == 2


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


@contextmanager
def watching(agent: Agent, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A `pd-queue watch` that does not outlive its test. It is killed where a line that it should
    print does not come."""
    with subprocess.Popen(
        [*agent.command("pd-queue"), "--config", str(agent.conf), "watch", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=agent.environment,
        text=True,
    ) as watch:
        impatience = threading.Timer(2 * PATIENCE_SECONDS, watch.kill)
        impatience.start()
        try:
            yield watch
        finally:
            impatience.cancel()
            watch.kill()


def line(watch: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert watch.stdout
    return watch.stdout.readline()


def test_in_a_hurry(agent: Agent) -> None:
    """^C, again and again: the exit code is all that says so."""
    with watching(agent) as watch:
        line(watch)
        while watch.poll() is None:
            watch.send_signal(signal.SIGINT)
        assert watch.returncode == 130
        assert watch.stderr
        assert watch.stderr.read() == ""


def test_a_reader_that_has_seen_enough(agent: Agent) -> None:
    """`pd-queue list | head -1` is no error, however much there would be to read."""
    for number in range(2000):
        (agent.root / f"lib/outqueue/err/{number}_K.txt").touch()
    for words in (["list", "--json"], ["list"], ["status", "--json"], ["show", "1_K.txt"]):
        done = agent.run("pd-queue", *words, under=UNREAD)
        assert (done.returncode, done.stderr) == (0, b""), words


def test_watch_for_a_reader_that_ends(agent: Agent) -> None:
    """`pd-queue watch | head -1` ends with head, though nothing changes any more."""
    with watching(agent) as watch:
        line(watch)
        assert watch.stdout
        watch.stdout.close()
        assert watch.wait(PATIENCE_SECONDS) == 0
        assert watch.stderr
        assert watch.stderr.read() == ""


def test_watch_without_a_terminal(api: EventsApi, agent: Agent) -> None:
    """A line now, and one for each change."""
    with watching(agent) as watch:
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d 0 pending, 0 in error, 0 delivered\n",
            line(watch),
        )
        enqueue(agent, KEY, "x", "x")
        assert line(watch).endswith(
            " 1 pending, 0 in error, 0 delivered; "
            "1 pending, as pdagentd is not running. Use: sudo service pdagent start\n"
        )


def test_watch_tells_each_change(agent: Agent) -> None:
    """Also one after which there are as many events as before, of another key."""
    name = enqueue(agent, KEY, "x", "x")
    with watching(agent, "--json") as watch:
        assert [key["key"] for key in json.loads(line(watch))["keys"]] == ["*0617"]
        path = agent.spool / "pdq" / name
        path.rename(path.with_name(name.replace(KEY, OTHER)))
        other = f"*{OTHER[-4:]}"
        assert [key["key"] for key in json.loads(line(watch))["keys"]] == [other]
