"""`pd-send run`: a command runs as if nobody watched, and its failure pages."""

import fcntl
import os
import re
import resource
import subprocess
from pathlib import Path

import pytest

from tests.integration.runs import Done, actions, begun, events, files, page, run
from tests.support import syslog
from tests.support.agent import Agent
from tests.support.events import KEY
from tests.support.users import ROOT, SENDER, STRANGER


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (["sh", "-c", "exit 3"], 3, r"exit 3 after [0-9.]+ s"),
        (["sh", "-c", "kill -9 $$"], 137, r"killed by SIGKILL after [0-9.]+ s"),
        (["no-such-command"], 127, r"not found \(exit 127\)"),
        (["/etc/passwd"], 126, r"cannot be run: Permission denied \(exit 126\)"),
        (["/"], 126, r"cannot be run: Permission denied \(exit 126\)"),
        ([""], 127, r"not found \(exit 127\)"),
    ],
)
def test_a_failure_pages(agent: Agent, command: list[str], code: int, says: str) -> None:
    """And the exit code is the command's, or what env and nice exit with, which say why, too."""
    done = run(agent, "--", *command)
    assert (done.returncode, done.stdout) == (code, b"")
    shown = command[0] or "''"
    problem, _, not_run = says.partition(r" \(exit")
    assert done.stderr.decode() == (f"pd-send: {shown}: {problem}\n" if not_run else "")
    summary, details = page(agent)
    name = os.path.basename(command[0]) or shown
    assert re.fullmatch(rf"{name} failed on {os.uname().nodename}: {says}", summary)
    assert details.get("exit", details.get("signal")) == ("SIGKILL" if code == 137 else code)
    assert details["user"]


def test_success_costs_nothing(agent: Agent) -> None:
    """No event, no file, no word; streams are the command's."""
    done = agent.run("pd-send", "run", "-k", KEY, "--", "cat", input=b"through", user=SENDER)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"through", b"")
    assert (events(agent), files(agent)) == ([], [])


def test_success_resolves_what_a_failure_opened(agent: Agent, tmp_path: Path) -> None:
    """Once, under the same dedup key; another job's success does not."""
    flag = agent.root / "flag"
    job = ["--", "test", "!", "-e", str(flag)]
    flag.touch()
    assert run(agent, *job).returncode == 1
    assert run(agent, "--", "test", "-e", "/").returncode == 0
    assert actions(agent) == ["trigger"]
    flag.unlink()
    assert [run(agent, *job).returncode for _ in range(2)] == [0, 0]
    assert actions(agent) == ["trigger", "resolve"]
    first, second = events(agent)
    assert first["dedup_key"] == second["dedup_key"]
    assert files(agent) == []


def test_what_was_said_of_the_event_is_in_it(agent: Agent) -> None:
    """The options of pd-send that describe an event."""
    run(
        agent,
        *("-i", "backup", "-d", "No backup", "--severity", "warning", "--source", "db1"),
        *("-f", "runbook=R1", "--component", "disk", "--link", "http://x/1 Runbook", "--", "false"),
    )
    [event] = events(agent)
    payload = event["payload"]
    assert isinstance(payload, dict)
    assert (event["dedup_key"], event["links"]) == (
        "backup",
        [{"href": "http://x/1", "text": "Runbook"}],
    )
    assert (payload["summary"], payload["severity"], payload["source"]) == (
        "No backup",
        "warning",
        "db1",
    )
    assert payload["custom_details"]["runbook"] == "R1"
    assert payload["custom_details"]["command"] == "false"


def test_a_blank_incident_key_is_none(agent: Agent) -> None:
    """In a script the variable may be empty. PagerDuty would refuse the resolve."""
    for blank in ((), ("-i", " ")):
        run(agent, *blank, "--", "false")
        unit(agent, "job.service", "exit-code", "exited", "3", *blank)
    job, unit_, *again = [event["dedup_key"] for event in events(agent)]
    assert [job, unit_] == again


def test_the_nth_failure_in_a_row_pages(agent: Agent) -> None:
    """And those after it. A success between them begins anew, and resolves only what was opened."""
    flag = agent.root / "flag"
    job = ["--failures", "3", "--", "test", "-e", str(flag)]
    for _ in range(2):
        run(agent, *job)
    flag.touch()
    run(agent, *job)
    flag.unlink()
    assert (events(agent), files(agent)) == ([], [])
    for _ in range(4):
        run(agent, *job)
    assert actions(agent) == ["trigger", "trigger"]
    flag.touch()
    run(agent, *job)
    assert actions(agent) == ["trigger", "trigger", "resolve"]


