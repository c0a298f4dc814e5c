"""The commands: texts and exit codes that scripts and habits rely on, and what is new."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable

import pytest

from tests.integration.senders import Sender
from tests.support.agent import Agent
from tests.support.events import KEY, enqueue, sent
from tests.support.events_api import EventsApi
from tests.support.users import ROOT, SENDER


def test_dry_run(agent: Agent, pd_send: Sender) -> None:
    """--dry-run prints the body, and queues nothing, even where there is no queue."""
    agent.configure(events_url="http://127.0.0.1:1", data_dir="/nonexistent")
    code, out, _ = pd_send("-k", KEY, "-t", "trigger", "-d", "x", "-i", "i", "--dry-run")
    assert code == 0
    assert json.loads(out)["dedup_key"] == "i"
    assert agent.names("pdq") == []


def test_which_configuration(agent: Agent) -> None:
    """--config beats PDAGENT_CONF; both beat the usual place."""
    arguments = ["-k", KEY, "-t", "trigger", "-d", "x"]
    command = [*agent.command("pd-send"), *arguments]
    elsewhere = {**agent.environment, "PDAGENT_CONF": "/nonexistent"}
    subprocess.run([*command, "--config", str(agent.conf)], env=elsewhere, check=True)
    here = {**agent.environment, "PDAGENT_CONF": str(agent.conf)}
    subprocess.run(command, env=here, check=True)
    assert len(agent.names("pdq")) == 2


def test_status(api: EventsApi, agent: Agent) -> None:
    """The table, four columns, keys sorted; -k for one; nothing to report where there is
    nothing."""
    assert agent.run("pd-queue", "status").stdout == b"Nothing to report.\n"
    for key, directory in [("KEY2", "err"), ("KEY1", "pdq"), ("KEY1", "pdq"), ("KEY3", "suc")]:
        name = enqueue(agent, key, None, "x")
        (agent.spool / "pdq" / name).rename(agent.spool / directory / name)
    enqueue(agent, KEY, None, "x")
    (agent.spool / "err" / "no event's name").touch()
    assert agent.run("pd-queue", "status", check=True).stdout.decode() == (
        "Service Key                           Pending   Success  In Error\n"
        "=================================================================\n"
        "KEY1                                        2         0         0\n"
        "KEY2                                        0         0         1\n"
        "KEY3                                        0         1         0\n"
        "c7a4f1e2b9d84c6fa0b1c2d3e4f50617            1         0         0\n"
    )
    one = agent.run("pd-queue", "status", "-k", "KEY2", check=True).stdout.decode()
    assert one.splitlines()[2:] == [
        "KEY2                                        0         0         1"
    ]
    assert agent.run("pd-queue", "status", "-k", "unknown").stdout == b"Nothing to report.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "too few arguments"),
        (["retry"], "A specific service key or a flag for all keys required"),
        (
            ["retry", "-a", "-k", "X"],
            "Only one of specific service key or flag for all keys required",
        ),
    ],
)
def test_queue_usage_errors(agent: Agent, arguments: list[str], says: str) -> None:
    """pd-queue's mistakes have the old agent's words, exit 2; then comes a line with what to
    type."""
    result = agent.run("pd-queue", *arguments)
    assert result.returncode == 2
    first, second = result.stderr.decode().splitlines()
    assert first == f"pd-queue: error: {says}"
    assert "pd-queue" in second


@pytest.mark.parametrize("arguments", [["--help"], ["status", "-h"], ["retry", "-h"]])
def test_queue_help(agent: Agent, arguments: list[str]) -> None:
    """-h works everywhere, exit 0."""
    result = agent.run("pd-queue", *arguments)
    assert result.returncode == 0
    assert result.stdout.startswith(b"usage: pd-queue ")
    assert b"optional arguments:" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lst"], "did you mean list?"),
        (["list", "--state", "in-eror"], "did you mean in-error?"),
        (["list", "--state", "qqq"], "'all')"),
    ],
)
def test_did_you_mean(agent: Agent, arguments: list[str], says: str) -> None:
    """A mistyped word is answered with the one that was meant, where there is one like it."""
    result = agent.run("pd-queue", *arguments)
    assert result.returncode == 2
    assert result.stderr.decode().splitlines()[0].endswith(says)


@pytest.mark.parametrize(
    "command",
    [
        "pd-queue --help", "pd-queue retry -h", "pd-queue list", "pd-queue status --json",
        "pd-send --version", "pd-send -k k -t trigger -d x --dry-run",
        "pdagent version", "pdagent check --config-only",
    ],
)  # fmt: skip
def test_nobody_takes_a_lost_answer_for_an_empty_one(agent: Agent, command: str) -> None:
    """What could not be written to stdout is an error, exit 74."""
    enqueue(agent, KEY, "x", "x")
    name, *arguments = command.split()
    line = shlex.join([*agent.command(name), "--config", str(agent.conf), *arguments])
    result = subprocess.run(
        ["sh", "-c", f"{line} > /dev/full"], capture_output=True, env=agent.environment, check=False
    )
    said = f"{name}: cannot write to standard output: No space left on device\n"
    assert (result.returncode, result.stderr.decode()) == (74, said)


@pytest.mark.parametrize("command", ["pd-send -h", "pdagentd -h", "pdagent --version"])
def test_help_that_goes_nowhere(agent: Agent, command: str) -> None:
    """It is no success either where stderr is closed besides stdout."""
    name, *arguments = command.split()
    result = agent.run(name, *arguments, preexec=lambda: os.closerange(1, 3))
    assert result.returncode == 74


def test_a_lost_receipt_is_no_error(agent: Agent) -> None:
    """pd-send has the event on disk by then."""
    line = shlex.join([*agent.command("pd-send"), "--config", str(agent.conf)])
    subprocess.run(
        ["sh", "-c", f"{line} -k {KEY} -t trigger -d x > /dev/full"],
        env=agent.environment,
        check=True,
    )
    assert len(agent.names("pdq")) == 1


@pytest.mark.parametrize("command", ["status", "retry", "list", "purge --yes", "watch", "show x"])
def test_queue_is_not_for_everybody(agent: Agent, command: str) -> None:
    """Another user is told what to type, exit 77."""
    if not ROOT:
        pytest.skip("only root can become somebody else")
    key = [] if command.startswith("show") else ["-k", KEY]
    result = agent.run("pd-queue", *command.split(), *key, user=SENDER)
    assert result.returncode == 77
    [line] = result.stderr.decode().splitlines()
    assert line.endswith(f"Permission denied. Use: sudo pd-queue {command.split()[0]}")


def test_queue_without_a_spool(agent: Agent) -> None:
    """A missing spool is named, exit 75."""
    agent.configure(events_url="http://127.0.0.1:1", data_dir="/nonexistent")
    result = agent.run("pd-queue", "status")
    assert result.returncode == 75
    assert result.stderr.startswith(b"pd-queue: cannot access /nonexistent/outqueue/pdq")


@pytest.fixture
def shell(agent: Agent) -> Callable[[str], str]:
    """A shell in which the agent's commands are installed; gives what a script printed."""
    programs = agent.root / "bin"
    programs.mkdir()
    for name in ("pd-send", "pd-queue"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(agent.command(name))} "$@"\n')
        program.chmod(0o755)
    (programs / "sudo").symlink_to("/usr/bin/env")

    def run(script: str) -> str:
        environment = {**agent.environment, "PDAGENT_CONF": str(agent.conf)}
        environment["PATH"] = f"{programs}:{environment['PATH']}"
        result = subprocess.run(
            ["sh", "-euc", script], env=environment, capture_output=True, check=True
        )
        return result.stdout.decode()

    return run


