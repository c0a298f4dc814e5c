"""From pd-send to the Events API, with real processes."""

import itertools
import json
import threading

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, OTHER, chains, enqueue, key, sent, summaries
from tests.support.events_api import Answer, EventsApi
from tests.support.users import SENDER


def test_what_is_sent_arrives(api: EventsApi, agent: Agent) -> None:
    """Trigger, acknowledge, resolve: in order, each once, and counted as delivered."""
    agent.start()
    agent.send("KEY1", "trigger", "-d", "Server is on fire", "-i", "fire", "-f", "rack=7")
    agent.send("KEY1", "acknowledge", "-i", "fire")
    agent.send("KEY1", "resolve", "-i", "fire")
    assert api.wait_for(3)
    assert [sent(request)["event_action"] for request in api.requests] == [
        "trigger",
        "acknowledge",
        "resolve",
    ]
    wait_until(lambda: len(agent.names("suc")) == 3)
    assert agent.names("pdq") == []
    status = agent.run("pd-queue", "status", check=True).stdout.decode()
    assert status.splitlines()[2] == f"{'KEY1':<35}{0:>10}{3:>10}{0:>10}"


def test_a_request_holds_the_file_byte_for_byte(api: EventsApi, agent: Agent) -> None:
    """What is posted is what was queued, to the right path, as JSON, by a named agent."""
    agent.send(KEY, "trigger", "-d", "Ünsere Platte \U0001f525 ist voll", "-i", "disk")
    [name] = agent.names("pdq")
    queued = (agent.spool / "pdq" / name).read_bytes()
    agent.start()
    [request] = api.wait_accepted(1)
    assert request.body == queued
    assert (request.method, request.path) == ("POST", "/v2/enqueue")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("pdagent/3")
    assert sent(request)["payload"]["summary"] == "Ünsere Platte \U0001f525 ist voll"


def test_failures_never_break_the_order_of_an_incident(api: EventsApi, agent: Agent) -> None:
    """Of every dedup chain all events arrive, in the order of their acceptance, however the API
    fails in between."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    faults = [
        Answer(503),
        Answer(reset="after"),
        Answer(429, retry_after=0),
        Answer(reset="before"),
        Answer(500, html="<h1>Oops</h1>"),
        Answer(reset="mid-body"),
    ]
    expected: dict[tuple[str | None, str | None], list[str]] = {}
    for number in range(10):
        for to in (key(1), key(2)):
            for incident in ("a", "b", "c"):
                text = f"{incident} {number}"
                enqueue(agent, to, incident, text)
                expected.setdefault((to, incident), []).append(text)
    for to in (key(1), key(2)):
        for fault in faults:
            api.script(to, fault, Answer(), Answer())
    agent.start()
    api.wait_for(lambda _: chains(api.accepted) == expected)
    wait_until(lambda: len(agent.names("suc")) == 60)
    assert agent.names("pdq") == agent.names("err") == []


def test_a_failing_incident_holds_back_itself_alone(api: EventsApi, agent: Agent) -> None:
    """While PagerDuty fails on one incident, others of the same key go on; then it follows, in
    order."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    first = enqueue(agent, KEY, "bad", "bad 1")
    api.script(KEY, Answer(500))
    agent.start()
    api.wait_for(1)
    enqueue(agent, KEY, "bad", "bad 2")
    for number in range(5):
        enqueue(agent, KEY, f"good {number}", "fine")
    api.wait_accepted(7)
    assert chains(api.accepted)[KEY, "bad"] == ["bad 1", "bad 2"]
    tries = [request.body for request in api.requests if request.dedup_key == "bad"]
    assert tries[0] == tries[1]
    wait_until(lambda: first in agent.names("suc"))


def test_incidents_of_one_key_go_side_by_side(api: EventsApi, agent: Agent) -> None:
    """One that gets no answer keeps no other waiting, and those of one incident stay in order."""
    agent.configure(events_url=api.url, max_per_key=3)
    api.script(KEY, Answer(hang=True))
    enqueue(agent, KEY, "slow", "slow 1")
    agent.start()
    api.wait_for(1)
    enqueue(agent, KEY, "slow", "slow 2")
    for number in range(3):
        enqueue(agent, KEY, "quick", f"quick {number}")
    api.wait_accepted(3)
    assert chains(api.accepted) == {(KEY, "quick"): ["quick 0", "quick 1", "quick 2"]}
    wait_until(lambda: len(agent.names("pdq")) == 2)


