"""`pd-send expect`, as any user, and what `pd-queue` shows of it."""

import json
import os
import re
from pathlib import Path

import fastjsonschema
import pytest

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, OTHER, actions, sent
from tests.support.events_api import EventsApi
from tests.support.users import AGENT, SENDER, STRANGER, User

SCHEMA = Path(__file__).parents[2] / "docs" / "pd-queue-1.schema.json"


def expect(agent: Agent, *arguments: str, user: User = SENDER) -> tuple[int, str, str]:
    done = agent.run("pd-send", "expect", "-k", KEY, "-i", "backup", *arguments, user=user)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def shortened(path: Path) -> None:
    """Has an expectation that is kept lapse a second after it was heard of."""
    data = path.read_bytes()
    changed = re.sub(rb'"term":[0-9.]+', b'"term":1.0', data)
    assert changed != data
    path.write_bytes(changed)


def test_a_job_that_stops_running_is_a_page(api: EventsApi, agent: Agent) -> None:
    """With all that `pd-send` can say of an event; when it runs again the incident is resolved."""
    agent.start()
    said = expect(agent, "--within", "1s", "--severity", "warning", "-f", "owner=db team")
    assert said == (0, "Expected within 1s. Incident Key: backup\n", "")
    [request] = api.wait_for(lambda seen: len(seen) == 1)
    payload = sent(request)["payload"]
    assert payload["summary"] == "Nothing heard of backup within 1s"
    assert payload["severity"] == "warning"
    assert payload["custom_details"].pop("last_heard")
    assert payload["custom_details"] == {"expected_within": "1s", "owner": "db team"}
    assert expect(agent, "--within", "1h")[0] == 0
    wait_until(lambda: actions(api) == [("trigger", "backup"), ("resolve", "backup")])


def test_a_cancellation_ends_it(api: EventsApi, agent: Agent) -> None:
    """Nothing is kept of it that could lapse."""
    agent.start()
    expect(agent, "--within", "1h", "-i", "cancelled")
    wait_until(lambda: len(agent.names("expected")) == 1)
    said = expect(agent, "--cancel", "-i", "cancelled")
    assert said == (0, "No longer expected. Incident Key: cancelled\n", "")
    wait_until(lambda: agent.names("expected") == agent.names("expect") == [])
    expect(agent, "--within", "1s")
    wait_until(lambda: actions(api) == [("trigger", "backup")])


def test_it_is_safe_before_a_daemon_ever_ran(api: EventsApi, agent: Agent) -> None:
    """As an event is, under any umask. Once a daemon runs it has been taken over when the command
    ends."""
    assert expect(agent, "--within", "1h")[0] == 0
    done = agent.run(
        *("pd-send", "expect", "-k", KEY, "-i", "other", "--within", "1s", "-q"),
        user=SENDER,
        preexec=lambda: os.umask(0o777),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert len(agent.names("expect")) == 2
    assert agent.names("tmp") == []
    for name in agent.names("expect"):
        assert (agent.spool / "expect" / name).stat().st_mode & 0o777 == 0o640
    agent.start()
    wait_until(lambda: actions(api) == [("trigger", "other")])
    expect(agent, "--within", "1h", "-i", "third")
    wait_until(lambda: agent.names("expect") == [])  # on a busy machine, perhaps a moment later


@pytest.mark.needs_root
def test_users_do_not_meddle_with_each_other(api: EventsApi, agent: Agent) -> None:
    """A stranger with the same keys neither renews nor cancels what somebody else expects."""
    agent.start()
    expect(agent, "--within", "2s")
    expect(agent, "--within", "1h", user=STRANGER)
    expect(agent, "--cancel", user=STRANGER)
    wait_until(lambda: actions(api) == [("trigger", "backup")])


def test_a_key_by_name_is_looked_up_when_it_lapses(api: EventsApi, agent: Agent) -> None:
    """So it can be rotated meanwhile."""
    with agent.conf.open("a") as file:
        file.write(f"[Keys]\ndb = {OTHER}\n")
    agent.start()
    expect(agent, "-k", "@db", "--within", "1h")
    wait_until(lambda: agent.names("expected"))
    agent.conf.write_text(agent.conf.read_text().replace(OTHER, KEY))
    agent.stop()
    [path] = (agent.spool / "expected").iterdir()
    shortened(path)
    agent.start()
    wait_until(lambda: actions(api) == [("trigger", "backup")])
    assert api.accepted[0].key == KEY


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--within", "soon"], 2, "argument --within: 'soon' is no time"),
        (["--within", "-5m"], 2, "argument --within: '-5m' is no time"),
        (["--within", "0s"], 2, "must be from 1s to 366d"),
        (["--within", "2e9"], 2, "is no time"),
        (["--within", "99999d"], 2, "must be from 1s to 366d"),
        (["--within", "9" * 400], 2, "must be from 1s to 366d"),
        ([], 2, "argument --within is required"),
        (["--within", "1h", "--cancel"], 2, "argument --cancel: not allowed"),
        (["--within", "1h", "-i", ""], 2, "argument -i/--incident-key is required"),
        (["--within", "1h", "-i", " "], 2, "argument -i/--incident-key is required"),
        (["--within", "1h", "-k", ""], 2, "the integration key is empty"),
        (["--within", "1h", "-k", "@nobody"], 65, "no integration key is named @nobody"),
        (["--within", "1h", "-f", "x=" + "y" * 70_000], 65, "larger than 65536 bytes"),
        (["--within", "1h", "-t", "trigger"], 2, "unrecognized arguments: -t"),
    ],
)
def test_bad_input(agent: Agent, arguments: list[str], code: int, says: str) -> None:
    """One line and perhaps the usage, and nothing is accepted."""
    found, out, wrong = expect(agent, *arguments)
    assert (found, out) == (code, "")
    assert says in wrong.splitlines()[0]
    assert len(wrong.splitlines()) == (2 if code == 2 else 1)
    assert agent.names("expect") == agent.names("tmp") == []


