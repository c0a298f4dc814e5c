"""The start with 100,000 pending files: one scan, of names only."""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.backlog import keys, put
from benchmarks.figures import Budget, Row
from benchmarks.processes import main_thread_seconds
from benchmarks.subject import Subject
from pdagent.spool import file_name
from tests.support.agent import Agent
from tests.support.events_api import EventsApi

ROUNDS = 3
FILES = 100_000
LIST_AND_SORT = """
import os, sys, time
began = time.process_time()
sorted(os.listdir(sys.argv[1]))
print(time.process_time() - began)
"""


def run(subject: Subject) -> Iterator[Row]:
    files = subject.events(FILES)
    api = EventsApi()  # never started: the events stay where they are
    with subject.agent(api) as empty, subject.agent(api) as full:
        pending = f"{full.spool}/pdq"
        among = keys(200)
        for number in range(files):
            put(full, file_name(1_700_000_000_000_000 + number, among[number % 200]), b"")
        scans, lists = [], []
        for _ in range(ROUNDS):
            scans.append(start(full) - start(empty))
            command = [sys.executable, "-c", LIST_AND_SORT, pending]
            lists.append(float(subprocess.check_output(command)))
        budget = Budget(1.0, of="figure")
        what = f"start-up scan of {files:,} files, CPU"
        yield Row(what, scans, "s", "sorted(os.listdir())", lists, budget)
    api.close()


def start(agent: Agent) -> float:
    """CPU seconds of the main thread up to the moment when the daemon says that it is ready."""
    agent.start()
    assert agent.daemon is not None
    cost = main_thread_seconds(agent.daemon.pid)
    agent.daemon.kill()
    agent.daemon.wait()
    agent.daemon = None
    return cost