def test_a_throttled_key_waits_alone_for_as_long_as_it_is_told(
    api: EventsApi, agent: Agent
) -> None:
    """429 with Retry-After holds that key for so long, and no other; then its events follow in
    order."""
    api.always(KEY, Answer(429, retry_after=2))
    for number in range(3):
        enqueue(agent, KEY, "same", f"throttled {number}")
    agent.start()
    api.wait_for(1)
    for number in range(20):
        enqueue(agent, OTHER, f"{number}", "flows")
    api.wait_accepted(20)
    api.always(KEY, None)
    api.wait_accepted(23)
    order = [request.key for request in api.accepted]
    assert order == [OTHER] * 20 + [KEY] * 3
    assert chains(api.accepted)[KEY, "same"] == [f"throttled {number}" for number in range(3)]
    held = [request.arrived for request in api.requests if request.key == KEY]
    assert held[1] - held[0] >= 2.0
    wait_until(lambda: len(agent.names("suc")) == 23)


def test_403_from_v1_means_throttled(api: EventsApi, agent: Agent) -> None:
    """On v1 a 403 in PagerDuty's words holds the key, until the hold ends and not until the next
    look at the directory; nothing is refused."""
    agent.configure(
        events_url=api.url, events_api="v1", backoff_interval_secs=1, send_interval_secs=3600
    )
    api.script(KEY, Answer(403), Answer(403))
    agent.send(KEY, "trigger", "-d", "throttled", "-i", "x")
    agent.start()
    api.wait_accepted(1)
    assert [request.status for request in api.requests] == [403, 403, 200]
    assert {request.path for request in api.requests} == {"/generic/2010-04-15/create_event.json"}
    assert "throttled" in agent.log
    assert agent.names("err") == []


def test_a_real_rate_limit_delays_and_loses_nothing(api: EventsApi, agent: Agent) -> None:
    """Against a limit per key that is real, nothing of what is over it is lost or refused."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    api.rate_limit = 5
    for number in range(12):
        enqueue(agent, KEY, "limited", f"event {number}")
    agent.start()
    api.wait_for(7)
    assert len(api.accepted) == 5
    api.rate_limit = None
    api.wait_accepted(12)
    assert summaries(api.accepted) == [f"event {number}" for number in range(12)]


def test_an_outage_is_a_delay(api: EventsApi, agent: Agent) -> None:
    """While nothing answers, events are accepted and kept; when it is back, all arrive in order. It
    is said once, loudly, and again when it is over."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    agent.start()
    enqueue(agent, KEY, "a", "before")
    api.wait_accepted(1)
    # Otherwise the agent may read this answer when the outage has begun, which ends it.
    wait_until(lambda: agent.names("pdq") == [])
    api.stop()
    for number in range(50):
        enqueue(agent, key(number % 5), "a", f"during {number // 5}")
    wait_until(lambda: "cannot be reached" in agent.log)
    agent.send(KEY, "resolve", "-i", "a", "-d", "sent in the outage")
    assert len(agent.names("pdq")) == 51
    api.start()
    api.wait_accepted(52)
    found = chains(api.accepted)
    assert found[KEY, "a"] == ["before", "sent in the outage"]
    for number in range(5):
        assert found[key(number), "a"] == [f"during {n}" for n in range(10)]
    wait_until(lambda: agent.names("pdq") == [])
    assert agent.log.count("cannot be reached") == 1
    assert agent.log.count("reachable again") == 1


