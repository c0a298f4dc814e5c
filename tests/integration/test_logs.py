"""The log: what a person reads, and what nobody must be able to read or write there."""

import fcntl
import os
import pty
import re
import select
import stat
import subprocess
from collections.abc import Callable

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, enqueue, key
from tests.support.events_api import Answer, EventsApi
from tests.support.users import AGENT

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING|ERROR) +\S+ +\S+ +\S.*")


def test_one_line_an_event(api: EventsApi, agent: Agent) -> None:
    """Each verdict is one line: what, where, how long; the key by its last four characters."""
    agent.start()
    agent.send(KEY, "trigger", "-d", "x", "-i", "disk")
    wait_until(lambda: "delivered" in agent.log)
    [line] = [line for line in agent.log.splitlines() if "incident_key" in line]
    assert re.search(
        r" delivered \d{16}_\*0617 \(trigger, incident_key = disk\): 202 in \d+ ms$", line
    )


def test_nobody_writes_lines_of_their_own(api: EventsApi, agent: Agent) -> None:
    """Line breaks and control characters in what anyone may queue make no lines in the log, nor do
    those in PagerDuty's answers."""
    words = {"status": "invalid event", "message": "no\nERROR forged", "errors": ["a\rb\x1b[2J"]}
    api.script(KEY, Answer(400, words))
    agent.configure(events_url=api.url, send_interval_secs=1)
    agent.start()
    agent.send(KEY, "trigger", "-d", "x", "-i", "a\n2026-11-23 00:00:00,000 ERROR   forged")
    agent.send(KEY, "trigger", "-d", "x", "-i", "b\r\x1b[2Jforged \u2028")
    agent.drop("1_\x1b[2J\nforged.txt", b'{"service_key": "\\n"}')
    agent.drop("forged\n name", b"")
    enqueue(agent, KEY, "last", "x")
    wait_until(lambda: len(agent.names("pdq")) == 0)
    assert agent.stop() == 0
    assert agent.log.count("forged") >= 4
    for line in agent.log.split("\n")[:-1]:
        assert LINE.fullmatch(line), line
        assert line.isprintable()


def test_words_that_quote_the_key(api: EventsApi, agent: Agent) -> None:
    """An answer, or a dedup key, that quotes the integration key does not bring it into the log."""
    words = {"status": "invalid event", "message": f"key {KEY} is bad", "errors": [KEY]}
    api.script(KEY, Answer(400, words), Answer(500, words))
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    agent.start()
    agent.send(KEY, "trigger", "-d", "x", "-i", f"about {KEY}")
    agent.send(KEY, "trigger", "-d", "x", "-i", "y")
    wait_until(lambda: "refused" in agent.log and "delivered" in agent.log)
    wait_until(lambda: agent.names("pdq") == [])
    assert KEY not in agent.log
    assert KEY not in "".join(f.read_text() for f in agent.data_dir.glob("db/reasons/*"))


def test_who_may_read_it(agent: Agent) -> None:
    """The log is not for everybody."""
    agent.start()
    assert stat.S_IMODE(agent.log_file.stat().st_mode) & 0o007 == 0


def test_an_unwritable_log_stops_nothing(api: EventsApi, agent: Agent) -> None:
    """Where the log can't be written the daemon says so on stderr, and goes on."""
    agent.log_file.mkdir()
    agent.start()
    agent.send(KEY, "trigger", "-d", "x")
    api.wait_accepted(1)
    wait_until(lambda: "delivered" in agent.output.read_text())
    assert "logging to stderr only" in agent.output.read_text()
    agent.log_file.rmdir()


@pytest.mark.parametrize("is_read", [False, True])
def test_a_fifo_in_the_place_of_the_log_stops_nothing(
    api: EventsApi, agent: Agent, is_read: bool
) -> None:
    """Nobody has it open, or who has reads nothing."""
    os.mkfifo(agent.log_file)
    agent.log_file.chmod(0o666)
    reader = os.open(agent.log_file, os.O_RDONLY | os.O_NONBLOCK) if is_read else -1
    agent.start()
    for number in range(600):
        enqueue(agent, KEY, f"{number}", "x")
    api.wait_accepted(600)
    assert agent.stop() == 0
    agent.log_file.unlink()
    if is_read:
        os.close(reader)


def _narrow_pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    return reader, writer


@pytest.mark.parametrize(("ends", "number"), [(_narrow_pipe, 100), (pty.openpty, 300)])
def test_a_stderr_that_nobody_reads_stops_nothing(
    api: EventsApi, agent: Agent, ends: Callable[[], tuple[int, int]], number: int
) -> None:
    """Such as a supervisor's that hangs, or a container's terminal: events go out, and the daemon
    stops when it is told to. When somebody reads again, what was left out is said."""
    reader, writer = ends()
    agent.daemon = subprocess.Popen(
        [*agent.command("pdagentd"), "-f"],
        stderr=writer,
        env={**agent.environment, "PDAGENT_CONF": str(agent.conf)},
        cwd="/",
        **AGENT.popen(),
    )
    for each in range(number):
        enqueue(agent, key(each), "a", "x")
    api.wait_accepted(number)
    wait_until(lambda: agent.log.count("delivered") == number)
    said = os.read(reader, 65_536)
    while select.select([reader], [], [], 0.1)[0]:
        said += os.read(reader, 65_536)
    enqueue(agent, KEY, "a", "read again")
    api.wait_accepted(number + 1)
    while not re.search(rb" lines were left out: nobody read them\r?\nINFO delivered", said):
        said += os.read(reader, 65_536)
    for fd in (reader, writer):
        os.close(fd)
