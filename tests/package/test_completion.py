"""bash, zsh and fish offer what the commands' parsers know, and what this host holds."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.package.packages import ROOT
from tests.support.agent import Agent
from tests.support.events import enqueue
from tests.support.terminals import Terminal

NAMES = ("pd-send", "pd-queue", "pd-nagios", "pd-zabbix", "pd-sensu", "pdagent", "pdagentd")
KEYS = "[Keys]\ndb = 65d9cd0e14c04dae8ef86867277d138c\nweb-eu = 0e31d9c5aa6b4f0e9f5d2c7b8a916342\n"
STATES = "pending in-error delivered all"
ROWS = [
    ("pd-send -t ", "trigger acknowledge resolve"),
    ("pd-send --event-type r", "resolve"),
    ("pd-send --event-type=r", "resolve"),
    ("pd-send -d -t --severity ", "critical error warning info"),
    ("pd-send --serv", "--service-key --service-key-file"),
    ("pd-send c", "change"),
    ("pd-send r", "run"),
    ("pd-send e", "expect"),
    ("pd-send expect --w", "--within"),
    ("pd-send run --out", "--output-lines"),
    ("pd-send run --severity c", "critical"),
    ("pd-send change --wa", "--wait"),
    ("pd-send -d ", ""),
    ("pd-send -k @", "@db @web-eu"),
    ("pd-send --service-key @w", "@web-eu"),
    ("pd-queue ", "cancel list purge retry show status watch"),
    ("pd-queue list --state ", STATES),
    ("pd-queue retry --a", "--all-keys"),
    ("pd-queue retry --to-key @d", "@db"),
    ("pd-queue show ", "EVENT"),
    ("pd-queue retry ", ""),
    ("pdagent ", "check reload version"),
    ("pdagent check --s", "--send-test --service-key"),
    ("pdagentd --ch", "--check-config"),
    ("pd-nagios -n ", "service host"),
    ("pd-nagios -t RE", "RECOVERY"),
    ("pd-nagios --events-api ", "v1 v2"),
    ("pd-zabbix --dry", "--dry-run"),
    ("pd-zabbix @db r", "resolve"),
    ("pd-sensu -k @d", "@db"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ci/completion.py makes."""
    target = tmp_path_factory.mktemp("completion")
    environment = {"PYTHONPATH": str(ROOT / "agent")}
    subprocess.run([sys.executable, ROOT / "ci/completion.py", target], check=True, env=environment)
    return target


@pytest.fixture
def environment(tmp_path: Path, agent: Agent) -> dict[str, str]:
    """A host with the commands, names of keys and one event in its queue, EVENT in the rows."""
    agent.conf.write_text(agent.conf.read_text() + KEYS)
    enqueue(agent, "KEY", "server.fire", "waits")
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in NAMES:
        (commands / name).write_text(
            f'#!/bin/sh\nPYTHONPATH={ROOT}/agent exec {sys.executable} -m pdagent {name} "$@"\n'
        )
        (commands / name).chmod(0o755)
    return {
        "PATH": f"{commands}:/usr/bin:/bin",
        "PDAGENT_CONF": str(agent.conf),
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
    }


def expected(row: str, agent: Agent) -> set[str]:
    [event] = agent.names("pdq")
    return {event[:16] if word == "EVENT" else word for word in row.split()}


def test_bash(made: Path, environment: dict[str, str], agent: Agent) -> None:
    """bash offers for each line what is expected."""
    script = """
        . "$1"; shift
        for COMP_LINE; do
            COMP_POINT=${#COMP_LINE}
            _pdagent "${COMP_LINE%% *}"
            echo "${COMPREPLY[*]}"
        done"""
    lines = [line for line, _ in ROWS]
    seen = output(["bash", "-c", script, "bash", str(made / "bash"), *lines], environment)
    for (line, words), offered in zip(ROWS, seen.splitlines(), strict=True):
        assert set(offered.split()) == expected(words, agent), line


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish(made: Path, environment: dict[str, str], agent: Agent) -> None:
    """fish offers for each line what is expected."""
    script = f"""
        set -p fish_complete_path {made}
        for line in $argv
            echo LINE
            complete -C $line
        end"""
    lines = [line for line, _ in ROWS]
    seen = output(["fish", "--no-config", "-c", script, *lines], environment)
    for (line, words), offered in zip(ROWS, seen.split("LINE\n")[1:], strict=True):
        found = {
            each.partition("\t")[0].partition("=")[2] or each.partition("\t")[0]
            for each in offered.splitlines()
        }
        assert found == expected(words, agent), line


def output(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


def completed(terminal: Terminal, line: str, number: int) -> tuple[str, set[str]]:
    """Types a line and the key that completes it: the line that comes of it, and what is listed
    below."""
    end = f"END{number}"
    terminal.type(f"\025\014{line}\t{end}")  # ^U, ^L
    terminal.until(end)
    terminal.read(0.1)
    first, *rest = terminal.lines
    words = {word for each in rest for word in each.split("  ") if word}
    return first.removeprefix("> ").removesuffix(end), {word.strip() for word in words}


def test_bash_on_a_terminal(made: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """bash parts words at "@" and "=", so what is inserted is seen on its command line alone."""
    rc = tmp_path / "bashrc"
    rc.write_text(f". {made}/bash\nPS1='> '\n")
    with Terminal(["bash", "--rcfile", str(rc), "-i"], environment) as terminal:
        terminal.until(">")
        for number, (line, whole) in enumerate(
            {
                "pd-send -k @d": "pd-send -k @db ",
                "pd-send -k @": "pd-send -k @",
                "true; A=1 pd-send -k @w": "true; A=1 pd-send -k @web-eu ",
                "pd-send --severity=i": "pd-send --severity=info ",
                "pd-send --service-key=@d": "pd-send --service-key=@db ",
                "pd-queue retry --to": "pd-queue retry --to-key ",
            }.items()
        ):
            assert completed(terminal, line, number)[0] == whole


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh(made: Path, environment: dict[str, str], agent: Agent, tmp_path: Path) -> None:
    """zsh completes each line to the only word, or lists the words that are expected."""
    (tmp_path / ".zshrc").write_text(f"""
        PS1='> ' fpath=({made} $fpath)
        unsetopt beep
        autoload -U compinit && compinit -u -d {tmp_path}/dump
        """)
    with Terminal(["zsh", "-d", "-i"], {**environment, "ZDOTDIR": str(tmp_path)}) as terminal:
        terminal.until(">")
        for number, (line, row) in enumerate(ROWS):
            words = expected(row, agent)
            whole, listed = completed(terminal, line, number)
            if len(words) == 1:
                assert whole.rstrip("= ").endswith(words.pop()), line
            elif whole == line:
                assert {word for word in listed if word[:3] != "-- "} == words, line
            else:  # it has typed what they have in common
                assert words
                assert all(word.startswith(whole.split()[-1]) for word in words), line
