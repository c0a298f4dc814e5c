"""`pd-queue status` with 1,000 pending events; `list` with 100,000: the oldest few, and those of
one incident."""

import sys
from collections.abc import Iterator

from benchmarks.backlog import fill, keys
from benchmarks.enqueue import PYTHON
from benchmarks.figures import Budget, Row
from benchmarks.processes import cost_of
from benchmarks.subject import Subject
from tests.support.events_api import EventsApi
from tests.support.users import User

ROUNDS = 3
STARTS = 15
FEW = 1_000
FILES = 100_000
# What a script would do instead, in its leanest form.
LIST = "import os, sys; sorted(os.listdir(sys.argv[1]))"
GREP = """
import os, sys
for name in sorted(os.listdir(sys.argv[1])):
    with open(f"{sys.argv[1]}/{name}", "rb") as file:
        sys.argv[2].encode() in file.read()
"""
ROOT = User(0, 0)


def run(subject: Subject) -> Iterator[Row]:
    api = EventsApi()  # never started: the events stay where they are
    yield status(subject, api)
    files = subject.events(FILES)
    with subject.agent(api) as agent:
        for _ in fill(agent, keys(200), files):
            pass
        command = [*agent.command("pd-queue"), "--config", str(agent.conf), "list"]
        for what, options, script, limit in (
            (f"list -n 20 of {files:,} events, CPU", ["-n", "20"], LIST, 6.0),
            (f"list -i KEY among {files:,} events, CPU", ["-i", "disk-7"], GREP, 3.0),
        ):
            ours, theirs = [], []
            reference = [sys.executable, "-I", "-S", "-c", script, f"{agent.spool}/pdq", "disk-7"]
            for _ in range(ROUNDS):
                ours.append(cost_of([*command, *options], agent.environment).cpu)
                theirs.append(cost_of(reference, agent.environment).cpu)
            name = "listdir" if script is LIST else "listdir, open, read"
            yield Row(what, ours, "ms", name, theirs, Budget(limit))
    api.close()


def status(subject: Subject, api: EventsApi) -> Row:
    with subject.agent(api) as agent:
        for _ in fill(agent, keys(20), FEW):
            pass
        command = [*agent.command("pd-queue"), "--config", str(agent.conf), "status"]
        ours, theirs = [], []
        for _ in range(STARTS):
            ours.append(cost_of(command, agent.environment).cpu)
            theirs.append(cost_of(PYTHON, agent.environment).cpu)
    budget = Budget(60, of="figure") if subject.program is not None else None
    return Row(f"status with {FEW:,} events, CPU", ours, "ms", "python3 -I -S", theirs, budget)