def test_failures_are_counted_under_any_umask(agent: Agent) -> None:
    """The next run can read what this one has written, and a success removes it."""
    strict = ("sh", "-c", 'umask 777; exec "$@"', "sh")
    job = ["-i", "backup", "--failures", "3", "--"]
    for _ in range(2):
        run(agent, *job, "false", under=strict)
    assert actions(agent) == []
    run(agent, *job, "false", under=strict)
    assert actions(agent) == ["trigger"]
    for _ in range(2):
        run(agent, *job, "true", under=strict)
    assert (actions(agent), files(agent)) == (["trigger", "resolve"], [])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "the command stands behind --"),
        (["--"], "the command stands behind --"),
        (["true"], "the command stands behind --"),
        (
            ["--timeout", "soon", "--", "true"],
            "'soon' is no time: it must be a number",
        ),
        (["--timeout", "0", "--", "true"], "'0' is no time: it must be more than 0"),
        (["--failures", "0", "--", "true"], "must be a whole number from 1"),
        (["--output-lines", "-1", "--", "true"], "must be a whole number from 0"),
        (["--severity", "bad", "--", "true"], "invalid choice: 'bad'"),
        (["--outputlines", "3", "--", "true"], "unrecognized"),
    ],
)
def test_a_wrong_command_line_runs_nothing(agent: Agent, words: list[str], says: str) -> None:
    """One line, and exit 2."""
    done = run(agent, *words)
    [line, usage] = done.stderr.decode().splitlines()
    assert done.returncode == 2
    assert says in line
    assert usage.startswith("usage: pd-send run [options] -- COMMAND [ARGUMENT]...")
    assert (events(agent), files(agent)) == ([], [])


@pytest.mark.parametrize("word", ["run", "expect", "unit", "change"])
def test_a_word_that_does_not_stand_first(agent: Agent, word: str) -> None:
    """As people type it who know git."""
    done = agent.run("pd-send", "-k", KEY, word, "--", "true")
    assert (done.returncode, done.stdout) == (2, b"")
    assert (
        f"If the word {word} is meant, it stands first: pd-send {word} -h".encode() in done.stderr
    )


def test_a_key_that_nobody_has(agent: Agent) -> None:
    """The command runs all the same, and the page waits for the key."""
    for option, name in ((["-k", "@nobody"], "@nobody"), ([], "@default")):
        done = agent.run("pd-send", "run", *option, "--", "sh", "-c", "echo ran; exit 4")
        assert (done.returncode, done.stdout) == (4, b"ran\n")
        [line] = done.stderr.decode().splitlines()
        assert "A page waits in the queue until" in line
        assert events(agent)[-1]["routing_key"] == name