def test_another_reason_of_an_outage(api: EventsApi, agent: Agent) -> None:
    """It is said, too: what keeps events back now may be something else than at first."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    api.always(None, Answer(404, html="<h1>not PagerDuty</h1>"))
    agent.start()
    agent.send(KEY, "trigger", "-i", "a", "-d", "waits")
    wait_until(lambda: "cannot be reached" in agent.log)
    assert "still not reached" not in agent.log
    api.stop()
    wait_until(lambda: "PagerDuty is still not reached: PagerDuty at" in agent.log)
    assert "Connection refused" in agent.log
    api.always(None, None)
    api.start()
    api.wait_accepted(1)
    wait_until(lambda: "reachable again" in agent.log)
    assert agent.log.count("still not reached") == 1


def test_one_probe_at_a_time_in_an_outage(api: EventsApi, agent: Agent) -> None:
    """An unreachable PagerDuty is probed by one event at a time, not by all that wait."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    api.always(None, Answer(404, html="<h1>not PagerDuty</h1>", delay=0.05))
    enqueue(agent, key(0), "a", "finds it out")
    agent.start()
    wait_until(lambda: "cannot be reached" in agent.log)
    for number in range(1, 40):
        enqueue(agent, key(number), "a", "waits")
    requests = api.wait_for(len(api.requests) + 6)
    for earlier, later in itertools.pairwise(requests):
        assert earlier.answered is not None
        assert later.arrived >= earlier.answered - 0.05
    api.always(None, None)
    api.wait_accepted(40)
    assert agent.names("err") == []


def test_a_key_that_v2_refuses_is_sent_as_v1(api: EventsApi, agent: Agent) -> None:
    """With events_api = auto, a key unknown to v2 gets the same event as v1, and from then on v1
    at once."""
    api.v1_only_keys.add(KEY)
    agent.start()
    agent.send(KEY, "trigger", "-d", "old service", "-i", "x", "-f", "a=b")
    agent.send(KEY, "resolve", "-i", "x")
    api.wait_accepted(2)
    paths = [request.path.split("/")[1] for request in api.requests]
    assert paths == ["v2", "generic", "generic"]
    event = sent(api.accepted[0])
    assert event["service_key"] == KEY
    assert (event["event_type"], event["incident_key"]) == ("trigger", "x")
    assert (event["description"], event["details"]) == ("old service", {"a": "b"})
    assert api.incident(KEY, "x").state == "resolved"


def test_events_api_v2_does_not_fall_back(api: EventsApi, agent: Agent) -> None:
    """With events_api = v2, a key that v2 refuses is in error."""
    agent.configure(events_url=api.url, events_api="v2")
    api.v1_only_keys.add(KEY)
    agent.start()
    agent.send(KEY, "trigger", "-d", "old service")
    wait_until(lambda: len(agent.names("err")) == 1)
    assert [request.path for request in api.requests] == ["/v2/enqueue"]


def test_too_large_an_event_is_sent_with_less_detail(api: EventsApi, agent: Agent) -> None:
    """413 has the event sent again, shorter, and still saying what is the matter."""
    api.script(KEY, Answer(413))
    agent.start()
    agent.send(KEY, "trigger", "-d", "big", "-i", "x", "-f", "log=" + "x" * 20_000)
    first, second = api.wait_for(2)
    assert len(second.body) < 2_000 < len(first.body)
    assert sent(second)["payload"]["summary"] == "big"
    assert "[truncated]" in sent(second)["payload"]["custom_details"]["log"]
    assert api.incident(KEY, "x").state == "open"


def test_what_stays_too_large_is_in_error(api: EventsApi, agent: Agent) -> None:
    """A second 413 is PagerDuty's last word."""
    api.script(KEY, Answer(413), Answer(413))
    agent.start()
    agent.send(KEY, "trigger", "-d", "big")
    wait_until(lambda: len(agent.names("err")) == 1)
    assert len(api.requests) == 2


def test_a_refused_event_is_kept_with_its_reason(api: EventsApi, agent: Agent) -> None:
    """400 puts the event in error with PagerDuty's words; the next one of the key goes at once."""
    words = {
        "status": "invalid event",
        "message": "Event object is invalid",
        "errors": ["Bad mood"],
    }
    api.script(KEY, Answer(400, words))
    agent.start()
    agent.send(KEY, "trigger", "-d", "refused", "-i", "x")
    agent.send(KEY, "trigger", "-d", "taken", "-i", "x")
    api.wait_accepted(1)
    wait_until(lambda: len(agent.names("suc")) == 1)
    [name] = agent.names("err")
    reason = json.loads((agent.data_dir / "db" / "reasons" / name).read_text())
    assert (reason["status"], reason["attempts"]) == (400, 1)
    assert "Bad mood" in reason["reason"]
    assert "Bad mood" in agent.log
    assert summaries(api.accepted) == ["taken"]