def test_a_spool_that_takes_nothing(agent: Agent) -> None:
    """The exit code says try again, and the text what to do."""
    (agent.spool / "expect").rmdir()
    code, _, wrong = expect(agent, "--within", "1h")
    assert code == 75
    assert re.search(r"cannot write to .*/expect: No such file.* Nothing was accepted", wrong)
    assert KEY not in wrong


def test_a_dry_run_shows_the_page(agent: Agent) -> None:
    """And expects nothing."""
    code, out, _ = expect(agent, "--within", "25h", "--dry-run")
    assert code == 0
    assert json.loads(out)["payload"]["custom_details"] == {"expected_within": "25h"}
    assert agent.names("expect") == []


def test_pd_queue_shows_what_is_expected(api: EventsApi, agent: Agent) -> None:
    """The next to lapse first; and what has lapsed. No key in it."""
    agent.start()
    expect(agent, "--within", "25h", "-d", "no backup of \033[31mdb1")
    expect(agent, "--within", "1s", "-i", "lapses")
    wait_until(lambda: any(".lapsed" in name for name in agent.names("expected")))
    out = agent.run("pd-queue", "list", check=True).stdout.decode()
    # The page of the one that has lapsed may still be in the queue.
    heading, first, second = out[out.index("EXPECTED BY") :].splitlines()
    assert heading.split()[:3] == ["EXPECTED", "BY", "TERM"]
    assert re.search(r" 1s lapsed  \S+ +\*0617 lapses +Nothing heard of lapses within 1s$", first)
    assert re.search(r" 25h waits   \S+ +\*0617 backup +no backup of \\u001b\[31mdb1$", second)
    check_schema = fastjsonschema.compile(json.loads(SCHEMA.read_text()))
    document = json.loads(agent.run("pd-queue", "list", "--json", check=True).stdout)
    check_schema(document)
    assert [each["dedup_key"] for each in document["expectations"]] == ["lapses", "backup"]
    assert [each["lapsed"] for each in document["expectations"]] == [True, False]
    status = json.loads(agent.run("pd-queue", "status", "--json", check=True).stdout)
    check_schema(status)
    assert status["expectations"] == {"waiting": 1, "lapsed": 1}
    for option, selected in (("-i backup", 1), (f"-k {OTHER}", 0), ("--state all", 0), ("-n 1", 1)):
        found = agent.run("pd-queue", "list", "--json", *option.split(), check=True).stdout
        assert len(json.loads(found)["expectations"]) == selected, option
    assert KEY not in out