def test_a_page_that_cannot_be_queued(agent: Agent) -> None:
    """Changes nothing for the command; it is said on stderr and in the system's log."""
    agent.configure(events_url="http://127.0.0.1:1", direct_delivery="off")
    (agent.spool / "pdq").chmod(0)
    if ROOT:
        (agent.spool / "pdq").rmdir()
        done, line = syslog.run(
            agent, "pd-send", ["run", "-k", KEY, "--", "sh", "-c", "exit 3"], {}
        )
        assert b"pdq" in line
    else:
        done = run(agent, "--", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert b"The event was not queued" in done.stderr
    assert KEY.encode() not in done.stderr


def test_too_few_descriptors(agent: Agent) -> None:
    """The page needs some too. Where the command can't have them, pd-send gives up its own."""
    codes = []
    for most in range(6, 12):

        def limit(most: int = most) -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

        words = ["run", "-k", KEY, "-i", str(most), "--", "sh", "-c", "exit 3"]
        done = agent.run("pd-send", *words, preexec=limit)
        codes.append(done.returncode)
        assert len(events(agent)) == len(codes)
        said = b"pd-send: sh: cannot be run: Too many open files\n"
        assert done.stderr == (said if done.returncode == 126 else b"")
    assert {*codes} == {126, 3}


@pytest.mark.parametrize("missing", [True, False])
def test_without_a_place_for_its_file(agent: Agent, missing: bool) -> None:
    """The page goes out, and what can't be kept is said."""
    if missing:
        (agent.spool / "jobs").rmdir()
    else:
        (agent.spool / "jobs").chmod(0o700)
    done = run(agent, "--", "false")
    assert done.returncode == 1
    if missing or ROOT:
        assert b"No success will resolve the incident" in done.stderr
    assert actions(agent) == ["trigger"]
    assert run(agent, "--", "true").stderr == b""


@pytest.mark.needs_root
@pytest.mark.skipif(not ROOT, reason="needs several users")
@pytest.mark.parametrize("kind", ["file", "link", "fifo", "directory", "second name"])
def test_what_a_stranger_puts_there(agent: Agent, kind: str) -> None:
    """Is neither read, written nor waited for. A failure pages at once, a success resolves."""
    run(agent, "-i", "backup", "--failures", "2", "--", "false")
    [name] = files(agent)
    path = agent.spool / "jobs" / name
    path.unlink()
    mine = agent.root / "mine"
    mine.write_text("precious")
    os.chown(mine, SENDER.uid, SENDER.gid)
    script = {
        "file": f"echo x >{path}; chmod 666 {path}",
        "link": f"ln -s {mine} {path}",
        "fifo": f"mkfifo {path}; chmod 666 {path}",
        "directory": f"mkdir {path}; chmod 777 {path}",
        "second name": "",
    }[kind]
    subprocess.run(["sh", "-c", script], check=True, **STRANGER.popen())
    if kind == "second name":
        os.link(mine, path)
    done = run(agent, "-i", "backup", "--failures", "2", "--", "false")
    assert (done.returncode, actions(agent)) == (1, ["trigger"])
    assert run(agent, "-i", "backup", "--failures", "2", "--", "true").returncode == 0
    assert actions(agent) == ["trigger", "resolve"]
    assert mine.read_text() == "precious"
    assert path.is_symlink() or path.exists()


def test_runs_at_the_same_time(agent: Agent) -> None:
    """No incident is left open by a success that came between a failure and its event."""
    running = [begun(agent, "-i", "job", "--", name) for name in ("false", "true") * 4]
    codes = [process.wait(timeout=60) for process in running]
    assert codes == [1, 0] * 4
    found = actions(agent)
    assert found.count("trigger") == 4
    if not files(agent):
        assert found[-1] == "resolve"
    run(agent, "-i", "job", "--", "true")
    assert (actions(agent)[-1], files(agent)) == ("resolve", [])


def test_a_run_that_takes_long_to_page(agent: Agent) -> None:
    """As with direct delivery. A success beside it does not wait for it, and leaves it to the next
    one to resolve what it may open yet."""
    run(agent, "-i", "job", "--", "false")
    [name] = files(agent)
    with (agent.spool / "jobs" / name).open("rb") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        assert run(agent, "-i", "job", "--", "true").returncode == 0
    assert (actions(agent), files(agent)) == (["trigger", "resolve"], [name])
    run(agent, "-i", "job", "--", "true")
    assert (actions(agent), files(agent)) == (["trigger", "resolve", "resolve"], [])


def test_a_file_that_was_not_written_in_time(agent: Agent) -> None:
    """After a crash or on a full disk: there may be an open incident."""
    run(agent, "-i", "backup", "--failures", "2", "--", "false")
    [name] = files(agent)
    for content in ("", "{", '{"failures": "x"}', "[]"):
        path = agent.spool / "jobs" / name
        path.write_text(content)
        if ROOT:
            os.chown(path, SENDER.uid, SENDER.gid)
        run(agent, "-i", "backup", "--", "true")
        assert actions(agent)[-1] == "resolve"
        assert files(agent) == []
    assert len(events(agent)) == 4


def unit(agent: Agent, name: str, result: str, code: str, status: str, *options: str) -> Done:
    """As pdagent-failed@.service, under systemd 251 and later. The journal is a test's own."""
    programs = agent.root / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "journalctl").write_text("#!/bin/sh\necho started\necho last words\n")
    (programs / "journalctl").chmod(0o755)
    told = {"UNIT": name, "SERVICE_RESULT": result, "EXIT_CODE": code, "EXIT_STATUS": status}
    environment = {f"MONITOR_{name}": value for name, value in told.items()}
    environment["PATH"] = f"{programs}:/usr/bin:/bin"
    words = ["unit", "-k", KEY, "--output-lines", "1", *options, "--", name]
    return agent.run("pd-send", *words, environment=environment)


@pytest.mark.parametrize("name", ["job.service", r"dev-disk-by\x2duuid-1.swap", "-.mount"])
def test_a_unit(agent: Agent, name: str) -> None:
    """Its failure is a page with its last lines, its success resolves what that opened, once."""
    assert unit(agent, name, "success", "exited", "0").returncode == 0
    assert events(agent) == []
    assert unit(agent, name, "exit-code", "exited", "3").returncode == 0
    summary, details = page(agent)
    assert summary == f"{name} failed on {os.uname().nodename}: exit 3"
    assert details == {"unit": name, "result": "exit-code", "exit": 3, "output": "last words"}
    for _ in range(2):
        assert unit(agent, name, "success", "exited", "0").returncode == 0
    assert actions(agent) == ["trigger", "resolve"]


@pytest.mark.parametrize("name", ["", " ", "/usr/bin/backup", "a b.service", "a\nb", "x" * 256])
def test_no_unit(agent: Agent, name: str) -> None:
    """A name that no unit can have is a wrong command line. Its page could never be resolved."""
    done = unit(agent, name, "exit-code", "exited", "3")
    [line, _] = done.stderr.decode().splitlines()
    says = f"{name!r} is not the name of a unit, such as backup.service"
    assert line == f"pd-send unit: error: {says}"
    assert (done.returncode, events(agent), files(agent)) == (2, [], [])


def test_the_unit_that_pages_does_not_page_for_itself(agent: Agent) -> None:
    """Where each service is to page for its failure, that would never end."""
    done = unit(agent, "pdagent-failed@job.service", "exit-code", "exited", "75")
    assert (done.returncode, events(agent)) == (0, [])


def test_a_unit_whose_page_cannot_be_queued(agent: Agent) -> None:
    """Then the unit that pages has failed, for systemd to tell."""
    agent.configure(events_url="http://127.0.0.1:1", direct_delivery="off")
    (agent.spool / "pdq").rmdir()
    done = unit(agent, "job.service", "timeout", "", "")
    assert done.returncode == 75
    assert b"The event was not queued" in done.stderr