def test_the_guide(api: EventsApi, agent: Agent, shell: Callable[[str], str]) -> None:
    """Every command line of the published guide does what the guide says."""
    export = "export PD_SERVICE_KEY=65d9cd0e14c04dae8ef86867277d138c\n"
    assert shell("pd-send --help").startswith("usage: pd-send [-h]")
    fire = 'pd-send -k $PD_SERVICE_KEY -t trigger -d "Server is on fire" -i server.fire'
    assert shell(export + fire) == "Event processed. Incident Key: server.fire\n"
    shell(export + fire + " -f MSG1=TEST1 -f MSG2=TEST2")
    agent.start()
    api.wait_accepted(2)
    details = sent(api.accepted[1])["payload"]["custom_details"]
    assert details == {"MSG1": "TEST1", "MSG2": "TEST2"}
    assert agent.stop() == 0
    for directory, key in [("pdq", "key1"), ("pdq", "key2"), ("err", "key2")]:
        name = enqueue(agent, key, None, "x")
        (agent.spool / "pdq" / name).rename(agent.spool / directory / name)
    header = "Service Key                           Pending   Success  In Error\n" + "=" * 65 + "\n"
    key1 = "key1                                        1         0         0\n"
    key2 = "key2                                        1         0         1\n"
    sent_before = "65d9cd0e14c04dae8ef86867277d138c            0         2         0\n"
    assert shell("pd-queue -h").startswith("usage: pd-queue [-h]")
    assert shell("pd-queue status -h").startswith("usage: pd-queue status [-h]")
    assert shell("sudo pd-queue status") == header + sent_before + key1 + key2
    assert shell("pd-queue status -k key2") == header + key2
    assert shell("pd-queue retry -h").startswith("usage: pd-queue retry [-h]")
    assert shell("pd-queue retry -k key2") == "1 event(s) set up for retry.\n"
    assert shell("pd-queue retry -a") == "0 event(s) set up for retry.\n"


def test_what_is_installed(agent: Agent) -> None:
    """`pdagent version` says what exactly runs."""
    result = agent.run("pdagent", "version", user=SENDER, check=True)
    assert re.match(rb"pdagent 3\.0\.0, Python 3\.\d+", result.stdout)