def test_retry_while_the_daemon_works(api: EventsApi, agent: Agent) -> None:
    """`pd-queue retry` makes events in error pending again, of one key or of all, and the running
    daemon sends them at once, oldest first."""
    agent.configure(events_url=api.url, send_interval_secs=3600)
    api.always(None, Answer(400))
    agent.start()
    for number in range(3):
        agent.send(KEY, "trigger", "-d", f"refused {number}", "-i", "x")
    agent.send(OTHER, "trigger", "-d", "refused too")
    wait_until(lambda: len(agent.names("err")) == 4)
    api.always(None, None)
    api.always(OTHER, Answer(delay=0.01))
    busy = threading.Thread(
        target=lambda: [enqueue(agent, key(1), None, "busy") for _ in range(50)]
    )
    busy.start()
    retried = agent.run("pd-queue", "retry", "-k", KEY, check=True)
    assert retried.stdout == b"3 event(s) set up for retry.\n"
    api.wait_for(lambda _: len([r for r in api.accepted if r.key == KEY]) == 3)
    again = [request for request in api.accepted if request.key == KEY]
    assert summaries(again) == [f"refused {number}" for number in range(3)]
    retried = agent.run("pd-queue", "retry", "-a", check=True)
    assert retried.stdout == b"1 event(s) set up for retry.\n"
    busy.join()
    api.wait_accepted(54)
    wait_until(lambda: len(agent.names("suc")) == 54)
    assert agent.names("err") == []
    assert list((agent.data_dir / "db" / "reasons").iterdir()) == []
    assert agent.run("pd-queue", "retry", "-a").stdout == b"0 event(s) set up for retry.\n"


def test_fifty_at_once(api: EventsApi, agent: Agent) -> None:
    """Fifty senders at the same moment: fifty events, each once."""
    agent.start()
    senders = [
        threading.Thread(
            target=agent.send, args=(KEY, "trigger", "-d", f"event {number}", "-i", f"{number}")
        )
        for number in range(50)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    api.wait_accepted(50)
    assert sorted(summaries(api.requests)) == sorted(f"event {number}" for number in range(50))
    wait_until(lambda: agent.names("pdq") == [])
    assert agent.names("tmp") == []


def test_dropped_files_are_found_without_a_wake(api: EventsApi, agent: Agent) -> None:
    """A script's file, as the old agent's users dropped them, is sent at the next look at the
    directory."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    agent.start()
    body = {"service_key": KEY, "event_type": "trigger", "description": "dropped", "details": {}}
    agent.drop(f"1795402356000000_{KEY}.txt", json.dumps(body).encode(), SENDER)
    [request] = api.wait_accepted(1)
    assert request.path == "/generic/2010-04-15/create_event.json"
    assert sent(request) == body


def test_a_pending_file_that_a_person_removes_is_not_sent(api: EventsApi, agent: Agent) -> None:
    """Removing a file from pdq/ takes the event out of the queue, while it waits too."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    api.always(KEY, Answer(429, retry_after=1))
    first = enqueue(agent, KEY, "a", "removed")
    enqueue(agent, KEY, "a", "sent")
    agent.start()
    api.wait_for(1)
    (agent.spool / "pdq" / first).unlink()
    api.wait_for(lambda seen: "sent" in summaries(seen))
    api.always(KEY, None)
    [request] = api.wait_accepted(1)
    assert summaries([request]) == ["sent"]


def test_a_change_event_arrives(api: EventsApi, agent: Agent) -> None:
    """A change event goes through the same spool, to its own address."""
    agent.start()
    agent.run("pd-send", "--change", "-k", KEY, "-d", "deployed", user=SENDER, check=True)
    [request] = api.wait_accepted(1)
    assert request.path == "/v2/change/enqueue"
    assert sent(request)["payload"]["summary"] == "deployed"