def test_a_key_by_name_has_its_column(agent: Agent) -> None:
    """However long the name is; and events stand above it, where there are any."""
    with agent.conf.open("a") as file:
        file.write(f"[Keys]\nnightly_backups = {KEY}\n")
    agent.start()
    expect(agent, "--within", "25h", "-k", "@nightly_backups")
    expect(agent, "--within", "26h")
    heading, first, second = agent.run("pd-queue", "list", check=True).stdout.decode().splitlines()
    assert {line.index(" backup") + 1 for line in (first, second)} == {heading.index("DEDUP KEY")}
    agent.stop()
    agent.send(KEY, "trigger", "-d", "disk", "-i", "disk")
    events, _, table = agent.run("pd-queue", "list", check=True).stdout.decode().partition("\n\n")
    assert "disk" in events
    assert table.startswith("EXPECTED BY")


def run(agent: Agent, *arguments: str) -> tuple[int, str]:
    done = agent.run("pd-send", "run", "-k", KEY, "-i", "backup", *arguments, user=SENDER)
    return done.returncode, done.stderr.decode()


def test_a_job_that_is_run_is_expected_to_run_again(api: EventsApi, agent: Agent) -> None:
    """In one: its failure pages, and so does that it is not run any more. Each success renews."""
    agent.start()
    assert run(agent, "--every", "1d", "--", "false") == (1, "")
    wait_until(lambda: actions(api) == [("trigger", "backup")])
    assert agent.names("expected") == agent.names("expect") == []
    assert run(agent, "--every", "1s", "--", "true") == (0, "")
    wait_until(lambda: len(api.accepted) == 3)
    assert actions(api)[1:] == [("resolve", "backup"), ("trigger", "backup")]
    payload = sent(api.accepted[2])["payload"]
    assert payload["summary"] == f"true did not run on {os.uname().nodename}"
    assert payload["custom_details"]["expected_within"] == "1s"
    assert payload["custom_details"]["command"] == "true"
    assert run(agent, "--every", "1d", "--", "true") == (0, "")
    wait_until(lambda: actions(api)[3:] == [("resolve", "backup")])


@pytest.mark.parametrize("every", ["daily", "0", "333d", "-1d"])
def test_a_job_with_a_time_that_is_none_is_not_run(agent: Agent, every: str) -> None:
    """What is wrong is said before anything runs."""
    code, wrong = run(agent, "--every", every, "--", "touch", str(agent.root / "log" / "ran"))
    assert code == 2
    assert f"argument --every: '{every}' is no time" in wrong
    assert "must be a number" in wrong or "must be from 1s to 332d" in wrong  # a tenth more: 366 d
    assert not (agent.root / "log" / "ran").exists()


def test_a_job_whose_next_run_can_not_be_expected(agent: Agent) -> None:
    """Its exit code is its own."""
    (agent.spool / "expect").rmdir()
    code, wrong = run(agent, "--every", "1d", "--", "true")
    assert code == 0
    assert "--every has no effect this time: cannot write" in wrong


@pytest.mark.needs_root
def test_root_cancels_what_others_expect(api: EventsApi, agent: Agent) -> None:
    """In their names: so what has lapsed is resolved."""
    agent.start()
    expect(agent, "--within", "1h")
    expect(agent, "--within", "1h", user=STRANGER)
    expect(agent, "--within", "1s", "-i", "lapses")
    wait_until(lambda: any(".lapsed" in name for name in agent.names("expected")))

    def cancel(*arguments: str, user: User | None = None) -> tuple[int, str]:
        done = agent.run("pd-queue", "cancel", *arguments, user=user)
        return done.returncode, (done.stdout + done.stderr).decode()

    number = str(STRANGER.uid)
    shown = cancel("--user", number, "--dry-run")[1]
    assert "60m waits" in shown
    assert shown.endswith("\n1 expectation(s) would be cancelled.\n")
    assert cancel("--user", number) == (0, "1 expectation(s) cancelled.\n")
    wait_until(lambda: len(agent.names("expected")) == 2)
    assert cancel("-i", "other") == (0, "0 expectation(s) cancelled.\n")
    assert cancel("-a", user=AGENT)[0] == 77
    assert cancel("-a", user=SENDER)[0] == 77
    assert cancel("-a") == (0, "2 expectation(s) cancelled.\n")
    wait_until(lambda: agent.names("expected") == [])
    wait_until(lambda: actions(api) == [("trigger", "lapses"), ("resolve", "lapses")])
    assert agent.names("tmp") == []


@pytest.mark.parametrize("arguments", [[], ["-a", "-i", "x"], ["--user", "no such user"]])
def test_what_to_cancel_has_to_be_said(agent: Agent, arguments: list[str]) -> None:
    """As with purge."""
    assert agent.run("pd-queue", "cancel", *arguments).returncode == 2
