"""Mistakes in the configuration: a warning to senders, an error to the daemon."""

import os
from collections.abc import Callable

import pytest

from tests.support.agent import Agent
from tests.support.events import KEY
from tests.support.users import AGENT, ROOT, SENDER

EVENT = ["-k", KEY, "-t", "trigger", "-d", "x", "-i", "i"]


def line(text: str) -> Callable[[Agent], None]:
    """Adds a line, the sixth, to a configuration that is fine."""

    def add(agent: Agent) -> None:
        agent.conf.write_text(agent.conf.read_text() + text + "\n")

    return add


FATAL: dict[str, tuple[Callable[[Agent], None], str]] = {
    "syntax error": (line("junk"), "{conf}, line 6: is neither 'name = value' nor '[section]'"),
    "bad number": (line("max_connections = many"), "{conf}, line 6: Bad max_connections: "),
    "%": (line("max_connections = 50%"), "{conf}, line 6: Bad max_connections: "),
    "not a word": (line("events_api = v3"), "{conf}, line 6: Bad events_api: must be one of "),
    "not an address": (line("events_url = events"), "{conf}, line 6: Bad events_url: must "),
}


def warned(agent: Agent, command: str, *arguments: str) -> str:
    """The one line on stderr of a command that did its work."""
    result = agent.run(command, *arguments, user=SENDER if command == "pd-send" else AGENT)
    assert result.returncode == 0, result.stderr
    [warning] = result.stderr.decode().splitlines()
    assert warning.startswith(f"{command}: warning: ")
    return warning


@pytest.mark.parametrize("kind", FATAL)
def test_a_mistake_swallows_no_page(agent: Agent, kind: str) -> None:
    """pd-send: one warning line that names file and line, the rest of the file is used, the event
    is queued, exit 0. pd-queue goes on too."""
    make, text = FATAL[kind]
    make(agent)
    text = text.format(conf=agent.conf)
    assert text in warned(agent, "pd-send", *EVENT)
    assert len(agent.names("pdq")) == 1
    assert text in warned(agent, "pd-queue", "status")


@pytest.mark.parametrize("kind", FATAL)
@pytest.mark.parametrize("mode", [[], ["-f"]])
def test_a_mistake_stops_the_daemon(agent: Agent, kind: str, mode: list[str]) -> None:
    """pdagentd: one line that names file and line, also in its log; exit 78."""
    make, text = FATAL[kind]
    make(agent)
    refused = agent.run("pdagentd", *mode, user=AGENT)
    assert refused.returncode == 78
    [said] = refused.stderr.decode().splitlines()
    assert said.startswith("pdagentd: " + text.format(conf=agent.conf))
    assert text.format(conf=agent.conf) in agent.log


def missing(agent: Agent) -> None:
    agent.conf.unlink()


def unreadable(agent: Agent) -> None:
    agent.conf.chmod(0o000)


def directory(agent: Agent) -> None:
    agent.conf.unlink()
    agent.conf.mkdir()


def fifo(agent: Agent) -> None:
    agent.conf.unlink()
    os.mkfifo(agent.conf)


UNREADABLE = {"missing": missing, "unreadable": unreadable, "directory": directory}


@pytest.mark.needs_root
@pytest.mark.parametrize("kind", UNREADABLE)
def test_no_configuration(agent: Agent, kind: str) -> None:
    """A configuration that can't be read: pd-send warns in one line and goes on with the
    defaults, here as far as the usual spool; pdagentd says it in one line, exit 78."""
    UNREADABLE[kind](agent)
    text = f"Unable to read the config file at: {agent.conf}: "
    dry = agent.run("pd-send", *EVENT, "--dry-run", user=SENDER)
    assert dry.returncode == 0
    [warning] = dry.stderr.decode().splitlines()
    assert warning.startswith(f"pd-send: warning: {text}")
    assert warning.endswith("; going on with defaults")
    refused = agent.run("pdagentd", "-f", user=AGENT)
    assert refused.returncode == 78
    [said] = refused.stderr.decode().splitlines()
    assert said.startswith(f"pdagentd: {text}")


def test_a_fifo_in_its_place(agent: Agent) -> None:
    """Nothing that lies in the file's place makes pd-send wait."""
    fifo(agent)
    assert agent.run("pd-send", *EVENT, "--dry-run", user=SENDER).returncode == 0


def test_no_section(agent: Agent) -> None:
    """The old agent's words for a file without [Main]."""
    agent.conf.write_text("# nothing\n")
    refused = agent.run("pdagentd", "-f", user=AGENT)
    assert refused.returncode == 78
    assert b"Config is missing [Main] section" in refused.stderr


def test_an_unknown_key(agent: Agent) -> None:
    """A key that nobody knows is a warning with file and line, everywhere; nothing stops."""
    line("send_intervall_secs = 5")(agent)
    text = f"{agent.conf}, line 6: send_intervall_secs is not a setting that pdagent knows"
    assert text in warned(agent, "pd-send", *EVENT)
    assert text in warned(agent, "pd-queue", "status")
    agent.start()
    assert text in agent.output.read_text()
    assert text in agent.log
    assert agent.stop() == 0


def test_percent_is_a_character(agent: Agent) -> None:
    """Where a value may hold one, % means itself."""
    line("proxy_url = http://user:p%40ss@proxy:3128")(agent)
    assert agent.run("pd-send", *EVENT, user=SENDER).stderr == b""


@pytest.mark.skipif(not ROOT, reason="only root can become somebody else")
def test_warnings_do_not_quote_values(agent: Agent) -> None:
    """A password in a line that is wrong is not repeated."""
    line("proxy_url = socks5://proxy:s3cr3t@proxy")(agent)
    assert "s3cr3t" not in warned(agent, "pd-send", *EVENT)
